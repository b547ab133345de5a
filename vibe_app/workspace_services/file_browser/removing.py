"""Deletes, by way of a folder of the workspace's own: what is deleted is gone from sight at one stroke.

Drafts, files that are being written, lie in the same folder. Everything here blocks and is meant for
a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator
from uuid import uuid4

from vibe_app.errors import InvalidRequest, Unavailable
from vibe_app.workspace_services.file_browser.places import FOLDER, Workspace, in_words


def delete(workspace: Workspace, path: str) -> None:
    """Delete a file, a link as itself, or a folder with all that it holds, at one stroke.

    Raises:
        NotFound: There is no such thing.
        InvalidRequest: The path leaves the workspace, or is the workspace.
    """
    with workspace.at(path, follow=False) as place:
        if place.is_root:
            raise InvalidRequest("The workspace itself cannot be deleted here.", "invalid_path")
        if not stat.S_ISDIR(place.stat().st_mode):
            return os.unlink(place.name, dir_fd=place.folder)
        drafts = drafts_of(workspace)
        try:
            name = uuid4().hex.encode()
            os.rename(place.name, name, src_dir_fd=place.folder, dst_dir_fd=drafts)
            _empty(drafts, [name])
        finally:
            os.close(drafts)


def tidy(workspace: Workspace) -> None:
    """Remove the drafts and half-deleted folders that an earlier file browser left behind.

    Raises:
        VibeError: The workspace cannot be written to.
    """
    with in_words("the drafts"):
        drafts = drafts_of(workspace)
        try:
            left = os.listdir(drafts)
            files = [name for name in left if not _is_folder(drafts, os.fsencode(name))]
            for name in files:
                os.unlink(name, dir_fd=drafts)
            _empty(drafts, [os.fsencode(name) for name in left if name not in files])
        finally:
            os.close(drafts)


def drafts_of(workspace: Workspace) -> int:
    """Open the folder of drafts inside `.opencode`, made if need be, and return its descriptor.

    Raises:
        Unavailable: A part of the way is a link, or no folder.
        OSError: It cannot be made or opened.
    """
    folder = Workspace(workspace.drafts).open()
    try:
        for part in (b".opencode", b"drafts"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError as error:
        os.close(folder)
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Unavailable(
                "Something else is where the workspace's own folder .opencode was: restart the workspace.",
                "workspace_damaged",
            ) from error
        raise
    return folder


def _is_folder(above: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)


def _empty(drafts: int, names: list[bytes]) -> None:
    """Remove folders of the drafts with what they hold; however deep, two are open at a time.

    What cannot be removed stays there, out of sight, until the next `tidy`.
    """
    emptied: list[bytes] = []
    while names:
        name = names.pop()
        emptied.append(name)
        with contextlib.suppress(OSError):
            for inner, is_folder in _contents(drafts, name):
                if is_folder:
                    # Brought up to the top, so that no path gets too long and no stack too high.
                    flat = uuid4().hex.encode()
                    with _opened(drafts, name) as folder:
                        os.rename(inner, flat, src_dir_fd=folder, dst_dir_fd=drafts)
                    names.append(flat)
                else:
                    with _opened(drafts, name) as folder:
                        os.unlink(inner, dir_fd=folder)
    for name in emptied:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=drafts)


@contextlib.contextmanager
def _opened(drafts: int, name: bytes) -> Generator[int]:
    folder = os.open(name, FOLDER, dir_fd=drafts)
    try:
        yield folder
    finally:
        os.close(folder)


def _contents(drafts: int, name: bytes) -> list[tuple[bytes, bool]]:
    with contextlib.suppress(OSError):
        # An agent's tools may have left it read-only.
        os.chmod(name, 0o700, dir_fd=drafts)
    with _opened(drafts, name) as folder, os.scandir(folder) as entries:
        return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
