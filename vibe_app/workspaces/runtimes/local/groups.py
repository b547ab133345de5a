"""A control group for what is behind one wall, where an administrator has delegated one.

Standard library only. The keeper's looks (`bounds.py`) end what is greedy with a sentence; the kernel then
holds the same limits, a little higher, against what is faster than a look. Only a subtree that systemd has
marked as delegated is used (`Delegate=`, https://systemd.io/CGROUP_DELEGATION): any other is somebody else's.
Files and their meaning are those of cgroup v2 (https://docs.kernel.org/admin-guide/cgroup-v2.html).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MARK = "user.delegate"
_NAME = "vibe-wall-"
_MIB = 1 << 20


class Group:
    """One that was made; `make` makes it.

    Args:
        folder: Its folder in the control groups' file system.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, *pids: int) -> None:
        """Move processes in, and with each all that it will start. Who has ended meanwhile is left out."""
        for pid in pids:
            with suppress(OSError):
                (self.folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """End who is left in it, and remove it."""
        with suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        with suppress(OSError):
            # It stays while somebody is still ending: the next one that is made takes it away.
            self.folder.rmdir()


def make(memory: int, processes: int, own: Path | None = None) -> Group | None:
    """Make a group that the caller keeps; None where none is delegated, or the kernel refuses.

    Args:
        memory: MiB that all in it may have; 0 is not bounded.
        processes: How many there may be, threads counted.
        own: The folder of the group that the caller is in; by default it is looked up.
    """
    parent = _delegated(own or _own())
    if parent is None:
        return None
    group = Group(parent / f"{_NAME}{os.getpid()}")
    try:
        _sweep(parent)
        (parent / "cgroup.subtree_control").write_text("+memory +pids")
        group.folder.mkdir()
        (group.folder / "pids.max").write_text(str(processes))
        if memory:
            (group.folder / "memory.max").write_text(str(memory << 20))
    except OSError:
        group.remove()
        return None
    if memory:
        with suppress(OSError):
            # Not every kernel counts what lies in the swap.
            (group.folder / "memory.swap.max").write_text("0")
    return group


def _own() -> Path:
    """The group that this process is in."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                return _ROOT / line.removeprefix("0::/")
    return _ROOT


def _delegated(own: Path) -> Path | None:
    """The delegated group above ours. Ours itself can have no limited ones below it, as it has processes."""
    with suppress(OSError):
        if os.getxattr(own.parent, _MARK) == b"1":
            return own.parent
    return None


def _sweep(parent: Path) -> None:
    """Remove the groups of callers that are gone, as far as nobody is left in them."""
    for left in parent.glob(f"{_NAME}*"):
        if not Path("/proc", left.name.removeprefix(_NAME)).exists():
            with suppress(OSError):
                left.rmdir()
