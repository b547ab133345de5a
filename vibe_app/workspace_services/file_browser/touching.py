"""Which names each verb touches that changes something, before it does. Everything here blocks."""

from __future__ import annotations

import stat

from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.git.ignored import Touched


def writing(workspace: Workspace, path: str) -> Touched:
    """A file is put in place; a link at its end is followed."""
    return Touched(written=(workspace.way(path),))


def making_folder(workspace: Workspace, path: str) -> Touched:
    """A folder is made."""
    return Touched(written=(workspace.way(path) + b"/",))


def moving(workspace: Workspace, path: str, to: str) -> Touched:
    """A file, a link as itself, or a folder is moved.

    Raises:
        NotFound: There is nothing to move.
    """
    with workspace.at(path, follow=False) as old:
        end = b"/" if stat.S_ISDIR(old.stat().st_mode) else b""
        return Touched(written=(workspace.way(to, follow=False) + end,), removed=(b"/".join(old.parts),))


def deleting(workspace: Workspace, path: str) -> Touched:
    """A file, a link as itself, or a folder is deleted.

    Raises:
        NotFound: A folder on the way is missing.
    """
    with workspace.at(path, follow=False) as place:
        return Touched(removed=(b"/".join(place.parts),))
