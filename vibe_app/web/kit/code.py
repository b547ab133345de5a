"""CodeMirror in a page: a text that is read, or edited with nothing of it travelling at each key.

The text in the editor is the browser's. The page hears of the first difference from what is saved, and that
there is none any more; what is typed goes to an address of REST when it is saved, since a socket takes a
megabyte. `window.vibeCode` is the editor that is shown: `TAKE`, `REVERT`, `put`, `append`, `text`.
"""

from __future__ import annotations

import json
from typing import Any

import reflex as rx

from vibe_app.web.kit import upload
from vibe_app.web.kit.sources import source

_SOURCE = source("code.jsx")

TAKE = "window.vibeCode?.take()"
"""Shows the text that the page holds, in the place of what was typed; undo brings that back."""
REVERT = "window.vibeCode?.revert()"
"""Shows what is saved, in the place of what was typed; undo brings that back."""


def _differs(dirty: rx.Var[bool], clash: rx.Var[bool]) -> list[rx.Var[Any]]:
    return [dirty, clash]


def _nothing() -> list[rx.Var[Any]]:
    return []


class Code(rx.NoSSRComponent):
    """A text with line numbers and the colours of its language, which is loaded by the file's name."""

    library = _SOURCE.importable_path
    tag = "Code"
    lib_dependencies: list[str] = [
        "@codemirror/commands@6.11.1",
        "@codemirror/language@6.13.1",
        "@codemirror/language-data@6.5.2",
        "@codemirror/search@6.7.2",
        "@codemirror/state@6.7.6",
        "@codemirror/view@6.43.15",
        "@lezer/highlight@1.2.5",
    ]

    text: rx.Var[str]
    stamp: rx.Var[str]
    """Which text it is. Another one is shown in its place, unless something is typed that is not saved."""
    file: rx.Var[str]
    label: rx.Var[str]
    editing: rx.Var[bool]
    wrap: rx.Var[bool]
    lines: rx.Var[list[int]]
    """First and last line that are pointed at, from 1; empty for none."""
    coloured: rx.Var[int]
    """Characters up to which a text is coloured: parsing a longer one would hold up the page."""
    on_dirty: rx.EventHandler[_differs]
    """The text begins or ceases to differ from what is saved; and whether another one came meanwhile."""
    on_save: rx.EventHandler[_nothing]
    """Ctrl S was pressed."""


def put(text: str) -> rx.event.EventSpec:
    """Show a text in the place of what is in the editor; undo brings that back."""
    return rx.call_script(f"window.vibeCode?.put({json.dumps(text)}, true)")


def append(text: str) -> rx.event.EventSpec:
    """Show a text after what is in the editor, as part of what is saved."""
    return rx.call_script(f"window.vibeCode?.append({json.dumps(text)})")


def based_on(stamp: str) -> rx.event.EventSpec:
    """Note which text it is that was just saved."""
    return rx.call_script(f"if (window.vibeCode) window.vibeCode.base = {json.dumps(stamp)}")


def send(url: str, condition: str, answered: Any) -> rx.event.EventSpec:
    """Send what is in the editor to an address, with PUT; what was sent is what is saved, if it went well.

    Args:
        url: Where to.
        condition: The `If-Match`: a stamp; "base" for that of the text that was begun with; empty for none.
        answered: Handler that gets the answer, as of `upload.put`.
    """
    wanted = "code.base" if condition == "base" else json.dumps(condition)
    headers = f"{{'If-Match': '\"' + {wanted} + '\"'}}" if condition else "{}"
    asked = f"{upload.put(url, 'body', headers)}.then((said) => (said.error || code.keep(body), said))"
    return rx.call_script(
        f"((code, body) => {asked})(window.vibeCode, window.vibeCode.text())", callback=answered
    )
