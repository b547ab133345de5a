"""What a page says of a proxy in front of the board that answers in its place, or lets nothing by."""

from __future__ import annotations

import json
from pathlib import Path

import reflex as rx
from starlette.types import ASGIApp, Receive, Scope, Send

_SILENT = "The proxy in front of Vibe answered ({status}): the board did not. Try again in a moment."
ANSWERED = {
    "413": (
        "The proxy in front of Vibe refused this as too large (413): its own limit is smaller than the "
        "board's. Raise it (nginx: client_max_body_size)."
    ),
    "502": _SILENT,
    "503": _SILENT,
    "504": _SILENT,
    "other": "Something in front of Vibe answered in its place ({status}).",
}
"""What a person is told of an answer without a sentence of the board's own, by its status."""

NO_FILE = "/nothing-has-this"
"""An address that nothing has."""
_LONGEST, _LONGEST_PART = 3000, 255
"""Bytes of a path, and of a part of it, that every file system can look for."""

_PAGES = "login|setup|reset|settings(/.*)?|p/.*"
_BELOW = "Vibe does not run under a path ({path}/). Give it a host name or a port of its own."
_MISSING = (
    "The parts of this page do not come. Load it again; if they still do not, what stands in front of "
    "Vibe does not pass them on."
)


def without_parts() -> rx.Component:
    """What takes the place of the page when the first of its parts, `/door.js`, did not come.

    So it is below a path of another site, where that address is the site's own. It stands in the page
    itself, since nothing else would come either; the policy of the pages allows it by its hash
    (`vibe_app/api/headers.py`).
    """
    text = (Path(__file__).parent / "kit" / "without_parts.js").read_text()
    words = {"data-pages": _PAGES, "data-below": _BELOW, "data-missing": _MISSING}
    return rx.el.script(text, custom_attrs=words)


def door() -> rx.Component:
    """The first part of every page: what it sends beside the login cookie, and how it reads answers."""
    return rx.el.script(src="/door.js", custom_attrs={"data-words": json.dumps(ANSWERED)})


class LookedFor:
    """Middleware that has an address which no file can have answered by the page of those that nothing has.

    Pages are files that are looked for. What a file system refuses to look for, as it is too long or holds
    a zero, Reflex 0.10.1 would answer with "Not Found" and no more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _unheard_of(scope["path"]):
            scope = {**scope, "path": NO_FILE, "raw_path": NO_FILE.encode()}
        await self._app(scope, receive, send)


def _unheard_of(path: str) -> bool:
    """Tell whether an address is no file's, nor of the API, which has words of its own."""
    if path.startswith("/api/"):
        return False
    parts = path.encode(errors="replace").split(b"/")
    return "\0" in path or len(path) > _LONGEST or any(len(part) > _LONGEST_PART for part in parts)
