"""Names of an installation's processes: each start has its own, and a machine knows which of its are over."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import psutil

_NAMESPACE = Path("/proc/self/ns/pid")


def process_name() -> str:
    """Return a name of this start of this process, unique in an installation, of at most 64 characters."""
    return f"{_here()}-{os.getpid()}-{secrets.token_hex(4)}"


def ended_here(name: str) -> bool:
    """Tell whether a process, so named, was one of this machine and is over.

    Of a process of another machine, or of another container on this one, nothing can be told: False.
    """
    place, _, rest = name.rpartition("-")[0].rpartition("-")
    return place == _here() and rest.isdecimal() and len(rest) < 10 and not psutil.pid_exists(int(rest))


def _here() -> str:
    """Name this machine and, where the system has such, the namespace in which it numbers processes."""
    space = _NAMESPACE.stat().st_ino if _NAMESPACE.exists() else 0
    return f"{socket.gethostname()[:24]}-{space}"
