"""The frame around every page of a signed-in person: rail, top bar, command bar, keyboard help."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.commands import command_bar, command_key, open_button
from vibe_app.web.keyboard import keyboard_help
from vibe_app.web.kit.frame import Frame
from vibe_app.web.kit.fresh import fresh
from vibe_app.web.rail import RailState, rail, read_rail, show_rail

__all__ = ["RailState", "framed", "read_rail", "show_rail", "titled", "top_bar"]


def framed(*children: Any) -> rx.Component:
    """Put a page into the frame."""
    page = rx.el.main(*children, id="main", class_name="v-main", tab_index=-1)
    return Frame.create(
        rx.fragment(rail(open_button())), page, command_bar(), command_key(), keyboard_help(), fresh()
    )


def titled(title: Any) -> Any:
    """Return a page's title with how much needs the person before it."""
    return rx.cond(RailState.needs > 0, f"({RailState.needs}) {title}", title)


def top_bar(title: Any, *children: Any) -> rx.Component:
    """The bar above a page: its name, then whatever belongs to it."""
    return rx.el.header(rx.el.h1(title, title=title, dir="auto"), *children, class_name="v-top")
