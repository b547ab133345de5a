"""Tabs that outlive an upgrade: each is told which build the server has, and loads itself anew.

It waits until nothing is being typed or dragged; what was typed into a form is
kept by its draft.
"""

from __future__ import annotations

import json

import reflex as rx

from vibe_app import frontend
from vibe_app.web.kit.sources import source

RENEWED = "A new version of Vibe is here: the page was loaded anew."
_SOURCE = source("fresh.jsx")


class Fresh(rx.Component):
    """Compares the tab's build with the server's; fires `on_renewed` in a tab that has a new one."""

    library = _SOURCE.importable_path
    tag = "Fresh"
    on_renewed: rx.EventHandler[rx.event.no_args_event_spec]


class FreshState(rx.State):
    """Says which build is served. It keeps nothing: what a tab knew before an upgrade would be wrong."""

    @rx.event
    def arrive(self):
        """Tell the tab, at each page and whenever its connection comes back."""
        build = frontend.build_id(frontend.home())
        return rx.call_script(f"window.vibeServed?.({json.dumps(build)})")


def fresh() -> rx.Component:
    """Keep a tab's page no older than the server."""
    return Fresh.create(on_renewed=rx.toast.info(RENEWED, duration=15_000))
