"""How much memory, disk and processes what is behind the wall may take, kept without control groups.

Control groups would need rights that an ordinary user seldom has. So the keeper looks once a second
at the processes that it has started (nothing else of the machine), adds up what they have to
themselves, and ends the greediest command. OpenCode goes on and is told why. Standard library only.

Not counted: memory that several processes share, or that no process has mapped (memfd). What lies
in `/tmp` and `/dev/shm` is bounded by their sizes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST_PROCESSES = 400
"""Processes and threads of processes that may run behind a wall."""
_MIB = 1 << 20
_ROUNDS = 200
# Seconds for a supervisor to tell and go, before it is ended itself.
_PATIENCE = 5.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SUPERVISOR = b"vibe-command"


@dataclass(frozen=True)
class Limits:
    """What may be taken; 0 means that it is not bounded.

    Args:
        memory: MiB.
        disk: MiB of all that lies in `folders`.
        processes: How many.
        folders: Where the agent writes.
    """

    memory: int
    disk: int
    processes: int = MOST_PROCESSES
    folders: tuple[Path, ...] = ()


@dataclass
class Process:
    """A process behind the wall.

    Args:
        pid: As it is seen from outside.
        started: When, in ticks since the machine's start.
        memory: Bytes.
        threads: How many; 0 once it has ended.
        supervises: Whether it calls itself a command's supervisor.
        children: Those that are left, oldest first.
    """

    pid: int
    started: int
    memory: int
    threads: int
    supervises: bool
    children: list[Process] = field(default_factory=list)

    def family(self) -> Iterator[Process]:
        """It, and all below it."""
        waiting = [self]
        while waiting:
            each = waiting.pop()
            yield each
            waiting += each.children


class Bounds:
    """Holds one sandbox to its limits.

    Args:
        limits: What may be taken.
        notices: The file in which the commands' supervisors read why one was ended; a line for each:
            the number of the supervisor as seen from inside, and a sentence.
    """

    def __init__(self, limits: Limits, notices: Path) -> None:
        self._limits = limits
        self._notices = notices
        self._free = _free(limits.folders)
        self._used = 0
        self._measured = False
        self._told: dict[int, float] = {}

    def check(self, sandbox: int) -> None:
        """Look once, and end what is too greedy.

        Args:
            sandbox: The process id of bubblewrap, the ancestor of all that is behind the wall.
        """
        limits = self._limits
        monitor = tree(sandbox)
        if monitor is None:
            return
        everybody = list(monitor.family())
        if limits.memory and _memory(everybody, limits.memory * _MIB) > limits.memory * _MIB:
            words = f"it used more than the {limits.memory} MiB of memory that a workspace may have"
            self._end(monitor, lambda family: sum(each.memory for each in family), words, server=True)
        elif limits.processes and sum(each.threads for each in everybody) > limits.processes:
            words = f"it started more than the {limits.processes} processes that a workspace may have"
            # Who multiplies also leaves its family: at the second look all commands go.
            everyone = bool(self._told)
            self._end(monitor, lambda family: sum(each.threads for each in family), words, everyone=everyone)
        elif self._too_full():
            words = f"the workspace's files would take more than {limits.disk} MiB"
            self._end(monitor, lambda family: sum(_written(each.pid) for each in family), words)
        else:
            self._told.clear()

    def _end(
        self,
        monitor: Process,
        weigh: Callable[[list[Process]], int],
        words: str,
        *,
        server: bool = False,
        everyone: bool = False,
    ) -> None:
        """End the command that weighs most, or all of them.

        With `server` it may be OpenCode itself.
        """
        first = next(iter(monitor.children), None)
        if first is None:
            return
        opencode = next(iter(first.children), None)
        heads = [*(opencode.children if opencode else ()), *first.children[1:]]
        families = [list(head.family()) for head in heads]
        greedy = max(families, key=weigh, default=None)
        if opencode and server and (greedy is None or weigh([opencode]) > weigh(greedy)):
            return _kill([opencode])
        if greedy is None:
            return
        ended = families if everyone else [greedy]
        now = time.monotonic()
        patience = now - _PATIENCE
        again = any(self._told.get(family[0].pid, now) < patience for family in ended)
        for family in ended:
            if family[0].pid not in self._told:
                self._told[family[0].pid] = now
                self._tell(family[0].pid, words)
        server_pids = {monitor.pid, first.pid, opencode.pid if opencode else 0}

        def to_end() -> Iterator[Process]:
            """Who is to go, as it is now."""
            roots = [tree(monitor.pid)] if everyone else [tree(family[0].pid) for family in ended]
            for each in (each for root in roots if root for each in root.family()):
                # A supervisor tells what happened and goes by itself; what only calls itself so does not.
                # OpenCode would not notice that one was ended, and wait for the command's time limit.
                if each.pid not in server_pids and (again or not each.supervises):
                    yield each

        _end(to_end)

    def _tell(self, pid: int, words: str) -> None:
        # Appended by us alone: the folder cannot be written from inside.
        with suppress(OSError), self._notices.open("a") as file:
            file.write(f"{_inner(pid)} [Vibe ended this command: {words}]\n")

    def _too_full(self) -> bool:
        """Whether the files have grown since they were last measured, and are too many now."""
        if not self._limits.disk:
            return False
        limit, free = self._limits.disk * _MIB, _free(self._limits.folders)
        # The walk costs as much as there is, so it is taken where enough was written to matter.
        if self._measured and self._free - free < limit // 32:
            self._free = max(free, self._free)
            return False
        before, self._used = self._used, sum(map(_size, self._limits.folders))
        first, self._measured = not self._measured, True
        self._free = free
        return not first and self._used > limit and self._used > before


def crowd() -> int:
    """How many processes and threads the machine has now: cheap to ask, and enough to see a storm coming."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return 0


