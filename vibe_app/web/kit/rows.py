"""Lists of which only the rows in sight are in the page, and in the State of the tab.

A list is as high as all its rows, each of one height (`--row` in the stylesheet) and put in its place by its
number. Scrolling within the rows that are there costs nothing; near their end the page asks for those around
what is in sight. No library is needed for it, and no JavaScript.
"""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.event import key_event

SPARE = 30
"""Rows on each side of those in sight that are in the page too."""
_NEAR = 12
"""Rows before the end of those that are there at which others are asked for."""

SHOW = (
    "requestAnimationFrame(() => requestAnimationFrame(() => "
    "document.querySelector('{0}')?.scrollIntoView({{block: 'nearest'}})))"
)


def _scrolled(event: rx.vars.ObjectVar[dict[str, Any]]) -> list[rx.Var[Any]]:
    # What is in sight as shares of the whole height: the same for every size of text and row.
    at = f"{event}.target"
    share = f"Math.max(1, {at}.scrollHeight)"
    return [
        rx.Var(f"({at}.scrollTop / {share})", _var_type=float),
        rx.Var(f"(({at}.scrollTop + {at}.clientHeight) / {share})", _var_type=float),
    ]


class _Scroller(rx.el.Div):
    """An element that tells what of it is in sight, and of keys."""

    on_scroll: rx.EventHandler[_scrolled]
    on_key_down: rx.EventHandler[key_event]


def rows(
    shown: Any, row: Any, *, first: Any, count: Any, total: Any, look: Any, label: Any, **props: Any
) -> rx.Component:
    """A list that scrolls.

    Args:
        shown: The rows that are there.
        row: Makes the component of one; it stands at `row_style(its number)`.
        first: The number of the first of them.
        count: How many are there.
        total: How many rows the list has.
        look: Handler that is told the numbers of the first and last row in sight, where others are wanted.
        label: What screen readers call the list.
        props: For the element that scrolls.
    """

    def scrolled(top: Any, bottom: Any) -> Any:
        a, z = (f"Math.floor({share} * {total})" for share in (top, bottom))
        early = f"({a} < {first} + {_NEAR} && {first} > 0)"
        late = f"({z} > {first} + {count} - {_NEAR} && {first} + {count} < {total})"
        wanted = rx.Var(f"({early} || {late})", _var_type=bool)
        numbers = (rx.Var(each, _var_type=int) for each in (a, z))
        return wanted, look(*numbers)

    def soon(top: rx.Var[float], bottom: rx.Var[float]) -> Any:
        wanted, event = scrolled(top, bottom)
        return rx.cond(wanted, event.throttle(60), rx.noop())

    def last(top: rx.Var[float], bottom: rx.Var[float]) -> Any:
        wanted, event = scrolled(top, bottom)
        return rx.cond(wanted, event.debounce(90), rx.noop())

    make: Any = _Scroller.create
    return make(
        rx.el.div(
            rx.foreach(shown, row),
            role=props.pop("list_role", "none"),
            aria_label=props.pop("list_label", None),
            class_name="ve-rows",
            style={"height": f"calc(var(--row) * {total})"},
        ),
        props.pop("foot", rx.fragment()),
        aria_label=label,
        on_scroll=[soon, last],
        **props,
    )


def row_style(index: Any) -> dict[str, Any]:
    """Return the style that puts a row in its place."""
    return {"top": f"calc(var(--row) * {index})"}


def window(top: int, bottom: int, total: int) -> tuple[int, int]:
    """Return the first row that is to be there, and the one after the last, for those in sight. Pure."""
    first = max(0, min(top, total) - SPARE)
    return first, min(total, max(top, bottom) + SPARE)
