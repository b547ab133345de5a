"""A workspace with all that could lead a file browser astray, beside things that are not its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vibe_app.workspace_services.file_browser.places import Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The workspace's folder. What is inside says "inside", what is outside says "outside"."""
    root = tmp_path / "workspace"
    (root / "src" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".opencode").mkdir()
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    for place in (outside, outside / "deep", tmp_path, root / ".git", root / ".opencode"):
        (place / "file").write_text("outside\n")
    for place in (root, root / "src", root / "src" / "deep"):
        (place / "file").write_text("inside\n")
    links = {
        "out": outside,
        "above": "..",
        "root": "/",
        "loop": "loop",
        "dangling": "nowhere",
        "hidden": ".opencode/file",
        "src/deep/up": "../..",
        "src/deep/far": "../../../outside",
        "in": "src/deep/../file",
        "self": ".",
        "absolute": root / "src",
        "neighbour": f"{root}-other",
        "chain": "src/deep/up/in",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "workspace-other").mkdir()
    (tmp_path / "workspace-other" / "file").write_text("outside\n")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        # Their addresses are short, wherever temporary folders are.
        descriptor = os.open(root, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
        yield root


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    """The workspace as the file browser sees it."""
    return Workspace(folder)
