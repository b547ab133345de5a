"""The server process: the compiled frontend, the pages and the API in one uvicorn, stopped cleanly.

uvicorn rather than Granian, which Reflex would take: with one open page Granian
2.8 does not come to its end by itself, and kills the app before it has closed
anything (docs/decisions/0004-one-process-serves.md).
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import uvicorn

from vibe_app import frontend
from vibe_app.cli.options import console
from vibe_app.cli.timeouts import TimedProtocol
from vibe_app.log import set_up
from vibe_app.settings import Settings
from vibe_app.wire import KEEP_ALIVE

_GRACE = 2
"""Seconds that answers in progress have to end once the server was told to stop."""
STOPPING = "Stopping."
STILL_CLOSING = "Still closing what is open. Once more ends it at once."


@dataclass(frozen=True)
class Running:
    """A server that runs on a data folder, as a file in `run/servers` there tells."""

    pid: int
    started: float
    url: str

    @classmethod
    def on(cls, data: Path) -> Running | None:
        """Return the server of this data folder, if one is alive: of several, the one that runs longest."""
        return min(cls.all(data), key=lambda server: server.started, default=None)

    @classmethod
    def all(cls, data: Path) -> list[Running]:
        """Return the servers of this data folder that are alive."""
        found = (cls._read(path) for path in (data / "run" / "servers").glob("*.json"))
        return [server for server in found if server is not None]

    @classmethod
    def _read(cls, path: Path) -> Running | None:
        try:
            found = cls(**json.loads(path.read_text()))
            alive = psutil.Process(found.pid).create_time() == found.started
        except (OSError, ValueError, TypeError, OverflowError, RecursionError, psutil.Error):
            return None
        return found if alive else None


@contextmanager
def recorded(data: Path, url: str) -> Generator[None]:
    """Note this process as one of the data folder's servers for as long as the block lasts."""
    path = data / "run" / "servers" / f"{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = Running(os.getpid(), psutil.Process().create_time(), url)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(mine)))
    partial.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def claimed(settings: Settings) -> Generator[bool]:
    """Claim the data folder for a server for as long as the block lasts; yield whether it may have it.

    A database in a file has one server, one on PostgreSQL as many as there are.
    The claim ends with the process, however it ends.
    """
    with _claimed(settings, fcntl.LOCK_EX if settings.on_sqlite else fcntl.LOCK_SH) as mine:
        yield mine


@contextmanager
def claimed_alone(settings: Settings) -> Generator[bool]:
    """Keep every server from the data folder for as long as the block lasts; yield whether there is none."""
    with _claimed(settings, fcntl.LOCK_EX) as mine:
        yield mine


