"""How a process ended, in words: which signal, and whether the kernel ended it for want of memory."""

from __future__ import annotations

import signal
from pathlib import Path

_CONTROL_GROUP = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def signal_name(number: int) -> str:
    """Return a signal's name as people know it, also of one that has none here."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def memory_kills() -> int:
    """Return how many processes the kernel has ended for want of memory where this process runs.

    What this process starts runs in the same control group, so a growth between a start and an end
    by SIGKILL tells why. Source: https://docs.kernel.org/admin-guide/cgroup-v2.html ("memory.events",
    `oom_kill`: by any kind of OOM killer); `memory.oom_control` says the same in version 1. 0 where
    neither is there, as on macOS.
    """
    try:
        groups = _CONTROL_GROUP.read_text().splitlines()
    except OSError:
        return 0
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            file = _MOUNT / path.lstrip("/") / "memory.events"
        elif "memory" in controllers.split(","):
            file = _MOUNT / "memory" / path.lstrip("/") / "memory.oom_control"
        else:
            continue
        try:
            figures = dict(entry.split() for entry in file.read_text().splitlines())
            return int(figures["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0
