"""What is killed in a soak of rounds, and when. Only what the data folder's records name, and its own.

Some deaths come at any moment, others just when somebody has asked for something: there is most to lose.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
from pydantic import ValidationError

from soak.processes import Replica
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Name, Record

# Deaths of OpenCode or its sidecar within a minute after which a workspace is given up, as is meant.
_ALLOWED, _WINDOW = 3, 63.0
# Seconds between two deaths of the server: a session that was broken off three times is given up.
_SERVER = 15.0
_KINDS = {"server": 3, "sidecar": 4, "opencode": 4, "files": 4, "git": 4, "gateway": 1}
# Seconds for which a git to be killed is waited for.
_GIT = 3.0
_CORE = ("sidecar", "opencode")
# What is most worth killing while somebody waits for it, and for how many seconds it takes at most.
_MOMENTS: dict[str, tuple[tuple[str, ...], float]] = {
    "execute": (("server", "sidecar", "opencode", "files", "git"), 3.0),
    "follow-up": (("server", "sidecar", "opencode", "sidecar", "opencode"), 1.5),
    "end": (("server", "files", "git", "sidecar"), 2.5),
    "comment": (("server",), 0.2),
    "decide": (("server", "files", "git", "git", "server"), 0.8),
    "save": (("server", "files", "git"), 0.4),
}


class Luck:
    """Kills, and writes down what.

    Args:
        server: The server.
        data: Its data folder.
        dice: Decide.
        pause: Seconds between two deaths that come by themselves, at least and at most.
        chance: Of a death whenever somebody asks for something.

    Attributes:
        counts: How often what was killed.
        log: Each death in words, with its moment.
        over: Whether enough has been killed.
    """

    def __init__(
        self, server: Replica, data: Path, dice: Random, pause: tuple[float, float], chance: float
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.log: list[str] = []
        self.over = False
        self._server = server
        self._data = data
        self._dice = dice
        self._pause = pause
        self._chance = chance
        self._server_died = 0.0
        self._deaths: defaultdict[str, deque[float]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def total(self) -> int:
        """How many deaths there have been."""
        return sum(self.counts.values())

    async def strike(self) -> None:
        """Kill something now and then, until cancelled."""
        kinds = [kind for kind, times in _KINDS.items() for _ in range(times)]
        while True:
            await asyncio.sleep(self._dice.uniform(*self._pause))
            await self._kill(self._dice.choice(kinds), "by itself")

    def near(self, moment: str) -> None:
        """Somebody asks for something just now: something that it needs may die a moment later."""
        kinds, longest = _MOMENTS[moment]
        kind, after = self._dice.choice(kinds), self._dice.uniform(0, longest)
        if self._dice.random() < self._chance:
            task = asyncio.create_task(self._soon(kind, after, moment))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Kill nothing any more; return when the last death is over and the server serves again."""
        self.over = True
        await asyncio.gather(*self._tasks)
        await self._server.is_up()

    async def _soon(self, kind: str, after: float, moment: str) -> None:
        await asyncio.sleep(after)
        await self._kill(kind, f"{after:.2f} s after {moment}")

    async def _kill(self, kind: str, why: str) -> None:
        if self.over:
            return
        if kind == "server":
            if self._server.up and not self._server.busy and time.monotonic() > self._server_died + _SERVER:
                self._server_died = time.monotonic()
                self._note(kind, f"process {self._server.pid}", why)
                self._server.busy = True
                try:
                    await self._server.kill()
                finally:
                    self._server.busy = False
            return
        await asyncio.to_thread(self._kill_of_a_workspace, kind, why)

    def _kill_of_a_workspace(self, kind: str, why: str) -> None:
        records = self._records()
        self._dice.shuffle(records)
        for record in records:
            project = str(record.project_id)
            if kind in _CORE and not self._may(project):
                continue
            found = self._victim(kind, record)
            if found is None:
                continue
            with suppress(psutil.Error):
                found.send_signal(signal.SIGKILL)
                self._note(kind, f"process {found.pid} of project {project[:8]}", why)
                if kind in _CORE:
                    self._deaths[project].append(time.monotonic())
                return

    def _victim(self, kind: str, record: Record) -> psutil.Process | None:
        name = Name.FILES if kind == "git" else Name(kind)
        service = record.service(name)
        process = service.process(self._data) if service else None
        if process is None:
            return None
        with suppress(psutil.Error):
            if kind == "git":
                return self._git_of(process)
            if kind == "opencode" and self._dice.random() < 0.5:
                # Not what keeps the wall around it, but the program behind.
                own = [child for child in process.children(recursive=True) if "opencode" in child.name()]
                return own[0] if own else process
        return process

    def _git_of(self, files: psutil.Process) -> psutil.Process | None:
        """A git that the file browser has started, waited for a little: each lives for a moment only."""
        end = time.monotonic() + _GIT
        while time.monotonic() < end and not self.over:
            gits = [child for child in files.children(recursive=True) if child.name() == "git"]
            if gits:
                return self._dice.choice(gits)
            time.sleep(0.002)
        return None

    def _may(self, project: str) -> bool:
        deaths = self._deaths[project]
        while deaths and deaths[0] < time.monotonic() - _WINDOW:
            deaths.popleft()
        return len(deaths) < _ALLOWED

    def _records(self) -> list[Record]:
        found: list[Record] = []
        for path in sorted((self._data / "run").glob("*.json")):
            with suppress(OSError, ValueError, ValidationError):
                found.append(Record.model_validate(json.loads(path.read_bytes())))
        return found

    def _note(self, kind: str, what: str, why: str) -> None:
        self.counts[kind] += 1
        self.log.append(f"{time.time():.3f} {kind}: {what}, {why}")


def left_running(data: Path) -> list[str]:
    """Commands of agents that still run, in words: each bears the number of its card's tree."""
    found: list[str] = []
    for project, members in processes.of_workspace(data).items():
        for process in members:
            with suppress(psutil.Error):
                if tree := process.environ().get("VIBE_TREE"):
                    words = " ".join(process.cmdline())[:80]
                    found.append(f"process {process.pid} of card {tree} of project {project}: {words}")
    return found


async def end_everything(data: Path) -> None:
    """End whatever still runs of the data folder's workspaces."""

    def members() -> list[psutil.Process]:
        return [process for those in processes.of_workspace(data).values() for process in those]

    look: Callable[[], list[psutil.Process]] = members
    await processes.end(look)
