"""Leaving a page on which something is not saved."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("guard.jsx")

GO = "window.vibeGuard?.go()"
"""Goes where somebody was held back from going."""
STAY = "window.vibeGuard?.stay()"


def _nothing() -> list[rx.Var[Any]]:
    return []


class Guard(rx.Component):
    """Holds ways within the app back while `moves`, and closing or loading the tab anew while `unload`."""

    library = _SOURCE.importable_path
    tag = "Guard"
    moves: rx.Var[bool]
    unload: rx.Var[bool]
    on_asked: rx.EventHandler[_nothing]
    """A way was held back: `GO` or `STAY` decides."""
