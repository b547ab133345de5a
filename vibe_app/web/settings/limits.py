"""What a session of a project may spend, in its settings."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.board.spending.limits import LimitsPatch
from vibe_app.board.spending.wording import limits_words
from vibe_app.errors import InvalidRequest
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import field
from vibe_app.web.kit.sections import for_owners
from vibe_app.web.settings.keeping import (
    FORMS,
    Form,
    Texts,
    conflict_banner,
    field_texts,
    keep,
    note_seen,
    seen_field,
)
from vibe_app.wire import whole

_COUNTS = {"tokens": "tokens", "minutes": "minutes", "requests": "requests to models"}


class LimitsState(rx.State):
    """What the part shows: the project's own limits, empty for none."""

    project_id: str = ""
    usd: str = ""
    tokens: str = ""
    minutes: str = ""
    requests: str = ""
    in_force: str = ""
    looks_only: bool = True
    seen: str = ""
    shown: str = "0"

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep the limits that were changed; an empty field leaves the installation's alone."""
        return await keep(self, actor, LIMITS, field_texts(form, "usd", *_COUNTS), form)


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


def show_limits(state: LimitsState, project: ProjectView) -> None:
    """Put a project's limits into the form."""
    state.project_id = str(project.id)
    note_seen(state, LIMITS, project)
    for name, text in _texts(project).items():
        setattr(state, name, text)
    state.in_force = limits_words(project.limits_in_force)
    state.looks_only = project.role is not ProjectRole.OWNER


def _texts(project: ProjectView) -> Texts:
    held = {name: getattr(project.limits, name) for name in ("usd", *_COUNTS)}
    # Not 1e-06, which a person would not write.
    return {
        name: "" if value is None else f"{Decimal(str(value)):f}".removesuffix(".0")
        for name, value in held.items()
    }


async def _kept(state: Any, actor: Actor, project: ProjectView) -> Any:
    own = await state.get_state(LimitsState)
    own.seen = ""
    show_limits(own, project)
    return rx.toast.success("Limits saved.")


LIMITS = FORMS["limits"] = Form(
    "limits",
    {"usd": "US dollars", "tokens": "Tokens", "minutes": "Minutes", "requests": "Requests to models"},
    _texts,
    lambda changed: ProjectPatch(limits=limits_of(changed)),
    _kept,
)


def _count(name: str, label: str, hint: str) -> rx.Component:
    return field(
        label,
        rx.input(
            name=name,
            type="number",
            min=1,
            default_value=getattr(LimitsState, name),
            placeholder="The installation's",
        ),
        hint,
    )


def limits_part() -> rx.Component:
    """The form; `show_limits` fills it."""
    return rx.el.form(
        for_owners(
            LimitsState.looks_only,
            conflict_banner(LIMITS),
            seen_field(LimitsState.seen),
            rx.text(
                "One run ends as failed once it reaches one of these. What it changed so far is kept.",
                size="2",
                color_scheme="gray",
            ),
            field(
                "US dollars",
                rx.input(
                    name="usd",
                    default_value=LimitsState.usd,
                    placeholder="The installation's",
                    input_mode="decimal",
                    auto_complete="off",
                ),
                "It counts what has a known price.",
            ),
            _count("tokens", "Tokens", "Read and written, of every kind together."),
            _count("minutes", "Minutes", "Of running; waiting for the provider is left out."),
            _count("requests", "Requests to models", "Those of sub-agents among them."),
            rx.text(
                rx.cond(
                    LimitsState.in_force != "",
                    f"The next run may spend {LimitsState.in_force}.",
                    "The next run may spend without limit.",
                ),
                size="2",
            ),
            rx.button("Save limits", type="submit"),
        ),
        key=LimitsState.shown,
        on_submit=LimitsState.save,
    )
