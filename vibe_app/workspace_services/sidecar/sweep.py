"""Ends the processes that a run left behind.

Every process that OpenCode starts for the agent inherits `VIBE_PROJECT_ID` (set for
the OpenCode process by `opencode_env`) and `OPENCODE_PID` (set by OpenCode inside
itself, so that its own start-up environment lacks it). A process that has both was
started by an agent of this project, however often it forked, changed its session or
lost its parents; neither OpenCode, nor the sidecar, nor the app has both.

The limits: a process that empties its environment (`env -i`) and has left OpenCode's
process tree as well is not recognised. With several runs in one workspace the variables
do not tell whose a process is; then only those are ended that are older than every
other live run, and the rest when the last run ends.

The processes of one command share `VIBE_COMMAND`, the mark that its supervisor gave it
(`vibe_app.workspaces.runtimes.supervision`): so those of a single command can be ended as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import psutil

# A process may fork while the list is read: look again until nothing is left.
ROUNDS = 6
SUPERVISOR = "vibe-command"
"""What the supervisors of commands call themselves; nobody needs to hear of those."""
_DYING = 0.3
_TICK = 0.05
_LINUX = hasattr(time, "CLOCK_BOOTTIME")


async def sweep(project_id: str, older_than: Callable[[], float | None]) -> list[str]:
    """Kill what agents of the project left running, and return the names of it.

    Returns once they are gone, within about a second.

    Args:
        project_id: The project whose processes are meant.
        older_than: Returns an age in seconds; younger processes are spared, since they
            may belong to another run. None spares nothing. Asked anew, from another
            thread, each time before something is killed, since a run may begin meanwhile.
    """
    return await asyncio.to_thread(_sweep, project_id, older_than)


def _sweep(project_id: str, older_than: Callable[[], float | None]) -> list[str]:
    names: list[str] = []
    for _ in range(ROUNDS):
        found, killed = _round(project_id, lambda: moment(older_than))
        names += killed
        if not found:
            break
    return names


def clock() -> float:
    """Seconds since the machine started, the same in each of its containers; where none are, since 1970."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _LINUX else time.time()


def moment(older_than: Callable[[], float | None]) -> float | None:
    """Return the moment on `clock` that an age means, rather an earlier one than a later."""
    present = clock()
    return None if (age := older_than()) is None else present - age


def sweep_once(project_id: str, before: float | None) -> tuple[int, list[str]]:
    """Kill what agents of the project left running and began before a moment, in one round.

    Args:
        project_id: The project whose processes are meant.
        before: On `clock`; None spares nothing.

    Returns:
        How many there were, and the names of those that were killed. Unless there were
        none, some may be left: look again.
    """
    return _round(project_id, lambda: before)


def open_commands(project_id: str) -> list[str]:
    """Return the marks of the commands of which anything runs, whether or not they have ended themselves."""
    return sorted({mark for _, mark in _of_agents(project_id) if mark})


def end_command(project_id: str, mark: str) -> list[str]:
    """Kill what is left of one command, and return the names of it."""
    names: list[str] = []
    for _ in range(ROUNDS):
        found = [process for process, of in _of_agents(project_id) if of == mark]
        if not found:
            break
        names += _end(found)
    return names


def _round(project_id: str, until: Callable[[], float | None]) -> tuple[int, list[str]]:
    marked = _of_agents(project_id)
    before = until()
    found = [process for process, _ in marked if _meant(process, before)]
    return len(found), _end(found)


def _end(found: Sequence[psutil.Process]) -> list[str]:
    names = [name for process in found if (name := _kill(process))]
    psutil.wait_procs(found, timeout=_DYING)
    return names


def _of_agents(project_id: str) -> Sequence[tuple[psutil.Process, str]]:
    """The processes that an agent of the project started, each with the mark of its command."""
    servers: set[int] = set()
    marked: list[tuple[psutil.Process, str]] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            env = process.environ()
            if env.get("VIBE_PROJECT_ID") == project_id and env.get("OPENCODE_PID", "").isdigit():
                servers.add(int(env["OPENCODE_PID"]))
                if process.status() != psutil.STATUS_ZOMBIE:
                    marked.append((process, env.get("VIBE_COMMAND", "")))
    # Children that emptied their environment, as long as they hang below a marked one.
    known = {process.pid for process, _ in marked}
    for process, mark in list(marked):
        with contextlib.suppress(psutil.Error):
            for child in process.children(recursive=True):
                if child.pid not in known and child.pid not in servers:
                    known.add(child.pid)
                    marked.append((child, mark))
    return [(process, mark) for process, mark in marked if process.pid not in servers]


def _meant(process: psutil.Process, before: float | None) -> bool:
    if before is None:
        return True
    with contextlib.suppress(psutil.Error):
        # psutil adds a boot time in whole seconds, which is taken off again.
        began = process.create_time() - (psutil.boot_time() if _LINUX else 0.0)
        return began < before - _TICK
    return False


def _kill(process: psutil.Process) -> str | None:
    with contextlib.suppress(psutil.Error):
        name, command = process.name(), process.cmdline()
        process.kill()
        return None if command[:1] == [SUPERVISOR] else name
    return None
