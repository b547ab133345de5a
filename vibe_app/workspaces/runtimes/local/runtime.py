"""Workspaces as folders and processes of this machine.

Each workspace is a folder with four services on loopback: OpenCode, its sidecar,
the file browser, and the session proxy, of which runs need the first two.
They outlive the app: what runs is written down, and found again or ended by the
next `open`. A service that dies while its workspace is in use is started again.
The agent runs as the same user as the app: this runtime separates projects from
each other's files by convention, not by force (the Kubernetes runtime does).
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

import psutil

from vibe_app import disk
from vibe_app.aio import forever
from vibe_app.errors import CannotStart, Unavailable, VibeError
from vibe_app.settings import Settings
from vibe_app.workspaces.repositories import checkout
from vibe_app.workspaces.runtimes.base import (
    FILES_GONE,
    Endpoint,
    OnStatus,
    OnTrouble,
    Progress,
    Tenancy,
    WorkspaceSpec,
)
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Name, Record, Records, Service, port_is_free
from vibe_app.workspaces.runtimes.local.services import Services, ask
from vibe_app.workspaces.runtimes.local.workspace import CORE, LocalWorkspace, stopped_meanwhile
from vibe_app.workspaces.states import WorkspaceStatus

logger = logging.getLogger(__name__)

# An OpenCode server takes 300 to 600 MB and a whole core while it starts.
_STARTS_AT_ONCE = 2
_PORT_ATTEMPTS = 3
_WATCH = 1.0
_TRIM_EVERY = 30
# Seconds before each restart of a service that dies; one more death within a minute is given up.
_RESTART_DELAYS = (0.0, 1.0, 2.0)
_RESTART_WINDOW = 60.0
_BESIDE = (Name.FILES, Name.PROXY)
# Seconds between two starts of a service that runs do not need.
_BESIDE_DELAY = 5.0


# What tells that a service is up, and what tells that it is the one with this record's token.
_READY = {Name.FILES: "/ready", Name.PROXY: "/health", Name.SIDECAR: "/ready"}
_ASKED = {Name.FILES: "/files", Name.PROXY: "/pty", Name.SIDECAR: "/sessions/none"}


class _PortTaken(Exception):
    """Another program took one of the ports between choosing and using it."""


class _WasDying(Exception):
    """A service that was found running ended meanwhile, or was dying already when it was looked at."""


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
        self._on_status = on_status
        self._on_trouble = on_trouble
        self._services = Services(settings, pace)
        self._run = settings.data / "run"
        self._records = Records(self._run)
        self._workspaces: dict[UUID, LocalWorkspace] = {}
        self._slots = asyncio.Semaphore(_STARTS_AT_ONCE)
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
        await asyncio.to_thread(checkout.tidy, self._settings.workspaces)
        await asyncio.to_thread(self._services.empty_trash)
        await _all(self._adopt(record) for record in self._records.read_all())
        leftovers = await asyncio.to_thread(processes.of_workspace, self._settings.data)
        await _all(self._end(self._workspace(owner)) for owner in leftovers if not self._known(owner))
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
                return self._endpoint(workspace)
            assert workspace.start is not None
            await asyncio.wait((workspace.start,))
        if not workspace.starting:
            workspace.spec = spec
            self._begin(workspace, self._start(workspace, "Starting the workspace"))
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
        return self._endpoint(workspace)

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
            await self._end(workspace)
            if erase:
                await asyncio.to_thread(self._services.erase, project_id)
            await self._tell(workspace, WorkspaceStatus.STOPPED, None)

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
            raise Unavailable(f"The workspaces' folders cannot be read: {_words(error)}.") from error

    async def outdated(self) -> set[UUID]:
        """Return the projects whose OpenCode runs with other settings than it would be started with now."""
        return {
            workspace.project_id
            for workspace in self._workspaces.values()
            if (record := workspace.record)
            and (service := record.opencode)
            and service.build != self._services.build(Name.OPENCODE, record)
        }

    def _endpoint(self, workspace: LocalWorkspace) -> Endpoint:
        record = workspace.record
        if record is None:
            raise stopped_meanwhile()
        return workspace.endpoint(self._services.keys(record))

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
                if usable and name is not Name.OPENCODE:
                    token = self._services.keys(record).token
                    status, _ = await asyncio.to_thread(ask, record.port(name), _ASKED[name], token)
                    usable = status not in (0, 401)
                if usable:
                    workspace.services[name] = process
                else:
                    await processes.end(lambda process=process: [process])
        if not any(map(workspace.runs, CORE)):
            workspace.services.clear()
            return self._records.forget(record.project_id)
        workspace.record = record
        if not self._services.workspace(record.project_id).is_dir():
            return await self._end(workspace)
        if workspace.running:
            status, _ = await asyncio.to_thread(ask, record.sidecar_port, "/ready")
            if status == 200:
                folder = self._services.workspace(record.project_id)
                workspace.notices = await asyncio.to_thread(checkout.notices, folder)
                return await self._tell(workspace, WorkspaceStatus.READY, None)
            # Whoever started it ended before it was ready.
            return self._begin(workspace, self._start(workspace, "Starting the workspace"))
        missing = "its sidecar" if workspace.runs(Name.OPENCODE) else "OpenCode"
        self._begin(workspace, self._start(workspace, f"Starting {missing} again"))

    def _begin(self, workspace: LocalWorkspace, start: Coroutine[Any, Any, VibeError | None]) -> None:
        workspace.start = asyncio.create_task(start, name=f"start of workspace {workspace.project_id}")

    async def _start(self, workspace: LocalWorkspace, reason: str, delay: float = 0.0) -> VibeError | None:
        """Bring the workspace up and return None, or say what failed with nothing left running.

        Broken off (by `stop`, which ends what runs, or by `close`, which leaves it
        to the next `open`), it leaves the record in step with what was started.
        """
        async with workspace.lock:
            try:
                await self._tell(workspace, WorkspaceStatus.STARTING, reason)
                await asyncio.sleep(delay)
                await self._prepare(workspace)
                if self._slots.locked():
                    await self._tell(
                        workspace, WorkspaceStatus.STARTING, "Waiting for other workspaces to start"
                    )
                async with self._slots:
                    await self._bring_up(workspace)
            except VibeError as error:
                # Without room, git and OpenCode end with words of their own, or without any.
                full = disk.is_full(self._settings.data)
                failure = disk.disk_full("The workspace could not be started.") if full else error
            except OSError as error:
                failure = (
                    disk.disk_full("The workspace could not be started.")
                    if disk.means_full(error)
                    else Unavailable(f"The workspace could not be started: {_words(error)}.")
                )
            else:
                await self._tell(workspace, WorkspaceStatus.READY, None)
                return None
            return await self._give_up(workspace, failure)

    async def _give_up(self, workspace: LocalWorkspace, failure: VibeError) -> VibeError:
        try:
            await self._end(workspace)
        except VibeError as error:
            failure = Unavailable(f"{failure.message} {error.message}")
        await self._tell(workspace, WorkspaceStatus.FAILED, failure.message)
        return failure

    async def _prepare(self, workspace: LocalWorkspace) -> None:
        folder = self._services.workspace(workspace.project_id)
        if workspace.spec is None:
            if not folder.is_dir():
                raise Unavailable(f"The workspace's folder {folder} is gone: open the project again.")
            workspace.notices = await asyncio.to_thread(checkout.notices, folder)
            return

        async def progress(sentence: str) -> None:
            await self._tell(workspace, WorkspaceStatus.STARTING, sentence)

        new = not await asyncio.to_thread(os.path.lexists, folder)
        workspace.notices = await checkout.make_workspace(
            folder,
            source=None if not new else workspace.spec.source(self._settings.repository_networks),
            mark=processes.marker(self._settings.data, workspace.project_id),
            progress=progress,
        )
        if new and workspace.spec.remade:
            workspace.notices = [FILES_GONE, *workspace.notices]

    async def _bring_up(self, workspace: LocalWorkspace) -> None:
        for _ in range(_PORT_ATTEMPTS):
            try:
                return await self._start_services(workspace)
            except _WasDying:
                continue
            except _PortTaken:
                await self._end(workspace)
        raise Unavailable(
            "The workspace could not be started: its services keep ending, or other programs take the ports."
        )

    async def _start_services(self, workspace: LocalWorkspace) -> None:
        """Start what does not run, all at the same time, and wait until every service answers."""
        epoch = workspace.spec.epoch if workspace.spec else 0
        record = workspace.record = workspace.record or Record.new(workspace.project_id, epoch)
        found = set(workspace.services.values())
        if not workspace.runs(Name.OPENCODE):
            # Commands that a dead OpenCode left running belong to no session any more.
            kept = [process for name, process in workspace.services.items() if name is not Name.OPENCODE]
            await self._end_all(workspace, keep=kept)
            record.password = record.rehearsal_key = ""
            await self._tell(workspace, WorkspaceStatus.STARTING, "Starting OpenCode")
        for name in Name:
            if not workspace.runs(name):
                self._note(workspace, record, name, await self._services.start(name, record))
        await self._ready(workspace, record, found)

    def _note(self, workspace: LocalWorkspace, record: Record, name: Name, process: psutil.Process) -> None:
        workspace.services[name] = process
        record.note(name, Service.of(process, self._services.build(name, record)))
        self._records.write(record)

    async def _ready(self, workspace: LocalWorkspace, record: Record, found: set[psutil.Process]) -> None:
        deadline = time.monotonic() + self._settings.start_timeout
        waiting = [*_BESIDE, Name.SIDECAR]
        sentence = ""
        while waiting:
            self._check_running(workspace, record, found)
            status, sentence = await asyncio.to_thread(ask, record.port(waiting[0]), _READY[waiting[0]])
            if status == 200:
                waiting.pop(0)
                continue
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"The workspace did not get ready within {self._settings.start_timeout:g} s:"
                    f" {sentence.rstrip('.') or 'OpenCode does not answer'}."
                )
            await asyncio.sleep(0.05)
        self._check_running(workspace, record, found)

    def _check_running(self, workspace: LocalWorkspace, record: Record, found: set[psutil.Process]) -> None:
        for name in Name:
            process = workspace.services.get(name)
            if process is None or processes.runs(process):
                continue
            if process in found:
                raise _WasDying
            if not port_is_free(record.port(name)):
                raise _PortTaken
            words = processes.last_words(self._services.log(workspace.project_id, name))
            said = f", saying: {words}" if words else " without a word"
            raise Unavailable(f"{name.called} {processes.ending(process)} while starting{said}.")

    def _mend(self, workspace: LocalWorkspace) -> None:
        """Start again what died of the services that runs do not need; not more often than every 5 s."""
        record = workspace.record
        dead = [name for name in _BESIDE if not workspace.runs(name)]
        if not (dead and record and workspace.settled) or time.monotonic() < workspace.mended + _BESIDE_DELAY:
            return
        workspace.mended = time.monotonic()
        for name in dead:
            process = workspace.services.get(name)
            event = f"{name.called} {processes.ending(process) if process else 'ended'}"
            logger.warning("workspace %s: %s: starting it again", workspace.project_id, event)
            try:
                self._note(workspace, record, name, self._services.start_ours(name, record))
            except OSError as error:
                logger.warning("workspace %s: %s", workspace.project_id, _words(error))

    async def _end(self, workspace: LocalWorkspace) -> None:
        """End what runs of the workspace and forget that it ran."""
        await self._end_all(workspace)
        self._records.forget(workspace.project_id)
        workspace.record = None
        workspace.services.clear()

    async def _end_all(self, workspace: LocalWorkspace, keep: Collection[psutil.Process] = ()) -> None:
        def members() -> list[psutil.Process]:
            known = list(workspace.services.values())
            found = processes.of_workspace(self._settings.data, workspace.project_id, known)
            kept = set[int]().union(*map(processes.family, keep))
            return [process for process in found.get(workspace.project_id, []) if process.pid not in kept]

        await processes.end(members)

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
                await self._end(workspace)
            except VibeError as error:
                return error
            await self._tell(workspace, WorkspaceStatus.STOPPED, None)
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
            return self._begin(workspace, self._give_up(workspace, CannotStart(sentence)))
        delay = _RESTART_DELAYS[len(workspace.deaths) - 1]
        self._begin(workspace, self._start(workspace, f"{event}: starting it again", delay))

    async def _tell(self, workspace: LocalWorkspace, status: WorkspaceStatus, reason: str | None) -> None:
        if (workspace.status, workspace.reason) == (status, reason):
            return
        workspace.status, workspace.reason = status, reason
        try:
            if self._on_status is not None:
                endpoint = self._endpoint(workspace) if status is WorkspaceStatus.READY else None
                await self._on_status(workspace.project_id, status, reason, endpoint)
            for listener in list(workspace.listeners):
                if status is WorkspaceStatus.STARTING and reason:
                    await listener(reason)
        except Exception:
            # A listener's trouble, for example with its database, must not take the workspace down.
            logger.exception("workspace %s: nobody could be told that it is %s", workspace.project_id, status)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it. A process that not even a kill ends is logged and does not keep the app from starting."""
    for failure in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(failure, Unavailable):
            logger.error("%s", failure)
        elif failure is not None:
            raise failure


def _words(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
