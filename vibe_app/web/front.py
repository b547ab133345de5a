"""What a page says of a proxy in front of the board that answers in its place, or lets nothing by."""

from __future__ import annotations

import json
from pathlib import Path

import reflex as rx

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
