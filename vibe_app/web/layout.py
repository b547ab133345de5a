"""The frame around every page of a signed-in person: rail, top bar, command bar, keyboard help."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.commands import command_bar, command_key, open_button
from vibe_app.web.kit.frame import Frame
from vibe_app.web.kit.fresh import fresh
from vibe_app.web.rail import RailState, rail, read_rail, show_rail

__all__ = ["RailState", "framed", "read_rail", "show_rail", "titled", "top_bar"]

_KEYS = [
    ("Ctrl K", "Go anywhere, or have something done"),
    ("n", "New task"),
    ("/", "Search"),
    ("← ↑ ↓ →", "Go between cards"),
    ("Enter", "Open the card"),
    ("e", "Execute the card"),
    ("s", "Stop its run"),
    ("m", "Move the card to a column"),
    ("x", "Select the card; a click with Shift selects to there"),
    ("z", "Take back what was moved, archived or deleted"),
    ("Space", "Pick up the card; the arrows move it, Space drops it"),
    ("j k", "Go through the changed lines of a card"),
    ("c", "Comment on the line"),
    ("Ctrl Enter", "Send what is being typed"),
    ("?", "Show this list"),
    ("Esc", "Close one layer"),
]


def _help() -> rx.Component:
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Keyboard", size="4"),
            rx.dialog.description("These work wherever nothing is being typed.", size="2"),
            rx.el.dl(
                *[
                    part
                    for keys, words in _KEYS
                    for part in (rx.el.dt(rx.code(keys, size="2", color_scheme="gray")), rx.el.dd(words))
                ],
                class_name="v-keys",
            ),
            rx.el.div(rx.dialog.close(rx.button("Close", variant="soft")), class_name="v-row v-end"),
            max_width="480px",
        ),
        open=RailState.helping,
        on_open_change=RailState.set_helping,
    )


def framed(*children: Any) -> rx.Component:
    """Put a page into the frame."""
    page = rx.el.main(*children, id="main", class_name="v-main", tab_index=-1)
    return Frame.create(
        rx.fragment(rail(open_button())), page, command_bar(), command_key(), _help(), fresh()
    )


def titled(title: Any) -> Any:
    """Return a page's title with how much needs the person before it."""
    return rx.cond(RailState.needs > 0, f"({RailState.needs}) {title}", title)


def top_bar(title: Any, *children: Any) -> rx.Component:
    """The bar above a page: its name, then whatever belongs to it."""
    return rx.el.header(rx.el.h1(title), *children, class_name="v-top")