@contextmanager
def _claimed(settings: Settings, kind: int) -> Generator[bool]:
    path = settings.data / "run" / "serving"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as claim:
        try:
            fcntl.flock(claim, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def address(host: str, port: int) -> str:
    """Return the address under which this machine reaches a server that listens on `host`."""
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{here}:{port}"


class Server(uvicorn.Server):
    """uvicorn that tells when it answers, and that ends with status 0 when it was asked to.

    Args:
        config: uvicorn's own.
        on_ready: Entered once the server answers, left when it is told to stop.
        say: Takes what a person is told about the stop.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], AbstractAsyncContextManager[None]],
        say: Callable[[str], object] = console.print,
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._say = say
        self._asked = 0
        self._told = asyncio.Event()

    async def main_loop(self) -> None:
        """Serve until told to stop."""
        async with self._on_ready():
            # uvicorn's own loop looks ten times a second whether it is to stop: half of what an idle server
            # does. Once a second is for the `Date` of the answers.
            while not await self.on_tick(0):
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await self._told.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop on SIGINT and SIGTERM; the third one ends the process, whatever is open."""
        loop = asyncio.get_running_loop()
        handled = (signal.SIGINT, signal.SIGTERM)
        for number in handled:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        self._asked += 1
        if self._asked == 1:
            self._say(STOPPING)
            self.should_exit = True
            self._told.set()
        elif self._asked == 2:
            self._say(STILL_CLOSING)
        else:
            os._exit(128 + number)


class _CutStreams(logging.Filter):
    """Drops what uvicorn reports as errors when streams that browsers hold open are cut.

    That is at a stop, and where the right to a stream has ended.
    """

    _SAID = ("Cancel %s running task", "ASGI callable returned without completing response")

    def filter(self, record: logging.LogRecord) -> bool:
        cancelled = bool(record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
        return not cancelled and not str(record.msg).startswith(self._SAID)


def log_as(settings: Settings) -> None:
    """Set the log up as the settings want it."""
    set_up(settings.log_level, with_process=settings.workers > 1 or settings.role != "all")
    for chatty in ("uvicorn", "httpx", "alembic"):
        if settings.log_level != "debug":
            logging.getLogger(chatty).setLevel(logging.WARNING)


def prepare(settings: Settings, root: Path, port: int) -> None:
    """Set the process up for the app: its settings, Reflex's, the tools on PATH, the log.

    The app reads its settings from the environment when it starts, so what was
    given as options goes there; Reflex looks for its files in the current folder.
    """
    os.environ.update(frontend.serving_environment(root, settings.redis_url))
    os.environ.update(
        VIBE_DATA=str(settings.data),
        VIBE_HOST=settings.host,
        VIBE_PORT=str(port),
        VIBE_ROLE=settings.role,
        REFLEX_DIR=str(settings.tools / "reflex"),
        PATH=f"{settings.tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    )
    if settings.opencode:
        os.environ["VIBE_OPENCODE"] = str(settings.opencode_binary.absolute())
    os.chdir(root)
    # Importing the app makes half a million objects that stay: looking through them for garbage takes a tenth
    # of the start. `serve_on` turns the collector on again.
    gc.disable()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    log_as(settings)
    logging.getLogger("uvicorn.error").addFilter(_CutStreams())


def run_server(
    settings: Settings, root: Path, listener: socket.socket, on_ready: Callable[[str], Awaitable[None]]
) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM.

    Args:
        settings: What to serve with.
        root: The folder of `rxconfig.py`.
        listener: The bound socket.
        on_ready: Called with the server's address once it answers.
    """
    url = address(settings.host, listener.getsockname()[1])

    @asynccontextmanager
    async def ready() -> AsyncGenerator[None]:
        with recorded(settings.data, url):
            await on_ready(url)
            yield

    serve_on(settings, root, listener, ready)


def run_engine(settings: Settings, root: Path, listener: socket.socket) -> None:
    """Run workspaces and sessions, and answer how that goes on a bound socket, until SIGINT or SIGTERM."""
    url = address(settings.host, listener.getsockname()[1])

    @asynccontextmanager
    async def ready() -> AsyncGenerator[None]:
        console.print(f"[green]✓[/] The engine runs. How it does: {url}/api/ready", soft_wrap=True)
        yield

    serve_on(settings, root, listener, ready)


def serve_on(
    settings: Settings,
    root: Path,
    listener: socket.socket,
    ready: Callable[[], AbstractAsyncContextManager[None]],
    say: Callable[[str], object] = console.print,
) -> None:
    """Serve on a bound socket, which other processes may serve on too, until SIGINT or SIGTERM.

    Args:
        settings: What to serve with.
        root: The folder of `rxconfig.py`.
        listener: The bound socket.
        ready: Entered once the server answers, left when it is told to stop.
        say: Takes what a person is told about the stop.
    """
    prepare(settings, root, listener.getsockname()[1])
    config = uvicorn.Config(
        # Imported when it is served, with what was just prepared.
        "vibe_app.api.engine:app" if settings.role == "engine" else "vibe_app.vibe_app:app",
        factory=settings.role != "engine",
        http=TimedProtocol,
        ws="wsproto",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
    )

    @asynccontextmanager
    async def collecting() -> AsyncGenerator[None]:
        gc.freeze()
        gc.enable()
        async with ready():
            yield

    Server(config, collecting, say).run([listener])
