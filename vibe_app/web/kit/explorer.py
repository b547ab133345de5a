"""The files of a workspace: tree, viewer, editor, uploads, around CodeMirror.

It reads and writes by the REST interface, with the reader's login: a folder of
thousands of entries or a file of megabytes has no place in a State, which the server
keeps for every tab and resends whole. The State says whose files they are, how the
workspace is, and when something may have changed.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.markdown import PACKAGES as MARKDOWN_PACKAGES
from vibe_app.web.kit.sources import source

_SOURCE = source("explorer.jsx")
source("explorer.css")
source("explorer_code.jsx")
source("explorer_dialogs.jsx")
source("explorer_file.jsx")
source("explorer_folder.jsx")
source("explorer_folders.js")
source("explorer_found.jsx")
source("explorer_marks.js")
source("explorer_parts.jsx")
source("explorer_rest.js")
source("explorer_tree.jsx")
source("explorer_upload.jsx")


def _nothing() -> list[rx.Var[Any]]:
    return []


class FileExplorer(rx.NoSSRComponent):
    """What the address below `base` names, beside the tree of all files."""

    library = _SOURCE.importable_path
    tag = "FileExplorer"
    lib_dependencies: list[str] = [
        "@codemirror/commands@6.11.1",
        "@codemirror/language@6.13.1",
        "@codemirror/language-data@6.5.2",
        "@codemirror/search@6.7.2",
        "@codemirror/state@6.7.6",
        "@codemirror/view@6.43.15",
        "@lezer/highlight@1.2.5",
        *MARKDOWN_PACKAGES,
    ]

    project_id: rx.Var[str]
    base: rx.Var[str]
    """The address of the page, without the path of a file."""
    tree: rx.Var[int]
    """Number of the card whose files are shown; 0 for the base branch's."""
    can_edit: rx.Var[bool]
    by_request: rx.Var[bool]
    """Whether only what git ignores can be saved, as the base branch moves elsewhere."""
    cards: rx.Var[bool]
    """Whether a card has files of its own, which could be chosen."""
    workspace: rx.Var[str]
    """The workspace's status; its files are asked for once it is `ready`."""
    reason: rx.Var[str]
    changed: rx.Var[list[str]]
    """Paths that are marked as changed, and the folders above them."""
    change_href: rx.Var[str]
    """Where their lines are shown; empty for no such link."""
    change_words: rx.Var[str]
    """What that link says."""
    live: rx.Var[bool]
    """Whether a run is going on."""
    look: rx.Var[int]
    """Goes up when files may have changed: what is open is then read again."""
    limit_mib: rx.Var[int]
    """MiB that a file may have."""
    on_wake: rx.EventHandler[_nothing]
    """The workspace is to be started again."""


file_explorer = FileExplorer.create
