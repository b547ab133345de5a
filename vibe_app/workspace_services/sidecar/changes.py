"""Whether files of a workspace changed: what a command did there, OpenCode does not report."""

from __future__ import annotations

import os
from contextlib import suppress

_MOST = 50_000
"""Files and folders that are looked at."""
_OURS = frozenset({".git", ".opencode"})


def changed_since(workspace: str, moment: float) -> bool:
    """Tell whether anything in a workspace was written, made or removed since `moment` (seconds since 1970).

    Links are not followed. What git and we keep in it for ourselves does not count, and of a very large
    workspace only the first part is looked at.
    """
    left, folders = _MOST, [workspace]
    with suppress(OSError):
        if os.stat(workspace).st_mtime >= moment:
            return True
    while folders and left > 0:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                left -= 1
                if entry.name in _OURS:
                    continue
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime >= moment:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return False
