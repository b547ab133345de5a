"""Which further folders of the machine an agent may see, as the installation's settings name them. Pure.

A path that is named there is opened to every project's agent. What would open the wall itself (the
whole machine, the data folder, a place with keys or with sockets of other programs) is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

_KEYS = (".ssh", ".gnupg", ".aws", ".azure", ".config/gcloud", ".docker", ".kube", ".netrc", ".pgpass")
_SOCKETS = ("/run", "/var/run", "/dev", "/proc", "/sys", "/tmp/.X11-unix")


def paths(text: str) -> list[Path]:
    """Read a list of absolute paths with colons between; `~` is the home of the server's user.

    Raises:
        ValueError: One is not absolute.
    """
    found = [Path(part.strip()).expanduser() for part in text.split(":") if part.strip()]
    for path in found:
        if not path.is_absolute():
            raise ValueError(f"must be whole paths, with colons between; {path} is none")
    return found


def refused(path: Path, data: Path) -> str | None:
    """Say why a path may not be opened to agents, if it may not.

    Args:
        path: As it was named; where links lead counts as well.
        data: The data folder.
    """
    home = Path.home()
    keys = [home / name for name in _KEYS]
    for named in {path, Path(os.path.realpath(path))}:
        if _holds(named, data) or _holds(data, named):
            return f"{path} would open the data folder {data}"
        if _holds(named, home):
            return f"{path} would open the home of the server's user"
        if any(_holds(named, key) or _holds(key, named) for key in keys):
            return f"{path} holds keys"
        if any(_holds(Path(socket), named) for socket in _SOCKETS):
            return f"{path} is where other programs' sockets and the machine's devices lie"
    return None


def _holds(above: Path, below: Path) -> bool:
    return below == above or below.is_relative_to(above)
