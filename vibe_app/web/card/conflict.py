"""Two people changed one card: both texts side by side, and a choice for each field.

A form carries, as one hidden field, what the card said when the person began to
write (`seen`). So a save writes only what they changed, and names the version that
they had before them rather than the one that is there by now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.board.tasks.schemas import TaskView
from vibe_app.web.card.fields import LABELS, said, value_of
from vibe_app.web.kit.two_texts import two_texts


@dataclass
class Both:
    """A field that two people changed. `choice` is `mine`, `theirs`, or empty while it is open."""

    field: str
    name: str
    mine: str
    theirs: str
    choice: str = ""


def seen(version: int, values: Mapping[str, Any]) -> str:
    """Return what a form carries of the card that it was filled from; of a text only a fingerprint."""
    return json.dumps({"version": version, **{name: _mark(value) for name, value in values.items()}})


def written(text: Any, form: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the version that a form was filled from, and what the person changed in it.

    Args:
        text: What `seen` returned, as the browser sent it back. It is no more trusted than the form:
            where it cannot be read, the version is 0, which no card has, and all of the form is changed.
        form: The fields.
    """
    try:
        before = json.loads(str(text))
        version = int(before["version"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return 0, dict(form)
    if not 0 <= version < 2**31:
        return 0, dict(form)
    return version, {name: value for name, value in form.items() if before.get(name) != _mark(value)}


def both(yours: Mapping[str, Any], present: TaskView, names: Mapping[str, str]) -> list[Both]:
    """Return the fields that the person changed and that are not so by now; `names` are people's by id."""
    theirs = {name: value_of(name, present) for name in yours}
    return [
        Both(name, LABELS[name], said(name, value, names), said(name, theirs[name], names))
        for name, value in yours.items()
        if value != theirs[name]
    ]


def _mark(value: Any) -> str:
    # A form's text comes back with line ends of its own.
    text = ", ".join(value) if isinstance(value, list) else str(value).replace("\r\n", "\n")
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:20]


def conflict_view(rows: Any, on_choose: Any, on_later: Any, what: str = "task") -> rx.Component:
    """Both texts of each field, in the place of the form that was to be saved.

    Args:
        rows: The var with the list of `Both`.
        on_choose: The handler that is given a field, and `mine` or `theirs`.
        on_later: The event that shows the form again, with what was typed.
        what: What was to be saved.
    """
    return rx.el.section(
        rx.el.div(
            rx.el.h3(f"This {what} was changed while you were writing"),
            rx.el.p(
                "Nothing was saved. Choose for each field which one stays; with the last choice it is saved.",
                class_name="v-quiet",
                role="alert",
            ),
        ),
        rx.foreach(rows, lambda row: _row(row, on_choose)),
        rx.el.div(
            rx.button("Decide later", variant="soft", color_scheme="gray", on_click=on_later),
            class_name="v-row",
        ),
        aria_label="Two versions",
        class_name="v-conflict",
    )


def _row(row: Any, on_choose: Any) -> rx.Component:
    mine = _choice("Keep mine", row, "mine", on_choose)
    return two_texts(row.name, row.mine, row.theirs, mine, _choice("Take theirs", row, "theirs", on_choose))


def _choice(words: str, row: Any, choice: str, on_choose: Any) -> rx.Component:
    chosen = row.choice == choice
    return rx.button(
        words,
        variant=rx.cond(chosen, "solid", "soft"),
        custom_attrs={"aria-pressed": rx.cond(chosen, "true", "false")},
        on_click=on_choose(row.field, choice),
    )
