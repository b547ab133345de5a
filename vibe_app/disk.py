"""Whether a disk is full: what then ends is told as that, once, and not repeated into it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vibe_app.errors import DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEXT_TO_NOTHING = 1024 * 1024
"""Bytes with which neither git nor OpenCode's database gets anywhere."""


def is_full(*folders: Path) -> bool:
    """Tell whether one of these folders lies on a disk without room; one that is not there does not."""
    for folder in folders:
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        # Some file systems count no files: then both figures are 0.
        if found.f_bavail * found.f_frsize < _NEXT_TO_NOTHING or (found.f_files and not found.f_favail):
            return True
    return False


def means_full(error: OSError) -> bool:
    """Tell whether this error says that the disk, or the user's share of it, is used up."""
    return error.errno in _FULL


def disk_full(what: str) -> DiskFull:
    """Make the failure to raise.

    Args:
        what: What could not be done, as a sentence.
    """
    return DiskFull(f"{what} The disk is full: free some space where the workspaces are, then try again.")
