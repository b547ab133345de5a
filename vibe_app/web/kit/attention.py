"""The three weights of attention, the same on every page: needs you, moving, resting.

What needs a person is the loudest: an amber mark with a word. What moves is blue and says
what is happening. Everything else is quiet.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.status import Look

NEEDS: dict[str, Look] = {
    "answer": Look("amber", "Answer", "message-circle-question"),
    "review": Look("amber", "Review", "eye"),
    "failed": Look("red", "Failed", "circle-x"),
}
"""What a card may need of a person, and how that looks."""


def _mark(look: Look) -> rx.Component:
    return rx.el.span(
        rx.icon(look.icon, size=14, aria_hidden="true"), look.word, class_name=f"v-needs v-{look.color}"
    )


def needs_mark(kind: Any) -> rx.Component:
    """Show what is needed of the person.

    Args:
        kind: A var with a key of `NEEDS`; nothing is shown for any other text.
    """
    marks = {name: _mark(look) for name, look in NEEDS.items()}
    return rx.match(kind, *marks.items(), rx.fragment())  # pyright: ignore[reportReturnType]


def needs_count(count: Any) -> rx.Component:
    """Show how many things need the person, as an amber number; nothing where none does."""
    said = rx.cond(count == 1, "1 needs you", f"{count} need you")
    return rx.cond(
        count > 0,
        rx.el.span(count, role="img", aria_label=said, title=said, class_name="v-needs-count v-digits"),
    )


def live_dot(count: Any) -> rx.Component:
    """Show a blue dot where runs are live; nothing where none is."""
    said = f"{count} running"
    return rx.cond(count > 0, rx.el.span(class_name="v-dot", role="img", aria_label=said, title=said))


def moving(*children: Any) -> rx.Component:
    """Show in one line what is happening now."""
    return rx.el.span(
        rx.icon("loader-circle", size=14, class_name="v-icon v-spin", aria_hidden="true"),
        *children,
        class_name="v-moving",
    )


def resting(*children: Any) -> rx.Component:
    """Show what asks for nothing."""
    return rx.el.span(*children, class_name="v-quiet")


def thousands(number: Any) -> rx.Component:
    """Show a number that only the page knows with its thousands marked: 12,345; Python writes `f"{n:,}"`."""
    shown = rx.Var.create(number)
    marked = rx.Var(
        f"Number({shown!s}).toLocaleString('en')", _var_type=str, _var_data=shown._get_all_var_data()
    )
    return rx.el.span(marked, class_name="v-digits")
