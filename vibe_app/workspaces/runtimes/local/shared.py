"""The local workspaces of one data folder, shared by every process of an installation on this machine.

Whoever gets the folder's lock is the host: it runs a `LocalRuntime` and serves
its verbs to the others. When the host closes or dies, one of the others takes
the lock, adopts what runs, and repeats what was asked. Nothing here knows what a
workspace is made of.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar
from uuid import UUID

from vibe_app.errors import Unavailable, VibeError
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.base import Endpoint, OnStatus, OnTrouble, Progress, WorkspaceSpec
from vibe_app.workspaces.runtimes.local.relay import HostGone, Relay, RemoteRuntime
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime

logger = logging.getLogger(__name__)

OnHost = Callable[[set[UUID]], Awaitable[None]]
"""Told, when this process becomes the host, which workspaces run: whatever else was said of them is past."""

Answer = TypeVar("Answer")

_TIMEOUT = 60.0
_LOOK_AGAIN = 0.05
_TRIES = 5
# A call may end before the news of the host's end is here.
_NOTICE = 1.0


class SharedLocalRuntime:
    """The runtime of one machine, for one process of several; see `Runtime` for what its verbs promise.

    A process alone is the host and nothing differs from a `LocalRuntime`.

    Args:
        settings: The installation's settings; `data` holds everything.
        on_status: Told, in the host alone, of each change of a workspace's status, in order.
        on_host: Told when this process becomes the host, before it does anything for others.
        on_trouble: Told, in the host alone, when a workspace is started anew for other settings.
        pace: Factor on the rehearsal model's pauses: 1 for people, 0 for tests.
    """

    def __init__(
        self,
        settings: Settings,
        on_status: OnStatus | None = None,
        on_host: OnHost | None = None,
        on_trouble: OnTrouble | None = None,
        *,
        pace: float = 1.0,
    ) -> None:
        self._settings = settings
        self._on_status = on_status
        self._on_host = on_host
        self._on_trouble = on_trouble
        self._pace = pace
        self._run = settings.data / "run"
        self._present: int | None = None
        self._relay: Relay | None = None
        self._side: LocalRuntime | RemoteRuntime | None = None
        self._joining = asyncio.Lock()
        self._successor: asyncio.Task[None] | None = None

    @property
    def is_host(self) -> bool:
        """Whether this process runs the workspaces."""
        return isinstance(self._side, LocalRuntime)

    async def open(self) -> None:
        """Become the host, or find it.

        Raises:
            Unavailable: Another process holds the data folder and serves nobody.
            OSError: The data folder cannot be written.
        """
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._present = _enter(self._run / "present")
        await self._current()
        self._successor = asyncio.create_task(self._succeed(), name="succession of the local workspaces")

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Let go of the workspaces; see `Runtime.close`.

        While other processes use the data folder, they go on with all of them;
        the last one to leave stops those that are not to be kept.
        """
        if self._successor is not None:
            self._successor.cancel()
            await asyncio.wait((self._successor,))
        async with self._joining:
            if self._present is not None:
                alone = _leave(self._present)
                self._present = None
                if alone and keep is not None and not self.is_host:
                    # The host has left first, or is about to, and has left them to this process.
                    await self._let_go()
                    self._side = await self._join()
                if not alone:
                    keep = None
            await self._let_go(keep)

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Make the workspace exist and answer, and say where; see `Runtime.ensure`.

        Raises:
            Unavailable: It cannot be started; the message says why and what to do.
            InvalidRequest: The repository's address cannot be used.
        """
        return await self._ask(lambda side: side.ensure(spec, progress))

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """End every process of the workspace; see `Runtime.stop`.

        Raises:
            Unavailable: Some process cannot be ended.
            OSError: The files cannot be removed.
        """
        await self._ask(lambda side: side.stop(project_id, erase=erase))

    async def alive(self) -> set[UUID]:
        """Return the projects whose workspace runs now, whoever runs it."""
        return await self._ask(lambda side: side.alive())

    async def _ask(self, verb: Callable[[LocalRuntime | RemoteRuntime], Awaitable[Answer]]) -> Answer:
        for _ in range(_TRIES):
            side = await self._current()
            try:
                return await verb(side)
            except HostGone:
                if isinstance(side, RemoteRuntime):
                    await side.until_gone(_NOTICE)
        raise Unavailable("The processes that share this machine's workspaces keep ending: try again.")

    async def _current(self) -> LocalRuntime | RemoteRuntime:
        """Return who runs the workspaces; where it is gone, become it or find its successor."""
        async with self._joining:
            if isinstance(self._side, RemoteRuntime) and self._side.gone:
                await self._let_go()
            if self._side is None:
                if self._present is None:
                    raise Unavailable("Vibe is stopping.", "stopping")
                self._side = await self._join()
            return self._side

    async def _succeed(self) -> None:
        """Take the place of a host that is gone without being asked to: dead services want starting again."""
        while True:
            try:
                side = await self._current()
            except (VibeError, OSError) as error:
                logger.error("nobody runs this machine's workspaces: %s", error)
                await asyncio.sleep(1)
                continue
            if isinstance(side, LocalRuntime):
                return
            await side.until_gone()

    async def _join(self) -> LocalRuntime | RemoteRuntime:
        deadline = time.monotonic() + _TIMEOUT
        socket = self._run / "host.sock"
        while True:
            host = LocalRuntime(self._settings, self._on_status, self._on_trouble, pace=self._pace)
            try:
                await host.open()
                await self._serve(host)
                return host
            except BaseException as error:
                await host.close()
                taken = isinstance(error, Unavailable) and error.code == "data_in_use"
                if not taken or time.monotonic() > deadline:
                    raise
            if (found := await RemoteRuntime.reach(socket)) is not None:
                return found
            # Its holder is opening or closing it; the lock itself cannot be waited for without a thread.
            await asyncio.sleep(_LOOK_AGAIN)

    async def _serve(self, host: LocalRuntime) -> None:
        if self._on_host is not None:
            try:
                await self._on_host(await host.alive())
            except VibeError as error:
                logger.warning("what the boards say of workspaces was not corrected: %s", error)
        relay = Relay(host, self._run / "host.sock")
        await relay.open()
        self._relay = relay

    async def _let_go(self, keep: Collection[UUID] | None = None) -> None:
        # Whoever was served asks the next host, before anything ends that it waits for.
        if self._relay is not None:
            await self._relay.close()
            self._relay = None
        if isinstance(self._side, LocalRuntime):
            await self._side.close(keep)
        elif self._side is not None:
            await self._side.close()
        self._side = None


def _enter(path: os.PathLike[str]) -> int:
    """Note that this process uses the folder; the note ends with the process, however it ends."""
    present = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(present, fcntl.LOCK_SH)
    return present


def _leave(present: int) -> bool:
    """Take the note back and tell whether nobody else is left; of several at once, the last is told so."""
    try:
        fcntl.flock(present, fcntl.LOCK_UN)
        fcntl.flock(present, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(present)
    return True
