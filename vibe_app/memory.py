"""How much memory this process may use at most: the machine's, or what its cgroups leave of that."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

GIB = 2**30
# https://docs.kernel.org/admin-guide/cgroup-v2.html ("memory.max"), and version 1's limit_in_bytes.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def usable() -> int:
    """Return the bytes."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _LIMITS:
        with suppress(OSError, ValueError):
            found = min(found, int(path.read_text()))
    return found
