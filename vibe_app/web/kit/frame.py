"""The window around the pages: rail, drawer and keyboard. What is in them comes from the pages."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("frame.jsx")


def _pressed(key: rx.Var[str]) -> list[rx.Var[Any]]:
    return [key]


class Frame(rx.Component):
    """The first child is the rail beside the page, a sheet over it under 768 px; the others are the page."""

    library = _SOURCE.importable_path
    tag = "Frame"


class RailLink(rx.Component):
    """A link in the rail; it is marked while the page is at its address or below."""

    library = _SOURCE.importable_path
    tag = "RailLink"
    to: rx.Var[str]


class CardDrawer(rx.Component):
    """A panel over the right side of a board that leaves the board in reach."""

    library = _SOURCE.importable_path
    tag = "CardDrawer"
    card_id: rx.Var[str]
    label: rx.Var[str]


class Shortcuts(rx.Component):
    """Keys that work wherever nothing is being typed and no dialog is open.

    `/` goes to the element with `data-search`, an arrow to the board's cards, Escape
    to the address `up`; each of `keys` (separated by spaces) fires `on_key(key)`.
    """

    library = _SOURCE.importable_path
    tag = "Shortcuts"
    keys: rx.Var[str]
    up: rx.Var[str]
    on_key: rx.EventHandler[_pressed]
