"""What a session of a project may spend, in its settings."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import reflex as rx

from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.board.spending.limits import LimitsPatch
from vibe_app.board.spending.wording import limits_words
from vibe_app.errors import InvalidRequest
from vibe_app.web.kit.parts import field
from vibe_app.web.settings.keeping import FormsState, Texts, begins, form_part, project_form
from vibe_app.wire import whole

_COUNTS = {"tokens": "tokens", "minutes": "minutes", "requests": "requests to models"}
_NONE = "The installation's"


def limits_of(typed: dict[str, str]) -> LimitsPatch:
    """Read what was typed; an empty text takes a limit away.

    Raises:
        InvalidRequest: A text is no number.
    """
    given: dict[str, Any] = {}
    for name, text in typed.items():
        if not text:
            given[name] = None
        elif name == "usd":
            given[name] = _dollars(text)
        elif text.isascii() and text.isdecimal():
            given[name] = whole(text)
        else:
            raise InvalidRequest(f"The limit of {_COUNTS[name]} must be a whole number.", "invalid_limit")
    return LimitsPatch(**given)


def _dollars(text: str) -> Decimal:
    try:
        if len(text) <= 20 and text.isascii():
            return Decimal(text.removeprefix("$"))
    except InvalidOperation:
        pass
    raise InvalidRequest("The limit in US dollars must be a number, for example 2.50.", "invalid_limit")


def _texts(project: ProjectView) -> Texts:
    held = {name: getattr(project.limits, name) for name in ("usd", *_COUNTS)}
    # Not 1e-06, which a person would not write.
    return {
        name: "" if value is None else f"{Decimal(str(value)):f}".removesuffix(".0")
        for name, value in held.items()
    } | {"in_force": limits_words(project.limits_in_force)}


LIMITS = project_form(
    "limits",
    {"usd": "US dollars", "tokens": "Tokens", "minutes": "Minutes", "requests": "Requests to models"},
    _texts,
    lambda changed: ProjectPatch(limits=limits_of(changed)),
    "Limits saved.",
)


def _count(name: str, hint: str) -> rx.Component:
    begin = begins(LIMITS, name)
    return field(
        LIMITS.labels[name],
        rx.input(name=name, type="number", min=1, default_value=begin, placeholder=_NONE),
        hint,
    )


def limits_part() -> rx.Component:
    """The form."""
    in_force = FormsState.texts["limits"]["in_force"]
    return form_part(
        LIMITS,
        rx.el.p("One run ends as failed once it reaches one of these. What it changed so far is kept."),
        field(
            "US dollars",
            rx.input(
                name="usd",
                default_value=begins(LIMITS, "usd"),
                placeholder=_NONE,
                input_mode="decimal",
                auto_complete="off",
            ),
            "It counts what has a known price.",
        ),
        _count("tokens", "Read and written, of every kind together."),
        _count("minutes", "Of running; waiting for the provider is left out."),
        _count("requests", "Those of sub-agents among them."),
        rx.el.p(
            rx.cond(
                in_force != "",
                f"The next run may spend {in_force}.",
                "The next run may spend without limit.",
            )
        ),
        save="Save limits",
    )
