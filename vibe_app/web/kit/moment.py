"""Times as people say them, on the reader's own clock: how long ago, and for how long by now."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("moment.jsx")


class Ago(rx.Component):
    """A moment as "5 min ago", with the exact one on hover. `at` is in epoch milliseconds, 0 for none."""

    library = _SOURCE.importable_path
    tag = "Ago"
    at: rx.Var[int]


class Elapsed(rx.Component):
    """The time since a moment as "2 min 31 s", counting on; "2 min" where `coarse`.

    `since` is in epoch milliseconds.
    """

    library = _SOURCE.importable_path
    tag = "Elapsed"
    since: rx.Var[int]
    coarse: rx.Var[bool]


def ago(at: Any) -> rx.Component:
    """Show how long ago a moment was."""
    return Ago.create(at=at)


def elapsed(since: Any, **props: Any) -> rx.Component:
    """Show how long something has been going on."""
    return Elapsed.create(since=since, **props)
