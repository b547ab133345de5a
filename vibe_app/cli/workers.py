"""Several server processes on one listening socket and one engine: started, watched, and stopped together.

The parent serves nothing itself. It stops those who serve first, so that what they
began is still carried out, and then the engine. uvicorn's own supervisor is not used: it kills a
worker that is busy for five seconds, leaves its workers behind when it is killed
itself, and has no way to tell when the server answers
(docs/decisions/0010-several-processes-may-serve.md).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

from vibe_app.cli import ports
from vibe_app.cli.options import console
from vibe_app.cli.server import STILL_CLOSING, STOPPING, address, log_as, recorded
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.endings import signal_name

logger = logging.getLogger(__name__)

Role = Literal["web", "engine"]
_CALLED: dict[Role, str] = {"web": "worker", "engine": "the engine"}
# Seconds before each restart of a worker that dies; the last one for all further ones.
_DELAYS = (0.0, 1.0, 3.0, 10.0)
# Seconds after which a worker's earlier deaths are forgotten.
_LONG_LIFE = 60.0


def run_workers(settings: Settings, listener: socket.socket, on_ready: Callable[[str, bool], object]) -> int:
    """Serve with `settings.workers` processes until SIGINT or SIGTERM; return the exit status.

    Args:
        settings: What to serve with.
        listener: The bound socket.
        on_ready: Called once the first worker answers, with the address and whether there is no account.
    """
    log_as(settings)
    with ExitStack() as until_stopped:
        return asyncio.run(_Workers(settings, listener, on_ready, until_stopped).run())


class _Workers:
    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        on_ready: Callable[[str, bool], object],
        until_stopped: ExitStack,
    ) -> None:
        host, port = settings.host, listener.getsockname()[1]
        self._settings = settings
        self._listener = listener
        self._url = address(host, port)
        self._on_ready = on_ready
        self._until_stopped = until_stopped
        self._environment = {
            **os.environ,
            "VIBE_DATA": str(settings.data),
            "VIBE_HOST": host,
            "VIBE_PORT": str(port),
        }
        self._living: dict[Process, Role] = {}
        self._answered = False
        self._stopping = asyncio.Event()
        self._asked = 0
        self._status = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        serving = asyncio.gather(*(self._keep("web") for _ in range(self._settings.workers)))
        engine = asyncio.create_task(self._keep("engine")) if self._settings.role == "all" else None
        await serving
        self._end("engine", signal.SIGTERM)
        if engine is not None:
            await engine
        return self._status

    def _stop(self, number: int) -> None:
        self._asked += 1
        if self._asked == 1:
            console.print(STOPPING)
        elif self._asked == 2:
            console.print(STILL_CLOSING)
        self._stopping.set()
        self._end("web", signal.SIGTERM)
        if self._asked > 2:
            self._end("web", signal.SIGKILL)
            self._end("engine", signal.SIGKILL)
            os._exit(128 + number)

    def _end(self, role: Role, number: int) -> None:
        for process, its_role in self._living.items():
            if its_role == role and process.returncode is None:
                process.send_signal(number)

    async def _keep(self, role: Role) -> None:
        """Keep one process running until all are to stop."""
        clock = asyncio.get_running_loop().time
        deaths = 0
        while True:
            began = clock()
            process = await self._live(role)
            if self._stopping.is_set():
                return
            if not self._answered:
                # What keeps the first from starting keeps every one from it.
                logger.error("a worker could not start: see what it said above")
                self._status = max(process.returncode or 0, 1)
                self._stopping.set()
                self._end("web", signal.SIGTERM)
                return
            deaths = deaths + 1 if clock() - began < _LONG_LIFE else 0
            delay = _DELAYS[min(deaths, len(_DELAYS) - 1)]
            called = _CALLED[role]
            logger.warning("%s %d %s: starting another", called, process.pid, _ending(process.returncode))
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
                return
            except TimeoutError:
                continue

    async def _live(self, role: Role) -> Process:
        """Start a process and return it once it has ended."""
        ours, theirs = socket.socketpair()
        # What a browser asks must never reach the engine: it answers on a port of its own, to this machine.
        listener = self._listener if role == "web" else ports.bind("127.0.0.1", 0)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vibe_app.cli.worker"),
                *(str(listener.fileno()), str(theirs.fileno())),
                pass_fds=(listener.fileno(), theirs.fileno()),
                env=self._environment | {"VIBE_ROLE": role},
                stdin=DEVNULL,
                # Ctrl-C goes to the parent alone, which passes it on.
                process_group=0,
            )
        if listener is not self._listener:
            listener.close()
        self._living[process] = role
        # It holds the other end for as long as it lives: this is how it hears that its parent has died.
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            if self._stopping.is_set():
                process.terminate()
            if said := await reader.readline():
                told = json.loads(said)
                logger.info("%s %d answers%s", _CALLED[role], process.pid, told["where"])
                if role == "web":
                    self._hear(told["empty"])
            await process.wait()
        finally:
            writer.close()
            del self._living[process]
        return process

    def _hear(self, empty: bool) -> None:
        if not self._answered:
            self._answered = True
            self._until_stopped.enter_context(recorded(self._settings.data, self._url))
            self._on_ready(self._url, empty)


def _ending(status: int | None) -> str:
    if status is None or status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal_name(-status)}"
