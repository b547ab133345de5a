"""An agent that makes OpenCode crash does not find its memory in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.wall import rig
from tests.wall.rig import PYTHON, Behind, behind

PATTERN = Path("/proc/sys/kernel/core_pattern")
# With as large a file as OpenCode may have. The command ends with it at the latest.
CRASH = f"""{PYTHON} -c '
import os, resource, signal
pid = int(os.environ["OPENCODE_PID"])
for most in (resource.RLIM_INFINITY, resource.prlimit(pid, resource.RLIMIT_CORE)[1]):
    try:
        resource.prlimit(pid, resource.RLIMIT_CORE, (most, most))
        break
    except (OSError, ValueError):
        continue
os.kill(pid, signal.SIGABRT)
'"""

pytestmark = pytest.mark.timeout(200)


def left(workspace: Behind) -> list[Path]:
    """Files of the workspace that hold OpenCode's password, after it was made to crash."""
    workspace.start()
    assert workspace.process
    workspace.bash_until_it_ends(CRASH)
    assert workspace.process.wait(60) == -6, workspace.log.read_text()[-2000:]
    places = [workspace.tree, workspace.layout.home, workspace.layout.given]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return [path for path in files if holds(path, workspace.password.encode())]


def holds(path: Path, secret: bytes) -> bool:
    """Whether a file, which may be large and full of holes, has something in it."""
    with path.open("rb") as file:
        tail, at = b"", 0
        while True:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole from here
                return False
            chunk = os.pread(file.fileno(), 16 << 20, at)
            if secret in tail + chunk:
                return True
            if not chunk:
                return False
            tail, at = chunk[-len(secret) :], at + len(chunk)


def test_an_opencode_that_crashes_leaves_no_memory_behind() -> None:
    assert not (missing := rig.needs()), missing
    with behind() as workspace:
        assert left(workspace) == []


@pytest.mark.skipif(
    "/" in PATTERN.read_text() or PATTERN.read_text().startswith("|"),
    reason="this machine writes memory of what crashes to a place of its own (kernel.core_pattern)",
)
def test_without_the_wall_a_crash_leaves_it_to_everybody() -> None:
    with behind(walled=False) as workspace:
        assert left(workspace)
