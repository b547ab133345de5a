"""Workspaces as folders and processes of this machine.

Each workspace is a folder with five services on loopback: OpenCode, its sidecar,
the file browser, the session proxy and the gateway; without the first two a run is over.
They outlive the app: what runs is written down, and found again or ended by the
next `open`. A service that dies while its workspace is in use is started again.
OpenCode, and with it all that the agent starts, runs behind a wall (`wall.py`); the
other services run beside it, as the same user as the app.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Collection, Coroutine, Iterable
from typing import Any
from uuid import UUID

from vibe_app.aio import forever
from vibe_app.errors import CannotStart, Unavailable, VibeError
from vibe_app.settings import Settings
from vibe_app.workspace_services.git import checkout
from vibe_app.workspaces.runtimes.base import (
    Endpoint,
    OnStatus,
    OnTrouble,
    Progress,
    Tenancy,
    WorkspaceSpec,
)
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.asking import ask, proves
from vibe_app.workspaces.runtimes.local.records import Name, Record, Records
from vibe_app.workspaces.runtimes.local.services import Services
from vibe_app.workspaces.runtimes.local.starting import BESIDE, Starter, in_words
from vibe_app.workspaces.runtimes.local.wall import find
from vibe_app.workspaces.runtimes.local.workspace import CORE, LocalWorkspace, stopped_meanwhile
from vibe_app.workspaces.states import WorkspaceStatus

logger = logging.getLogger(__name__)

_WATCH = 1.0
_TRIM_EVERY = 30
# Seconds before each restart of a service that dies; one more death within a minute is given up.
_RESTART_DELAYS = (0.0, 1.0, 2.0)
_RESTART_WINDOW = 60.0
# Seconds between two starts of a service that is started again by itself.
_BESIDE_DELAY = 5.0


class LocalRuntime:
    """The runtime of one machine; see `Runtime` for what its verbs promise.

    One process at a time may use a data folder.

    Args:
        settings: The installation's settings; `data` holds everything.
        on_status: Told of each change of a workspace's status, in order.
        on_trouble: Told when a workspace that may be at work is ended unasked.
        pace: Factor on the rehearsal model's pauses: 1 for people, 0 for tests.
    """

    def __init__(
        self,
        settings: Settings,
        on_status: OnStatus | None = None,
        on_trouble: OnTrouble | None = None,
        *,
        pace: float = 1.0,
    ) -> None:
        self._settings = settings
        self._on_trouble = on_trouble
        self._services = Services(settings, pace)
        self._run = settings.data / "run"
        self._records = Records(self._run)
        self._workspaces: dict[UUID, LocalWorkspace] = {}
        self._starter = Starter(settings, self._services, self._records, on_status)
        self._watcher: asyncio.Task[None] | None = None
        self._claim: int | None = None

    async def open(self, tenancy: Tenancy) -> None:
        """Find again what an earlier process left running, and end what cannot be used any more.

        Args:
            tenancy: Whose workspaces these are.

        Raises:
            Unavailable: Another process uses this data folder.
            OSError: The data folder cannot be written.
        """
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._claim = self._claim_folder()
        self._workspaces.clear()
        self._services.keys_of = tenancy.keys
        if self._settings.sandbox == "on":
            self._services.wall = await asyncio.to_thread(find, self._settings)
        await asyncio.to_thread(checkout.tidy, self._settings.workspaces)
        await asyncio.to_thread(self._services.empty_trash)
        await _all(self._adopt(record) for record in self._records.read_all())
        leftovers = await asyncio.to_thread(processes.of_workspace, self._settings.data)
        await _all(self._starter.end(self._workspace(owner)) for owner in leftovers if not self._known(owner))
        self._watcher = asyncio.create_task(forever("watch over local workspaces", self._watch))

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Let go of the workspaces; see `Runtime.close`. Starts that are under way are broken off."""
        tasks = [task for task in (self._watcher, *(w.start for w in self._workspaces.values())) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if keep is not None:
            await _all(self.stop(project_id) for project_id in set(self._workspaces) - set(keep))
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Make the workspace exist and answer, and say where; see `Runtime.ensure`.

        Raises:
            Unavailable: It cannot be started; the message says why and what to do.
            InvalidRequest: The repository's address cannot be used.
        """
        workspace = self._workspace(spec.project_id)
        if workspace.settled and workspace.running:
            if self._check_folder(workspace):
                self._mend(workspace)
                return self._starter.endpoint(workspace)
            assert workspace.start is not None
            await asyncio.wait((workspace.start,))
        if not workspace.starting:
            workspace.spec = spec
            self._begin(workspace, self._starter.start(workspace, "Starting the workspace"))
        start = workspace.start
        assert start is not None
        try:
            if progress is not None:
                workspace.listeners.append(progress)
                await progress(workspace.reason or "Starting the workspace")
            # Whoever stops waiting must not break the start off for the others.
            await asyncio.wait((start,))
        finally:
            if progress is not None:
                workspace.listeners.remove(progress)
        if start.cancelled():
            raise stopped_meanwhile()
        if (failure := start.result()) is not None:
            raise failure
        return self._starter.endpoint(workspace)

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """End every process of the workspace; see `Runtime.stop`.

        Raises:
            Unavailable: Some process cannot be ended.
            OSError: The files cannot be removed.
        """
        workspace = self._workspace(project_id)
        while workspace.start is not None and not workspace.start.done():
            workspace.start.cancel()
            await asyncio.wait((workspace.start,))
        async with workspace.lock:
            await self._starter.end(workspace)
            if erase:
                await asyncio.to_thread(self._services.erase, project_id)
            await self._starter.tell(workspace, WorkspaceStatus.STOPPED, None)

    async def alive(self) -> dict[UUID, int]:
        """Return the projects of which all runs now that a session needs; see `Runtime.alive`."""
        held = await self.held()
        return {project: epoch for project, epoch in held.items() if self._workspaces[project].running}

    async def held(self) -> dict[UUID, int]:
        """Return the projects of which anything runs, with its epoch."""
        return {id: workspace.record.epoch for id, workspace in self._workspaces.items() if workspace.record}

    async def found(self) -> set[UUID]:
        """Return the projects of which anything is here, running or not.

        Raises:
            Unavailable: The data folder cannot be read.
        """
        try:
            return set(await self.held()) | await asyncio.to_thread(self._services.found)
        except OSError as error:
            raise Unavailable(f"The workspaces' folders cannot be read: {in_words(error)}.") from error

    async def outdated(self) -> set[UUID]:
        """Return the projects whose OpenCode runs with other settings than it would be started with now."""
        return {
            workspace.project_id
            for workspace in self._workspaces.values()
            if (record := workspace.record)
            and (service := record.opencode)
            and service.build != self._services.build(Name.OPENCODE, record)
        }

    def _workspace(self, project_id: UUID) -> LocalWorkspace:
        return self._workspaces.setdefault(project_id, LocalWorkspace(project_id))

    def _known(self, project_id: UUID) -> bool:
        workspace = self._workspaces.get(project_id)
        return workspace is not None and workspace.record is not None

    def _claim_folder(self) -> int:
        """Take the data folder for this process; the claim ends with the process, however it ends."""
        path = self._run / "lock"
        claim = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(claim, 32).decode(errors="replace").strip() or "unknown"
            os.close(claim)
            raise Unavailable(
                f"Another Vibe (process {holder}) uses the folder {self._settings.data}:"
                " stop it first, or choose another folder with --data.",
                "data_in_use",
            ) from exc
        os.truncate(claim, 0)
        os.pwrite(claim, f"{os.getpid()}\n".encode(), 0)
        return claim

    async def _adopt(self, record: Record) -> None:
        """Take over the services of an earlier process that still can be used; start the others anew."""
        workspace = self._workspace(record.project_id)
        for name in Name:
            if (service := record.service(name)) and (process := service.process(self._settings.data)):
                # One that runs with other settings works on what it was asked for: see `outdated`.
                usable = name is Name.OPENCODE or service.build == self._services.build(name, record)
                if usable:
                    keys = self._services.keys(record)
                    port = record.port(name)
                    if name is Name.OPENCODE:
                        status, _ = await asyncio.to_thread(ask, port, "/global/health", keys.password)
                        # It may be too busy to answer; one with another password is of no use.
                        usable = status != 401
                    else:
                        usable = await asyncio.to_thread(proves, port, keys.token)
                if usable:
                    workspace.services[name] = process
                else:
                    await processes.end(lambda process=process: [process])
        if not any(map(workspace.runs, CORE)):
            workspace.services.clear()
            return self._records.forget(record.project_id)
        workspace.record = record
        if not self._services.workspace(record.project_id).is_dir():
            return await self._starter.end(workspace)
        if workspace.running:
            status, _ = await asyncio.to_thread(ask, record.sidecar_port, "/ready")
            if status == 200:
                folder = self._services.workspace(record.project_id)
                workspace.notices = await asyncio.to_thread(checkout.notices, folder)
                return await self._starter.tell(workspace, WorkspaceStatus.READY, None)
            # Whoever started it ended before it was ready.
            return self._begin(workspace, self._starter.start(workspace, "Starting the workspace"))
        missing = "its sidecar" if workspace.runs(Name.OPENCODE) else "OpenCode"
        self._begin(workspace, self._starter.start(workspace, f"Starting {missing} again"))

    def _begin(self, workspace: LocalWorkspace, start: Coroutine[Any, Any, VibeError | None]) -> None:
        workspace.start = asyncio.create_task(start, name=f"start of workspace {workspace.project_id}")

    def _mend(self, workspace: LocalWorkspace) -> None:
        """Start again what died of the services beside a run: at once, then not more often than every 5 s."""
        record = workspace.record
        dead = [name for name in BESIDE if not workspace.runs(name)]
        if not (dead and record and workspace.settled) or time.monotonic() < workspace.mended + _BESIDE_DELAY:
            return
        workspace.mended = time.monotonic()
        for name in dead:
            process = workspace.services.get(name)
            event = f"{name.called} {processes.ending(process) if process else 'ended'}"
            logger.warning("workspace %s: %s: starting it again", workspace.project_id, event)
            try:
                self._starter.note(workspace, record, name, self._services.start_ours(name, record))
            except OSError as error:
                logger.warning("workspace %s: %s", workspace.project_id, in_words(error))

    async def _watch(self) -> None:
        """Start again what dies of a workspace in use, and keep the logs short."""
        turn = 0
        while True:
            await asyncio.sleep(_WATCH)
            turn += 1
            for workspace in list(self._workspaces.values()):
                if workspace.settled and not workspace.running:
                    self._revive(workspace)
                elif workspace.settled:
                    self._check_folder(workspace)
                self._mend(workspace)
                if turn % _TRIM_EVERY == 0 and workspace.record is not None:
                    self._trim_logs(workspace)
            processes.collect()

    def _check_folder(self, workspace: LocalWorkspace) -> bool:
        """Tell whether a workspace's folder is there; without it nothing is of any use, and it is ended."""
        folder = self._services.workspace(workspace.project_id)
        if folder.is_dir():
            return True
        sentence = f"The workspace's folder {folder} was deleted."
        logger.warning("workspace %s: %s", workspace.project_id, sentence)
        if self._on_trouble is not None:
            self._on_trouble(workspace.project_id, sentence, False)
        self._begin(workspace, self._end_lost(workspace))
        return False

    async def _end_lost(self, workspace: LocalWorkspace) -> VibeError | None:
        """End what runs of a workspace whose folder is gone. Whoever wants it has it made anew."""
        async with workspace.lock:
            try:
                await self._starter.end(workspace)
            except VibeError as error:
                return error
            await self._starter.tell(workspace, WorkspaceStatus.STOPPED, None)
            return stopped_meanwhile()

    def _trim_logs(self, workspace: LocalWorkspace) -> None:
        for name in Name:
            log = self._services.log(workspace.project_id, name)
            try:
                processes.trim_log(log)
            except OSError as error:
                logger.warning("%s is not kept short: %s", log, error)

    def _revive(self, workspace: LocalWorkspace) -> None:
        name = Name.SIDECAR if workspace.runs(Name.OPENCODE) else Name.OPENCODE
        dead = workspace.services.get(name)
        event = f"{name.called} {processes.ending(dead) if dead else 'ended'}"
        logger.warning("workspace %s: %s", workspace.project_id, event)
        now = time.monotonic()
        workspace.deaths.append(now)
        while workspace.deaths[0] < now - _RESTART_WINDOW:
            workspace.deaths.popleft()
        if len(workspace.deaths) > len(_RESTART_DELAYS):
            sentence = (
                f"{event}, as {len(workspace.deaths) - 1} times before within a minute:"
                f" its last words are in {self._settings.data / 'logs'}."
            )
            return self._begin(workspace, self._starter.give_up(workspace, CannotStart(sentence)))
        delay = _RESTART_DELAYS[len(workspace.deaths) - 1]
        self._begin(workspace, self._starter.start(workspace, f"{event}: starting it again", delay))


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it. A process that not even a kill ends is logged and does not keep the app from starting."""
    for failure in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failure, Unavailable):
            logger.error("%s", failure)
        elif failure is not None:
            raise failure
