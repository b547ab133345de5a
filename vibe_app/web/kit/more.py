"""The row at the end of a list that goes on: it asks for what follows as soon as it is seen."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import event, js

_MOMENT = 60
"""Milliseconds in which a browser tells whether the row is in sight."""


def more_row(*words: Any, size: Any, on_more: Any) -> rx.Component:
    """Make the row, with a button that asks as well.

    Args:
        words: What the button says.
        size: How many the list shows. For each size is asked once, so that no two requests are on their way.
        on_more: The event that has more of it shown.
    """
    return _row(rx.fragment(*words), size=size, ask=event(on_more, lambda: []))


@rx.memo
def _row(children: rx.Var[rx.Component], size: rx.Var[int], ask: rx.Var[Any]) -> rx.Component:
    press = js(
        "press",
        hooks=(
            "const {ref, entry} = useIntersection(), asked = useRef(null);",
            "const press = () => {asked.current !== $size && (asked.current = $size, $ask());};",
            # Once the list has grown, and it is known whether that has put the row out of sight.
            "const look = () => setTimeout(() => entry?.isIntersecting && press(), $moment);",
            "const wait = () => {const soon = look(); return () => clearTimeout(soon);};",
            "useEffect(wait, [entry?.isIntersecting, $size]);",
        ),
        size=size,
        ask=ask,
        moment=_MOMENT,
    )
    return rx.el.li(
        rx.el.button(children, type="button", class_name="v-plain-button", custom_attrs={"onClick": press}),
        class_name="kb-more",
        custom_attrs={"ref": rx.Var("ref")},
    )
