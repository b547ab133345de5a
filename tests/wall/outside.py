"""What there is outside a wall for probes to find: an installation's files, and what a process holds."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.wall.rig import secret

OTHER = "another-project"
"""Id of the project that is none of the agent's."""
KEPT = ("key", "database", "other", "home", "given", "person", "log")
"""What lies in files."""
_PORTS = (
    *("the_board", "the_database", "another_sidecar", "the_file_browser", "the_session_proxy"),
    "the_gateways_control",
)
_HELD = 5


def files(data: Path, person: Path, kept: Mapping[str, str]) -> dict[Path, str]:
    """The files of an installation with another project, and of the user who runs it.

    Args:
        data: The data folder.
        person: The user's home.
        kept: The secret in each, by the names in `KEPT`.
    """
    return {
        data / "secret.key": kept["key"],
        data / "vibe.db": kept["database"],
        data / "run" / f"{OTHER}.json": kept["other"],
        data / "workspaces" / OTHER / "README.md": kept["other"],
        data / "homes" / OTHER / ".netrc": kept["home"],
        data / "given" / OTHER / "guidance.md": kept["given"],
        data / "logs" / f"{OTHER}-opencode.log": kept["log"],
        person / ".ssh" / "id_ed25519": kept["person"],
    }


def plan(data: Path, root: Path) -> dict[str, Any]:
    """What `victims.py` is told to hold.

    Args:
        data: The data folder.
        root: Where its sockets are to be, and the sign that a signal came.
    """
    return {
        "secrets": [secret() for _ in range(_HELD)],
        "data": str(data),
        "signalled": str(root / "signalled"),
        "segment": secrets.randbelow(1 << 30) + 1,
        "ports": _PORTS,
        "abstract": f"vibe-{secrets.token_hex(6)}",
        "sockets": {name: str(root / f"{name}.sock") for name in ("board", "docker")},
    }
