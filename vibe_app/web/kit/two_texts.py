"""Two texts of one thing side by side: one's own, and what somebody else wrote meanwhile."""

from __future__ import annotations

from typing import Any

import reflex as rx


def two_texts(
    name: Any, mine: Any, theirs: Any, below_mine: Any = None, below_theirs: Any = None
) -> rx.Component:
    """Show them.

    Args:
        name: What both are about.
        mine: What the person wrote who looks.
        theirs: What is there.
        below_mine: What stands below the first, such as a button that chooses it.
        below_theirs: What stands below the other.
    """
    return rx.el.div(
        rx.el.h4(name),
        rx.el.div(
            _side("Yours", name, mine, below_mine),
            _side("Theirs", name, theirs, below_theirs),
            class_name="v-two",
        ),
        role="group",
        aria_label=name,
    )


def _side(head: str, name: Any, text: Any, below: Any) -> rx.Component:
    return rx.el.div(
        rx.el.span(head, class_name="v-quiet"),
        rx.el.div(
            rx.cond(text != "", text, "–"),
            tab_index=0,
            dir="auto",
            role="region",
            aria_label=f"{head}: {name}",
            class_name="v-pre",
        ),
        *([] if below is None else [below]),
        class_name="v-side",
    )
