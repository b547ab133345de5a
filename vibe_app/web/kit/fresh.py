"""Tabs that outlive an upgrade: each is told which build the server has, and loads itself anew.

It waits until nothing is being typed, pressed or dragged; what was typed into a form is
kept by its draft. A part of the pages that is fetched when it is needed, and is not there
any more, loads the tab anew as well, as soon as the server answers.
"""

from __future__ import annotations

import reflex as rx

from vibe_app import frontend
from vibe_app.web.kit.connection import connected
from vibe_app.web.kit.hooks import Hooked, js

RENEWED = "A new version of Vibe is here: the page was loaded anew."
_REST = 2000
"""Milliseconds without a key, a press or a drag before a tab is at rest."""
_EVENTS = ["keydown", "input", "pointerdown", "pointermove", "dragover"]
_WAYS = "vibe.renewals"
_OWN = js("(globalThis.__reactRouterManifest?.version ?? '')", str)
"""What React Router 8.4 names this tab's build."""


class FreshState(rx.State):
    """What a tab knows of the build that is served."""

    served: str = ""
    build: str = rx.SessionStorage("", name="vibe.build")
    """The build that this tab was made from when it last said so; the browser keeps it over a reload."""

    @rx.event
    def arrive(self):
        """Tell the tab which build is served, at each page and whenever its connection comes back."""
        self.served = frontend.build_id(frontend.home())

    @rx.event
    def loaded(self, build: str):
        """Say that the page was loaded anew, where the tab was made from another build before."""
        known, self.build = self.build, build[:100]
        return rx.toast.info(RENEWED, duration=15_000) if known else None


def fresh() -> rx.Component:
    """Keep a tab's page no older than the server."""
    return rx.fragment(
        _fresh(served=FreshState.served),
        rx.cond(
            rx.State.is_hydrated & (FreshState.build != _OWN),
            rx.el.span(on_mount=FreshState.loaded(_OWN)),
        ),
    )


@rx.memo
def _fresh(served: rx.Var[str]) -> rx.Component:
    # What comes back by itself, by a draft, need not be waited for.
    kept = "field.closest('[data-draft], .xterm')"
    changed = "field.value !== (field.matches(':focus') ? '' : field.defaultValue)"
    fields = "[...document.querySelectorAll('input, textarea')]"
    unsaved = f"{fields}.some((field) => !{kept} && {changed})"
    asks = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    # Each way from one build to another is gone once, so that two builds behind one address make no loop.
    gone = "(sessionStorage.getItem($ways) ?? '').includes(way)"
    keep = "sessionStorage.setItem($ways, (sessionStorage.getItem($ways) ?? '') + way)"
    look = js(
        "null",
        hooks=(
            "const idle = useIdle($rest, {events: $events});",
            "const [missing, {open: miss, close: found}] = useDisclosure(false);",
            "useWindowEvent('vite:preloadError', miss);",
            f"const busy = () => !idle || document.querySelector(':active') || {unsaved} || {asks};",
            f"const renew = (way) => {gone} || ({keep}, location.reload());",
            "const stale = $served && $own && $served !== $own;",
            "const again = () => {found(); renew(`;$${Math.floor(Date.now() / 60000)}`);};",
            "useInterval(() => {missing && $connected && again();}, 500, {autoInvoke: true});",
            "const anew = () => {renew(`;$${$own} $${$served}`);};",
            "useInterval(() => {stale && !busy() && anew();}, 500, {autoInvoke: true});",
        ),
        rest=_REST,
        events=_EVENTS,
        served=served,
        own=_OWN,
        ways=_WAYS,
        connected=connected,
    )
    return Hooked.create(runs=look)
