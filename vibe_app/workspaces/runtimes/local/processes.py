"""Processes that outlive the app: started, recognised again, and ended with all that they started.

A process is known by its number together with the moment it began, since numbers
are used again. What belongs to a workspace is known by two variables in its
environment, which every descendant inherits however it detaches itself; nothing
else is ever ended. What runs in the processes is not this module's business.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil

from vibe_app.errors import Unavailable
from vibe_app.private import ORDINARY
from vibe_app.wire import plain_text
from vibe_app.workspaces.runtimes.endings import memory_kills, signal_name

INSTALLATION = "VIBE_INSTALLATION"
_PROJECT = ("VIBE_PROJECT_ID", "PROJECT_ID")

# Seconds. The moment of the boot is known in whole seconds only.
_ROUNDING = 2.0
_POLL = 0.02
# Generations. The list of processes is not read in one moment, so it might contain a circle.
_DEEPEST = 256
_LOG_LIMIT = 4 * 1024 * 1024
_LOG_KEEP = 256 * 1024

# Being the parent is a fact of this operating system process: only it can learn how a child ended.
_children: dict[int, subprocess.Popen[bytes]] = {}
# How many processes had been ended for want of memory when each of them was started.
_memory_kills_before: dict[int, int] = {}


def marker(data: Path, project_id: UUID) -> dict[str, str]:
    """The variables by which a process of this installation's workspace is recognised."""
    return {INSTALLATION: str(data), _PROJECT[0]: str(project_id)}