def population(inside: int) -> int:
    """How many processes are behind the wall, where they have a `/proc` of their own; else 0.

    Args:
        inside: The first of them.
    """
    with suppress(OSError):
        if os.stat(f"/proc/{inside}/root/proc").st_dev == os.stat("/proc").st_dev:
            return 0
        names = os.listdir(f"/proc/{inside}/root/proc")
        return sum(map(str.isdigit, names))
    return 0


def eldest(pid: int) -> int:
    """The oldest child of a process; 0 where it has none."""
    children = filter(None, map(_look_at, _children(pid)))
    return min(((child.started, child.pid) for child in children), default=(0, 0))[1]


def tree(pid: int) -> Process | None:
    """A process and all below it, as they are now; None where there is none."""
    top = _look_at(pid)
    waiting = [top] if top else []
    while waiting:
        # Not by recursion: a storm is a deep one.
        parent = waiting.pop()
        children = (_look_at(number) for number in _children(parent.pid))
        # Not by their numbers, which begin anew when they are used up.
        parent.children = sorted(filter(None, children), key=lambda child: (child.started, child.pid))
        waiting += parent.children
    return top


def _look_at(pid: int) -> Process | None:
    with suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        state, *rest = stat[stat.rindex(")") + 2 :].split()
        # Who has ended and is not buried yet takes nothing.
        threads = 0 if state in "ZX" else int(rest[16])
        pages = Path(f"/proc/{pid}/statm").read_text().split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        memory = (int(pages[1]) - int(pages[2])) * _PAGE
        return Process(pid, int(rest[18]), memory, threads, command.partition(b"\0")[0] == _SUPERVISOR)
    return None


def _memory(processes: list[Process], limit: int) -> int:
    """Bytes that all have; what they share is added to theirs where it could matter.

    It is no more than the machine has of it, which is cheap to know; to know it of each process is not.
    """
    alone = sum(each.memory for each in processes)
    if alone + _shared_by_all() <= limit:
        return alone
    seen: set[int] = set()
    for each in processes:
        # A file in memory is mapped, or held open, or both.
        each.memory += max(_mapped(each.pid), _held_open(each.pid, seen))
    return sum(each.memory for each in processes)


def _shared_by_all() -> int:
    """Bytes of shared memory on the whole machine, files in memory among it (proc_meminfo(5))."""
    return _amount("/proc/meminfo", "Shmem:")


def _mapped(pid: int) -> int:
    """Bytes of shared memory that a process has mapped, its part of it where several have."""
    return _amount(f"/proc/{pid}/smaps_rollup", "Pss_Shmem:")


def _held_open(pid: int, seen: set[int]) -> int:
    """Bytes of files in memory (memfd_create(2)) that a process holds open and nobody has been seen to."""
    size = 0
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if not os.readlink(entry.path).startswith("/memfd:"):
                    continue
                found = os.stat(entry.path)
                if found.st_ino not in seen:
                    seen.add(found.st_ino)
                    size += found.st_blocks * 512
    return size


def _amount(path: str, name: str) -> int:
    """Bytes that a line of the kernel's tells in KiB; 0 where it does not."""
    with suppress(OSError, ValueError, IndexError), open(path) as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1]) << 10
    return 0


def _children(pid: int) -> set[int]:
    """The children of a process, of each of its threads."""
    found: set[int] = set()
    threads: list[str] = []
    with suppress(OSError):
        threads = os.listdir(f"/proc/{pid}/task")
    for thread in threads:
        with suppress(OSError):
            found.update(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split()))
    return found


def _end(wanted: Callable[[], Iterator[Process]]) -> None:
    """End who is wanted, again and again until nobody new is."""
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        new = [each for each in wanted() if each.pid not in ended]
        if not new:
            break
        ended |= {each.pid for each in new}
        _kill(new)


def _kill(processes: list[Process]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _inner(pid: int) -> int:
    """The number of a process as it is seen by itself."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0


def _written(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    return 0


def _free(folders: tuple[Path, ...]) -> int:
    """Bytes that are free where the folders lie."""
    free = 0
    for folder in folders[:1]:
        with suppress(OSError):
            found = os.statvfs(folder)
            free = found.f_bfree * found.f_frsize
    return free


def _size(folder: Path) -> int:
    """Bytes that a folder takes, links as themselves."""
    size = 0
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return size
