"""The probes of the wall, run in a pod: those of them that a pod's own walls are to refuse."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from tests.wall import inside
from tests.wall.inside.table import Targets

# Of the table in `tests/wall`, where each is shown to succeed without a wall. Left out is what the filter of
# a node's runtime refuses (`RuntimeDefault`), which the tests' node has not, and what belongs to an image.
REFUSED = (
    *(
        "environ-of-opencode",
        "ptrace-opencode",
        "memory-of-opencode",
        "opencode-api",
        "terminal-of-opencode",
        "open-files",
        "memory",
        "environ",
    ),
    *("signing-key", "database", "data-folder", "records", "logs", "copy-of-everything", "up-from-the-tree"),
    *("other-project", "other-home", "other-given", "home-of-the-user", "symbolic-link"),
    *("hard-link", "temporary-files", "inherited-files", "root-of-processes", "cwd-of-processes"),
    *("write-configuration", "write-guard", "write-bash-env", "write-supervisor", "write-models"),
    *("write-guidance", "write-outside", "write-to-another-project", "write-to-the-system"),
    *("replace-opencode-folder", "replace-given", "replace-workspace", "replace-home", "plant-plugin"),
    *("replace-tasks", "replace-hub", "replace-base", "write-hub", "write-to-the-base"),
    *(
        "write-beside-the-trees",
        "remove-configuration",
        "capabilities",
        "device-file",
        "kernel-settings",
        "other-namespaces",
    ),
    *("host-name", "raw-sockets", "packet-sockets", "passwords-of-the-system"),
)


def lay_out(folder: Path, data: Path, project: str) -> None:
    """Put the probes into a workspace's files, and what they are told.

    Args:
        folder: A card's tree on the node.
        data: The server's data folder on this machine.
        project: Another project's id.
    """
    source = Path(inside.__file__).parent
    shutil.copytree(source, folder / "inside", ignore=lambda *_: ["__pycache__"])
    targets = Targets(
        data=str(data),
        workspace="/workspace",
        tree="/workspace/tasks/1",
        home="/home/agent",
        given="/given",
        other=project,
        person="/root",
        scratch=str(data / "scratch"),
        shared=str(data / "shared"),
        pid=1,
        opencode=1,
        fd=0,
        address=0,
        ports={},
        everywhere=0,
        datagrams=0,
        segment=0,
        abstract="",
        sockets={},
        opencode_port=3000,
    )
    (folder / "targets.json").write_text(json.dumps(asdict(targets) | {"probes": list(REFUSED)}))
