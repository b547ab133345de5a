"""Ends the processes that a run left behind.

Every process that OpenCode starts for the agent inherits `VIBE_PROJECT_ID` (set for
the OpenCode process by `opencode_env`) and `OPENCODE_PID` (set by OpenCode inside
itself, so that its own start-up environment lacks it). A process that has both was
started by an agent of this project, however often it forked, changed its session or
lost its parents; neither OpenCode, nor the sidecar, nor the app has both.

Whose run it was, `VIBE_TREE` says: the number of the card in whose tree the command began, which bash
notes before each command (`vibe_app.workspaces.runtimes.supervision`) and all that it starts inherits.
At a run's end what bears its card's number is ended, and what bears that of another card with a live run
is spared. Of the rest (a command that was told to begin elsewhere, a terminal's) nothing tells whose it
is: those are ended that are older than every other live run, and the others when the last run ends.

The limits: a process that empties its environment (`env -i`) and has left OpenCode's
process tree as well is not recognised.

The processes of one command share `VIBE_COMMAND`, the mark that its supervisor gave it
(`vibe_app.workspaces.runtimes.supervision`): so those of a single command can be ended as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import psutil

# A process may fork while the list is read: look again until nothing is left.
ROUNDS = 6
SUPERVISOR = "vibe-command"
"""What the supervisors of commands call themselves; nobody needs to hear of those."""
_DYING = 0.3
_TICK = 0.05
_LINUX = hasattr(time, "CLOCK_BOOTTIME")


class Meant(NamedTuple):
    """Which processes a run leaves behind.

    Args:
        age: Seconds; of those that bear no number of a card with a live run, younger ones are spared, since
            they may belong to another run. None spares nothing.
        tree: The number that the run's own bear; empty where it has none, or shares it with another run.
        others: Numbers of cards with other live runs: what bears one is spared.
    """

    age: float | None = None
    tree: str = ""
    others: Collection[str] = ()


class _Process(NamedTuple):
    """A process of an agent, and what of its environment tells whose it is."""

    process: psutil.Process
    command: str
    tree: str


async def sweep(project_id: str, meant: Callable[[], Meant]) -> list[str]:
    """Kill what agents of the project left running, and return the names of it.

    Returns once they are gone, within about a second.

    Args:
        project_id: The project whose processes are meant.
        meant: Returns which of them. Asked anew, from another thread, each time before something is
            killed, since a run may begin meanwhile.
    """
    return await asyncio.to_thread(_sweep, project_id, meant)


def _sweep(project_id: str, meant: Callable[[], Meant]) -> list[str]:
    names: list[str] = []
    for _ in range(ROUNDS):
        found, killed = _round(project_id, lambda: asked(meant))
        names += killed
        if not found:
            break
    return names


def clock() -> float:
    """Seconds since the machine started, the same in each of its containers; where none are, since 1970."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _LINUX else time.time()


def asked(meant: Callable[[], Meant]) -> tuple[Meant, float | None]:
    """Ask what is meant; return it with the moment on `clock` that its age means, rather too early a one."""
    present = clock()
    told = meant()
    return told, None if told.age is None else present - told.age


def sweep_once(project_id: str, before: float | None, meant: Meant) -> tuple[int, list[str]]:
    """Kill what agents of the project left running, in one round.

    Args:
        project_id: The project whose processes are meant.
        before: What its age means, on `clock`; None spares nothing.
        meant: Which of them.

    Returns:
        How many there were, and the names of those that were killed. Unless there were
        none, some may be left: look again.
    """
    return _round(project_id, lambda: (meant, before))


def open_commands(project_id: str) -> list[str]:
    """Return the marks of the commands of which anything runs, whether or not they have ended themselves."""
    return sorted({found.command for found in _of_agents(project_id) if found.command})


def end_command(project_id: str, mark: str) -> list[str]:
    """Kill what is left of one command, and return the names of it."""
    names: list[str] = []
    for _ in range(ROUNDS):
        found = [each.process for each in _of_agents(project_id) if each.command == mark]
        if not found:
            break
        names += _end(found)
    return names


def _round(project_id: str, told: Callable[[], tuple[Meant, float | None]]) -> tuple[int, list[str]]:
    marked = _of_agents(project_id)
    meant, before = told()
    found = [each.process for each in marked if _is_meant(each, meant, before)]
    return len(found), _end(found)


def _end(found: Sequence[psutil.Process]) -> list[str]:
    names = [name for process in found if (name := _kill(process))]
    psutil.wait_procs(found, timeout=_DYING)
    return names


def _of_agents(project_id: str) -> Sequence[_Process]:
    """The processes that an agent of the project started, each with its marks."""
    servers: set[int] = set()
    marked: list[_Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get("VIBE_PROJECT_ID") == project_id and env.get("OPENCODE_PID", "").isdigit():
                servers.add(int(env["OPENCODE_PID"]))
                if process.status() != psutil.STATUS_ZOMBIE:
                    marked.append(_Process(process, env.get("VIBE_COMMAND", ""), env.get("VIBE_TREE", "")))
    # Children that emptied their environment, as long as they hang below a marked one.
    known = {found.process.pid for found in marked}
    for found in list(marked):
        with contextlib.suppress(psutil.Error):
            for child in found.process.children(recursive=True):
                if child.pid not in known and child.pid not in servers:
                    known.add(child.pid)
                    marked.append(found._replace(process=child))
    return [found for found in marked if found.process.pid not in servers]


def _is_meant(found: _Process, meant: Meant, before: float | None) -> bool:
    if found.tree and found.tree == meant.tree:
        return True
    if found.tree in meant.others:
        return False
    if before is None:
        return True
    with contextlib.suppress(psutil.Error):
        # psutil adds a boot time in whole seconds, which is taken off again.
        began = found.process.create_time() - (psutil.boot_time() if _LINUX else 0.0)
        return began < before - _TICK
    return False


def _kill(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error):
        name, command = process.name(), process.cmdline()
        process.kill()
        return None if command[:1] == [SUPERVISOR] else name
    return None
