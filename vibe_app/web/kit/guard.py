"""Leaving a page on which something is not saved: the blocker of react-router, and the browser's own words.

A way within the app is held back until `GO` or `STAY` decides about it; before a tab is closed or loaded
anew only the browser can ask.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import Hooked, event, js

GO = "window.vibeGuard?.go()"
"""Goes where somebody was held back from going."""
STAY = "window.vibeGuard?.stay()"


def guard(*, moves: Any, unload: Any, on_asked: Any) -> rx.Component:
    """Hold ways within the app back while `moves`, and closing or loading the tab anew while `unload`.

    Args:
        moves: Whether a way to another address of the app is held back.
        unload: Whether the browser asks before the tab goes.
        on_asked: The event that is told of a way that was held back.
    """
    asked = event(on_asked, lambda: [])
    return rx.fragment(_holds(moves=moves, asked=asked), rx.cond(unload, _warns()))


@rx.memo
def _holds(moves: rx.Var[bool], asked: rx.Var[Any]) -> rx.Component:
    elsewhere = js("(from.pathname !== to.pathname || from.search !== to.search)")
    hooks = (
        "const way = useBlocker(({currentLocation: from, nextLocation: to}) => $moves && $elsewhere);",
        "useEffect(() => {way.state === 'blocked' && $asked();}, [way.state, way.location]);",
        "useEffect(() => {window.vibeGuard = {go: () => way.proceed?.(), stay: () => way.reset?.()};});",
    )
    return Hooked.create(runs=js("null", hooks=hooks, moves=moves, elsewhere=elsewhere, asked=asked))


@rx.memo
def _warns() -> rx.Component:
    leaves = "useWindowEvent('beforeunload', (tab) => tab.preventDefault());"
    return Hooked.create(runs=js("null", hooks=(leaves,)))
