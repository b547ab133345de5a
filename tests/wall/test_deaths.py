"""Whatever of a sandbox is killed, all of it goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.waiting import eventually
from tests.wall import rig
from tests.wall.rig import Behind, behind

# Leaves its group, its session and its parent, and holds nobody's output open.
_DAEMON = (
    "(setsid nohup bash -c 'trap \"\" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 &); echo left"
)


def family(keeper: int) -> list[psutil.Process]:
    """The keeper, and all below it."""
    first = psutil.Process(keeper)
    return [first, *first.children(recursive=True)]


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _chain(keeper: int) -> dict[str, psutil.Process]:
    """Who can be killed, from outside to inside."""
    first = psutil.Process(keeper)
    monitor = next(child for child in first.children() if "bwrap" in child.name())
    inside = monitor.children()[0]
    return {"keeper": first, "bubblewrap": monitor, "first inside": inside, "OpenCode": inside.children()[0]}


KILLS: dict[str, Callable[[Behind], object]] = {
    "keeper": lambda workspace: _kill(workspace, "keeper"),
    "bubblewrap": lambda workspace: _kill(workspace, "bubblewrap"),
    "first inside": lambda workspace: _kill(workspace, "first inside"),
    "OpenCode": lambda workspace: _kill(workspace, "OpenCode"),
}


def _kill(workspace: Behind, who: str) -> None:
    assert workspace.process
    _chain(workspace.process.pid)[who].send_signal(signal.SIGKILL)


@pytest.mark.parametrize("who", KILLS)
def test_whoever_is_killed_nothing_is_left(who: str) -> None:
    assert not (missing := rig.needs()), missing
    with behind() as workspace:
        workspace.start()
        assert "left" in workspace.bash(_DAEMON)
        assert workspace.process
        everybody = family(workspace.process.pid)
        assert len(everybody) >= 6
        KILLS[who](workspace)
        workspace.process.wait(10)
        asyncio.run(eventually(lambda: not [each for each in everybody if runs(each)]))
