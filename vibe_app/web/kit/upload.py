"""Files on their way from a browser: which are chosen or dropped, and each sent when its turn has come.

The browser holds the files and says their names and sizes; in which order they go, and where to, the page
decides: `send`, `stop`, `PICK`.
"""

from __future__ import annotations

import json
from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("upload.jsx")

PICK = "window.vibeFiles?.pick()"
"""Opens the browser's choice of files."""


def _chosen(files: rx.Var[list[dict[str, Any]]]) -> list[rx.Var[Any]]:
    return [files]


def _progress(id: rx.Var[int], sent: rx.Var[int]) -> list[rx.Var[Any]]:
    return [id, sent]


def _sent(id: rx.Var[int], status: rx.Var[int], error: rx.Var[str], code: rx.Var[str]) -> list[rx.Var[Any]]:
    return [id, status, error, code]


class FileDoor(rx.Component):
    """What is in it takes files that are dropped there; `data-over` is set while some are held above it."""

    library = _SOURCE.importable_path
    tag = "FileDoor"
    label: rx.Var[str]
    """Of the hidden field that opens the choice of files."""
    most: rx.Var[int]
    """Files of one drop, so that a slip of the hand does not send a disk."""
    every: rx.Var[int]
    """Milliseconds between two words about how much is sent."""
    takes: rx.Var[bool]
    on_chosen: rx.EventHandler[_chosen]
    """Files came: `id`, `path` (names from the drop's place down) and `size` in bytes of each."""
    on_progress: rx.EventHandler[_progress]
    on_sent: rx.EventHandler[_sent]
    """One is through: the answer's status (0 without one), its error in words if any, and that one's code."""


def send(id: int, url: str) -> rx.event.EventSpec:
    """Have the browser send one of the files to an address, with PUT."""
    return rx.call_script(f"window.vibeFiles?.send({id}, {json.dumps(url)})")


def put(url: str, body: str, headers: str) -> str:
    """Return the expression that sends a text to an address, with PUT.

    Args:
        url: Where to.
        body: Expression of the text.
        headers: Expression of the headers.

    Returns:
        A promise of the answer: `status` (0 without one), `error` (missing where it went well) and `body`.
    """
    return f"window.vibeFiles.put({json.dumps(url)}, {body}, {headers})"


def stop(id: int) -> rx.event.EventSpec:
    """Break the sending of a file off."""
    return rx.call_script(f"window.vibeFiles?.stop({id})")
