"""Several server processes on one listening socket: started, watched, and stopped together.

The parent serves nothing itself. uvicorn's own supervisor is not used: it kills a
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

from vibe_app.cli.options import console
from vibe_app.cli.server import STILL_CLOSING, STOPPING, address, log_as, recorded
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.endings import signal_name

logger = logging.getLogger(__name__)

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
        self._living: set[Process] = set()
        self._answered = False
        self._stopping = asyncio.Event()
        self._asked = 0
        self._status = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        await asyncio.gather(*(self._keep() for _ in range(self._settings.workers)))
        return self._status

    def _stop(self, number: int) -> None:
        self._asked += 1
        if self._asked == 1:
            console.print(STOPPING)
        elif self._asked == 2:
            console.print(STILL_CLOSING)
        self._end_all(signal.SIGTERM)
        if self._asked > 2:
            self._end_all(signal.SIGKILL)
            os._exit(128 + number)

    def _end_all(self, number: int) -> None:
        self._stopping.set()
        for process in self._living:
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self) -> None:
        """Keep one worker running until all are to stop."""
        clock = asyncio.get_running_loop().time
        deaths = 0
        while True:
            began = clock()
            process = await self._live()
            if self._stopping.is_set():
                return
            if not self._answered:
                # What keeps the first from starting keeps every one from it.
                logger.error("a worker could not start: see what it said above")
                self._status = max(process.returncode or 0, 1)
                self._end_all(signal.SIGTERM)
                return
            deaths = deaths + 1 if clock() - began < _LONG_LIFE else 0
            delay = _DELAYS[min(deaths, len(_DELAYS) - 1)]
            logger.warning("worker %d %s: starting another", process.pid, _ending(process.returncode))
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
                return
            except TimeoutError:
                continue

    async def _live(self) -> Process:
        """Start a worker and return it once it has ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vibe_app.cli.worker"),
                *(str(self._listener.fileno()), str(theirs.fileno())),
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                env=self._environment,
                stdin=DEVNULL,
                # Ctrl-C goes to the parent alone, which passes it on.
                process_group=0,
            )
        self._living.add(process)
        # It holds the other end for as long as it lives: this is how it hears that its parent has died.
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            if self._stopping.is_set():
                process.terminate()
            if said := await reader.readline():
                logger.info("worker %d answers", process.pid)
                self._hear(json.loads(said)["empty"])
            await process.wait()
        finally:
            writer.close()
            self._living.discard(process)
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
