"""Keeps the data folder private to its user: 0700 for folders, 0600 for files.

The folder holds the database, keys, tokens, the output of runs and everybody's code.
What a server writes there is private from the start, by its umask; what an earlier
version, a tool or a copied backup left open to others is mended at each start.

Inside of a workspace nothing is changed: what an agent makes has ordinary modes (started
with `ORDINARY`), and the private folders above keep others out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o077
"""The umask of a server."""
ORDINARY = 0o022
"""The umask of what works in a workspace: its files are the team's."""
# Folders whose own entries belong to a workspace, and not to Vibe.
_OF_WORKSPACES = frozenset({"workspaces", "homes", "trash"})


def keep_private(data: Path) -> None:
    """Make the data folder if need be, and it and everything of ours in it private to this user.

    What belongs to another user cannot be mended, such as the volume's own folder in a
    container; it is left as it is (see `exposed`).

    Raises:
        OSError: The folder cannot be made.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, mode in _open_to_others(data):
        with suppress(FileNotFoundError, PermissionError):
            os.chmod(path, mode & ~PRIVATE)


def exposed(data: Path) -> list[Path]:
    """Return what of the data folder others may read, write or enter; nothing where there is no folder."""
    return [path for path, _ in _open_to_others(data)]


def _open_to_others(data: Path) -> Iterator[tuple[Path, int]]:
    for path in _ours(data):
        with suppress(FileNotFoundError):
            found = path.lstat()
            mode = stat.S_IMODE(found.st_mode)
            # A link has no mode of its own, and what it leads to is not ours to change.
            if mode & PRIVATE and not stat.S_ISLNK(found.st_mode):
                yield path, mode


def _ours(data: Path) -> Iterator[Path]:
    """Everything from the data folder down but what lies inside of a workspace; links are not followed."""
    yield data
    for folder, folders, files in os.walk(data):
        yield from (Path(folder, name) for name in (*folders, *files))
        if Path(folder).parent == data and Path(folder).name in _OF_WORKSPACES:
            folders.clear()