def spawn(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path, told: bytes = b""
) -> psutil.Process:
    """Start a process in a session of its own, with exactly `env`, its output in `log`.

    What the one before it wrote stays beside it as `<log>.previous`.

    Args:
        command: The program and its arguments.
        env: Its whole environment.
        cwd: Where it starts.
        log: Takes its output.
        told: What it reads on its standard input, which it does at once.

    Raises:
        OSError: It cannot be started.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.exists():
        log.replace(f"{log}.previous")
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=ORDINARY,
        )
    if child.stdin is not None:
        # Where it has ended already, its words are in the log.
        with child.stdin, suppress(BrokenPipeError):
            child.stdin.write(told)
    _children[child.pid] = child
    _memory_kills_before[child.pid] = memory_kills()
    return psutil.Process(child.pid)


def began(process: psutil.Process) -> float:
    """When a process began, in seconds since the machine's boot: setting the clock does not change it.

    Raises:
        psutil.Error: There is no such process any more.
    """
    # Both terms follow the clock, and psutil remembers the first of them for as long as its object lives.
    return psutil.Process(process.pid).create_time() - psutil.boot_time()


def find(pid: int, started: float, data: Path) -> psutil.Process | None:
    """Return the process with this number that began at this time, if it still runs and is ours.

    Args:
        pid: Its number.
        started: What `began` said of it.
        data: The data folder of the installation that it must belong to.
    """
    try:
        process = psutil.Process(pid)
        same = abs(began(process) - started) < _ROUNDING
        ours = same and _is_of(process, data)
    except psutil.Error:
        return None
    return process if ours and runs(process) else None


def _is_of(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(INSTALLATION) == str(data)
    except psutil.AccessDenied:
        # Linux tells nobody the environment of a program that its user may not read, as in the image.
        return process.uids().real == os.getuid()


def runs(process: psutil.Process | None) -> bool:
    """Whether the process runs now. One that has ended but was not collected by its parent does not."""
    if process is None:
        return False
    child = _children.get(process.pid)
    if child is not None and child.poll() is not None:
        return False
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ending(process: psutil.Process) -> str:
    """How a process ended, in words that follow its name."""
    child = _children.get(process.pid)
    status = child.poll() if child is not None else None
    if status is None:
        return "ended"
    if status < 0:
        starved = status == -signal.SIGKILL and memory_kills() > _memory_kills_before.get(process.pid, 0)
        return f"was ended by {signal_name(-status)}{' for want of memory' if starved else ''}"
    return f"ended with status {status}"


def of_workspace(
    data: Path, project_id: UUID | None = None, known: Iterable[psutil.Process] = ()
) -> dict[UUID, list[psutil.Process]]:
    """Return what runs of this installation's workspaces, by project, descendants included.

    Args:
        data: The installation's data folder.
        project_id: Only this project's.
        known: Processes that are this project's whatever can be read of them.
    """
    sure = {process.pid for process in known if runs(process)}
    running: dict[int, psutil.Process] = {}
    parents: dict[int, int] = {}
    owners: dict[int, UUID] = {}
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            parents[pid] = process.ppid()
            running[pid] = process
            if owner := project_id if pid in sure else _project(process, data):
                owners[pid] = owner
        except psutil.Error:
            continue
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[UUID, list[psutil.Process]] = {}
    for pid, process in running.items():
        # A command may have emptied its environment: its nearest marked ancestor tells whose it is.
        ancestor = pid
        for _ in range(_DEEPEST):
            if ancestor in owners or ancestor in own or ancestor not in parents:
                break
            ancestor = parents[ancestor]
        owner = owners.get(ancestor)
        if owner and project_id in (None, owner) and pid not in own and runs(process):
            found.setdefault(owner, []).append(process)
    return found


def family(process: psutil.Process | None) -> set[int]:
    """The numbers of a process and of all its descendants."""
    if process is None:
        return set()
    try:
        return {process.pid, *(child.pid for child in process.children(recursive=True))}
    except psutil.Error:
        return set()


def _project(process: psutil.Process, data: Path) -> UUID | None:
    environment = process.environ()
    if environment.get(INSTALLATION) != str(data):
        return None
    for name in _PROJECT:
        try:
            return UUID(environment.get(name, ""))
        except ValueError:
            continue
    return None


async def end(members: Callable[[], Iterable[psutil.Process]], *, grace: float = 1.0) -> None:
    """End every process that `members` finds, again and again until it finds none.

    Each is asked to end first and killed after `grace` seconds. `members` runs in a
    thread and is asked anew each round, since a process may start others meanwhile.

    Raises:
        Unavailable: Some process does not end even when killed.
    """
    survivors: list[psutil.Process] = []
    for number in (signal.SIGTERM, *[signal.SIGKILL] * 5):
        survivors = list(await asyncio.to_thread(lambda: [p for p in members() if runs(p)]))
        if not survivors:
            return
        for process in survivors:
            _send(process, number)
        await _gone(survivors, grace)
    survivors = [process for process in survivors if runs(process)]
    if survivors:
        pids = ", ".join(str(process.pid) for process in survivors)
        raise Unavailable(f"These processes of the workspace cannot be ended: {pids}.")


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


async def _gone(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Return when none of them runs any more, or after so many seconds."""
    for _ in range(round(seconds / _POLL)):
        if not any(runs(process) for process in processes):
            return
        await asyncio.sleep(_POLL)


def collect() -> None:
    """Let the operating system forget children that have ended."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]
            _memory_kills_before.pop(pid, None)


def last_words(log: Path, lines: int = 4) -> str:
    """The last lines of a log as one line of plain text, for a sentence about an early end."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            text = plain_text(file.read().decode("utf-8", "replace"))
    except OSError:
        return ""
    words = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(words[-lines:])[-600:]


def trim_log(log: Path) -> None:
    """Cut a log that has grown over 4 MiB down to its last 256 KiB, in place.

    The writer has opened it for appending and simply goes on at the new end;
    what it writes during the cut is lost.

    Raises:
        OSError: It cannot be written.
    """
    if not log.exists():
        return
    with log.open("r+b") as file:
        if file.seek(0, os.SEEK_END) <= _LOG_LIMIT:
            return
        file.seek(-_LOG_KEEP, os.SEEK_END)
        tail = file.read()
        file.truncate(0)
    with log.open("ab") as file:
        file.write(tail)
