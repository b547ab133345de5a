"""The control group around what is behind a wall: made where one is delegated, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import eventually
from vibe_app.workspaces.runtimes.local import groups

_MARK = "user.delegate"


def _mounted() -> Path | None:
    """Where control groups of version 2 are, on this machine."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(where, os.W_OK):
            return Path(where)
    return None


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A group of the kernel's, delegated as systemd does it, with one below it for who asks."""
    mounted = _mounted()
    if os.geteuid() != 0 or mounted is None:
        pytest.skip("only root can delegate a control group, where version 2 is mounted writable")
    folder = mounted / f"vibe-tests-{os.getpid()}"
    (folder / "app").mkdir(parents=True)
    os.setxattr(folder, _MARK, b"1")
    yield folder
    for left in sorted(folder.glob("*/"), reverse=True):
        left.rmdir()
    folder.rmdir()


def test_nothing_is_made_where_nothing_was_delegated(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    assert groups.make(64, 100, tmp_path / "app") is None
    assert [each.name for each in tmp_path.iterdir()] == ["app"]


def test_its_limits_are_written_where_the_kernel_reads_them(tmp_path: Path) -> None:
    """Here it is a plain folder: not every kernel has controllers to give away."""
    (tmp_path / "app").mkdir()
    os.setxattr(tmp_path, _MARK, b"1")
    group = groups.make(64, 100, tmp_path / "app")
    assert group is not None
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert group.folder.parent == tmp_path
    assert {each.name: each.read_text() for each in group.folder.iterdir()} == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "pids.max": "100",
    }


def test_the_kernel_moves_and_ends_who_is_in_it(delegated: Path) -> None:
    group = groups.Group(delegated / f"vibe-wall-{os.getpid()}")
    group.folder.mkdir()
    child = subprocess.Popen(["sleep", "60"])
    try:
        group.take(child.pid, 2**22)
        assert (group.folder / "cgroup.procs").read_text().split() == [str(child.pid)]
        group.remove()
        assert child.wait(10) == -9
    finally:
        child.kill()


async def test_a_group_whose_keeper_is_gone_goes_with_the_next(delegated: Path) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    (delegated / f"vibe-wall-{gone.pid}").mkdir()
    group = groups.make(64, 100, delegated / "app")
    controllers = (delegated / "cgroup.controllers").read_text().split()
    assert (group is not None) == ({"memory", "pids"} <= set(controllers))
    if group:
        assert (group.folder / "pids.max").read_text().strip() == "100"
        group.remove()
    await eventually(lambda: [each.name for each in delegated.glob("*/")] == ["app"])
