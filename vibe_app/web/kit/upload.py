"""Files on their way from a browser: which are chosen or dropped, and each sent when its turn has come.

The browser holds the files and says their names and sizes; in which order they go, and where to, the page
decides: `send`, `stop`, `PICK`.
"""

from __future__ import annotations

import json
from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import js
from vibe_app.web.kit.sources import source

_SOURCE = source("upload.jsx")
_CHOICE = "v-chosen-files"

PICK = f"document.getElementById('{_CHOICE}')?.click()"
"""Opens the browser's choice of files."""


def _chosen(files: rx.Var[list[dict[str, Any]]]) -> list[rx.Var[Any]]:
    return [files]


def _progress(id: rx.Var[int], sent: rx.Var[int]) -> list[rx.Var[Any]]:
    return [id, sent]


def _sent(id: rx.Var[int], status: rx.Var[int], error: rx.Var[str], code: rx.Var[str]) -> list[rx.Var[Any]]:
    return [id, status, error, code]


class _FileDoor(rx.Component):
    """Shows nothing: it holds the files, and sends them."""

    library = _SOURCE.importable_path
    tag = "FileDoor"
    most: rx.Var[int]
    every: rx.Var[int]
    on_chosen: rx.EventHandler[_chosen]
    on_progress: rx.EventHandler[_progress]
    on_sent: rx.EventHandler[_sent]


def file_door(
    *children: rx.Component,
    label: str,
    most: int,
    every: int,
    takes: Any,
    on_chosen: Any,
    on_progress: Any,
    on_sent: Any,
    **props: Any,
) -> rx.Component:
    """Make what takes files that are dropped in it; `data-over` is set while some are held above it.

    Args:
        children: What is in it.
        label: Of the hidden field that opens the choice of files.
        most: Files of one drop, so that a slip of the hand does not send a disk.
        every: Milliseconds between two words about how much is sent.
        takes: Whether files are taken at all.
        on_chosen: Files came: `id`, `path` (names from the drop's place down) and `size` in bytes of each.
        on_progress: So many bytes of one are sent.
        on_sent: One is through: the answer's status (0 without one), its error in words if any, and that
            one's code.
        props: For the element.
    """
    some = js("drag.dataTransfer.types.includes('Files')", bool)
    mark = js("drag.currentTarget.toggleAttribute('data-over', $takes)", takes=takes)
    unmark = js("drag.currentTarget.removeAttribute('data-over')")
    inside = js("drag.currentTarget.contains(drag.relatedTarget)", bool)
    taken = js("($some && $takes && window.vibeFiles.take(drag.dataTransfer))", some=some, takes=takes)
    # A browser would show what is dropped, in the place of the page.
    drop = js("((drag) => (drag.preventDefault(), $unmark, $taken))", unmark=unmark, taken=taken)
    chosen = js("window.vibeFiles.take({items: [], files: [...choice.target.files]})")
    attributes = {
        "onDragOver": js("((drag) => $some && (drag.preventDefault(), $mark))", some=some, mark=mark),
        "onDragLeave": js("((drag) => $inside || $unmark)", inside=inside, unmark=unmark),
        "onDrop": drop,
    }
    return rx.el.div(
        _FileDoor.create(
            most=most, every=every, on_chosen=on_chosen, on_progress=on_progress, on_sent=on_sent
        ),
        *children,
        rx.el.input(
            id=_CHOICE,
            type="file",
            multiple=True,
            hidden=True,
            aria_label=label,
            custom_attrs={"onChange": js("((choice) => ($chosen, choice.target.value = ''))", chosen=chosen)},
        ),
        custom_attrs=props.pop("custom_attrs", {}) | attributes,
        **props,
    )


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
    sent = f"{{method: 'PUT', body: {body}, headers: {{...{headers}, ...window.vibeDoor.headers()}}}}"
    read = "async (got) => ({status: got.status, ...await window.vibeDoor.read(got)})"
    return f"fetch({json.dumps(url)}, {sent}).then({read}, () => ({{status: 0, error: 'away'}}))"


def stop(id: int) -> rx.event.EventSpec:
    """Break the sending of a file off."""
    return rx.call_script(f"window.vibeFiles?.stop({id})")
