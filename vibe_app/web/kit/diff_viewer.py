"""Changed files with their lines side by side or one below the other: CodeView of @pierre/diffs.

It draws only what is in sight, so that hundreds of files stay quick, and colours the languages, which it
loads as they are needed. It knows nothing of changes and comments: what stands between the lines, and at the
end of each file's head, are templates given from Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reflex as rx
from reflex.vars.function import ArgsFunctionOperation

from vibe_app.web.kit.sources import source

_SOURCE = source("diff_viewer.jsx")


@dataclass
class DiffFile:
    """A file, or a part of one.

    `type` is `change`, `new`, `deleted`, `rename-pure` or `rename-changed`; `text` are the hunks of a
    unified patch (`patches.pieces`), empty where there is nothing to show but the head.
    """

    id: str
    path: str
    text: str
    type: str = "change"
    old: str = ""
    folded: bool = False
    additions: int = 0
    deletions: int = 0


@dataclass
class Target:
    """Where to scroll; the line is selected too. `n` makes the same place twice two targets."""

    item: str = ""
    side: str = "new"
    line: int = 0
    n: int = 0


def _lines(
    item: rx.Var[str], side: rx.Var[str], line: rx.Var[int], end_side: rx.Var[str], end_line: rx.Var[int]
) -> list[rx.Var[Any]]:
    return [item, side, line, end_side, end_line]


class DiffViewer(rx.NoSSRComponent):
    """Files below each other, in a window that scrolls.

    `on_lines(item, side, line, end_side, end_line)` fires when lines were selected by their numbers, from
    where that began to where it ended, which may be above; a side is `new` or `old`. A note is an object with
    at least `item`, `side` and `line`.
    """

    library = _SOURCE.importable_path
    tag = "DiffViewer"
    lib_dependencies: list[str] = ["@pierre/diffs@1.6.4"]

    files: rx.Var[list[DiffFile]]
    notes: rx.Var[list[Any]]
    dark: rx.Var[bool]
    split: rx.Var[bool]
    """Side by side, where the window is wide enough."""
    target: rx.Var[Target]
    label: rx.Var[str]
    """What the window is called."""
    render_note: rx.Var[Any]
    render_head: rx.Var[Any]
    on_lines: rx.EventHandler[_lines]


def diff_viewer(
    note: Callable[..., rx.Component], note_type: type, head: Callable[..., rx.Component], **props: Any
) -> rx.Component:
    """Show files.

    Args:
        note: An `rx.memo` component with one property, `note`.
        note_type: What a note is in Python, for the template's types.
        head: An `rx.memo` component with one property, `file`.
        props: The other properties of `DiffViewer`.
    """
    shown_note = rx.Var.create(note(note=rx.Var(_js_expr="note", _var_type=note_type)))
    shown_head = rx.Var.create(head(file=rx.Var(_js_expr="file", _var_type=DiffFile)))
    return DiffViewer.create(
        render_note=ArgsFunctionOperation.create(("note",), shown_note),
        render_head=ArgsFunctionOperation.create(("file",), shown_head),
        **props,
    )
