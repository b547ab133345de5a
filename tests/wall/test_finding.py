"""Whether a wall can be had is found out by trying, and where it cannot be had that is said with its cure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wall import rig
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.local import wall

REPOSITORY = Path(__file__).parents[2]
_SAY = (
    "import json; from vibe_app.settings import load_settings;"
    "from vibe_app.workspaces.runtimes.local import wall; found = wall.find(load_settings());"
    "print(json.dumps([type(found).__name__, getattr(found, 'own_proc', None),"
    " getattr(found, 'reason', ''), getattr(found, 'cure', '')]))"
)


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    """What was found before is not what is asked for."""
    wall._find.cache_clear()
    yield
    wall._find.cache_clear()


def inside(*namespace: str, before: str = ":") -> list[str]:
    """What is found in a namespace of its own, in which something is done before."""
    script = f"{before}; exec {sys.executable} -c {json.dumps(_SAY)}"
    done = subprocess.run(
        [*namespace, "sh", "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_here_it_can_be_had() -> None:
    assert not (missing := rig.needs()), missing
    assert isinstance(wall.find(load_settings()), wall.Wall)


def test_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = wall.find(load_settings(data=tmp_path))
    assert isinstance(found, wall.NoWall)
    assert found.reason == "bubblewrap is not installed."
    assert "apt install bubblewrap" in found.cure


def test_one_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho '--args --info-fd --block-fd --ro-bind-data --seccomp'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    found = wall.find(load_settings(data=tmp_path))
    assert isinstance(found, wall.NoWall)
    assert "too old: it does not know --perms, --size" in found.reason
    assert "0.6 or newer" in found.cure


def test_where_the_memory_of_what_nobody_may_read_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "suid_dumpable"
    monkeypatch.setattr(wall, "_SUID_DUMPABLE", setting)
    setting.write_text("1\n")
    found = wall.find(load_settings())
    assert isinstance(found, wall.NoWall)
    assert "OpenCode's too" in found.reason
    assert "sysctl fs.suid_dumpable=0" in found.cure


def test_a_data_folder_where_agents_see_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    found = wall.find(load_settings().model_copy(update={"data": Path("/usr/local/vibe")}))
    assert isinstance(found, wall.NoWall)
    assert "which agents see" in found.reason
    assert "VIBE_DATA" in found.cure


def test_where_user_namespaces_are_forbidden() -> None:
    forbidden = "echo 0 >/proc/sys/user/max_user_namespaces"
    kind, _, reason, cure = inside("unshare", "--user", "--map-root-user", before=forbidden)
    assert kind == "NoWall"
    assert reason.startswith("bubblewrap is refused: bwrap: ")
    contained = any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv")))
    assert ("deploy/compose.yaml" if contained else "user.max_user_namespaces") in cure


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting over /proc needs root")
def test_where_no_proc_can_be_mounted_the_old_one_is_shown() -> None:
    # As engines do: what is mounted over a part of it makes the kernel refuse a new one to a namespace below.
    hidden = "mount -t tmpfs none /proc/bus 2>/dev/null || mount --bind /dev/null /proc/interrupts"
    kind, own_proc, *_ = inside("unshare", "--mount", before=hidden)
    assert (kind, own_proc) == ("Wall", False)
