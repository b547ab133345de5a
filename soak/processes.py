"""The processes of a soak: replicas that are started again whenever they end, and workspaces that live.

A replica's keeper is what an orchestrator is to the app: it knows nothing of the
app but whether its process lives.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vibe_app.cli import ports

ROOT = Path(__file__).parent.parent
_STOP_SECONDS = 40.0
_RESTART_SECONDS = 0.5


@dataclass
class Fault:
    """One thing that was done to a replica or to the database, in seconds since 1970.

    Args:
        kind: What was done.
        began: When.
        pid: The process that it was done to; None for the database.
        ended: When it was over; None while it goes on, and for a death.
    """

    kind: str
    began: float
    pid: int | None = None
    ended: float | None = None


async def spawn(module: str, *arguments: str, log: Path, variables: Mapping[str, str]) -> Process:
    """Start a module of the soak that dies with this process.

    A session of its own keeps Ctrl-C from it, which is for the soak alone.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIBE_")}
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments,
            cwd=ROOT, env=inherited | dict(variables), stdin=PIPE, stdout=PIPE, stderr=output,
            start_new_session=True,
        )  # fmt: skip


class Replica:
    """One replica of the app, on a port of its own, for as long as it is kept.

    Args:
        number: Tells it from the others.
        log: Where its words go.
        variables: The app's settings.

    Attributes:
        url: Where its API answers while it is up.
        up: Whether it serves, as far as its keeper knows.
        busy: Whether something is being done to it already.
        faults: What was done to it.
        troubles: What it did that no replica should.
    """

    def __init__(self, number: int, log: Path, variables: Mapping[str, str]) -> None:
        with ports.bind("127.0.0.1", 0) as free:
            self._port = free.getsockname()[1]
        self.number = number
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.up = self.busy = False
        self.faults: list[Fault] = []
        self.troubles: list[str] = []
        self.starts = 0
        self._log = log
        self._variables = variables
        self._process: Process | None = None
        self._asked = self._closing = False
        self._change = asyncio.Event()

    async def keep(self) -> None:
        """Start it, and start it again whenever it ends, until it is closed."""
        while not self._closing:
            self._process = await spawn(
                "soak.replica", str(self._port), log=self._log, variables=self._variables
            )
            self.starts += 1
            assert self._process.stdout is not None
            served = await self._process.stdout.readline() == b"ready\n"
            self._set(served)
            # Its further words are few, but a full pipe would stop it.
            await self._process.stdout.read()
            status = await self._process.wait()
            self._set(False)
            if served and not self._asked:
                self.troubles.append(f"replica {self.number} ended by itself with status {status}")
            self._asked = False
            if not self._closing:
                await asyncio.sleep(_RESTART_SECONDS)

    @property
    def pid(self) -> int | None:
        """The process that runs or ran last."""
        return self._process.pid if self._process else None

    def _set(self, up: bool) -> None:
        self.up = up
        self._change.set()
        self._change = asyncio.Event()

    async def is_up(self, up: bool = True) -> None:
        """Return once it serves, or does not serve any more."""
        while self.up != up:
            await self._change.wait()

    def _send(self, number: signal.Signals) -> int:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        return self._process.pid

    async def kill(self) -> None:
        """End it as a crash does; return when it serves again."""
        self._asked = True
        self.faults.append(Fault("killed", time.time(), self._send(signal.SIGKILL)))
        await self.is_up(False)
        await self.is_up()

    async def terminate(self) -> None:
        """Ask it to end, as a redeploy does; return when it serves again."""
        await self._stop("terminated")
        await self.is_up()

    async def freeze(self, seconds: float) -> None:
        """Stop it in its tracks for so long, as a machine that swaps or a cluster that migrates it does."""
        fault = Fault("frozen", time.time(), self._send(signal.SIGSTOP))
        self.faults.append(fault)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._send(signal.SIGCONT)
            fault.ended = time.time()

    async def close(self) -> None:
        """End it for good."""
        self._closing = True
        if self.up:
            await self._stop("closed")
        elif self._process is not None and self._process.returncode is None:
            self._send(signal.SIGKILL)

    async def destroy(self) -> None:
        """Leave no process behind, whatever happened."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _stop(self, kind: str) -> None:
        self._asked = True
        process = self._process
        assert process is not None
        self.faults.append(Fault(kind, time.time(), self._send(signal.SIGTERM)))
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await process.wait()
        except TimeoutError:
            self.troubles.append(f"replica {self.number} did not end within {_STOP_SECONDS:.0f} s of SIGTERM")
            process.kill()
            return
        finally:
            await self.is_up(False)
        if status:
            self.troubles.append(f"replica {self.number} ended with status {status} after SIGTERM")


@asynccontextmanager
async def workspaces(count: int, folder: Path, seed: str) -> AsyncIterator[list[int]]:
    """Run so many scripted sidecars, each in a process of its own; yields their ports."""
    started: list[Process] = []
    try:
        for number in range(count):
            process = await spawn(
                "soak.workspace", str(folder), f"{seed}-{number}", log=folder / "workspaces.log", variables={}
            )
            started.append(process)
        answers = [await process.stdout.readline() for process in started if process.stdout]
        yield [int(answer) for answer in answers]
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.wait()
