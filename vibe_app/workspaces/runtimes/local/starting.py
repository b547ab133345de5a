"""Brings one local workspace up, ends it, and tells how it is; `runtime` decides when."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection

import psutil

from vibe_app import disk
from vibe_app.errors import Unavailable, VibeError
from vibe_app.settings import Settings
from vibe_app.workspace_services.git import checkout, making
from vibe_app.workspaces.runtimes.base import FILES_GONE, Endpoint, OnStatus
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.asking import ask
from vibe_app.workspaces.runtimes.local.records import Name, Record, Records, Service, port_is_free
from vibe_app.workspaces.runtimes.local.services import Services
from vibe_app.workspaces.runtimes.local.workspace import LocalWorkspace, stopped_meanwhile
from vibe_app.workspaces.states import WorkspaceStatus

logger = logging.getLogger(__name__)

# An OpenCode server takes 300 to 600 MB and a whole core while it starts.
_STARTS_AT_ONCE = 2
_PORT_ATTEMPTS = 3
BESIDE = (Name.FILES, Name.PROXY, Name.GATEWAY)
"""The services that are started again by themselves: a run does without them, or until they are back."""
# What tells that a service is up.
_READY = {Name.FILES: "/ready", Name.PROXY: "/health", Name.GATEWAY: "/health", Name.SIDECAR: "/ready"}


class _PortTaken(Exception):
    """Another program took one of the ports between choosing and using it."""


class _WasDying(Exception):
    """A service that was found running ended meanwhile, or was dying already when it was looked at."""


class Starter:
    """Starts and ends the services of workspaces. Who calls it for one keeps others from doing so meanwhile.

    Args:
        settings: The installation's settings; `data` holds everything.
        services: Starts each of them.
        records: Where what runs is written down.
        on_status: Told of each change of a workspace's status, in order.
    """

    def __init__(
        self, settings: Settings, services: Services, records: Records, on_status: OnStatus | None
    ) -> None:
        self._settings = settings
        self._services = services
        self._records = records
        self._on_status = on_status
        self._slots = asyncio.Semaphore(_STARTS_AT_ONCE)

    async def start(self, workspace: LocalWorkspace, reason: str, delay: float = 0.0) -> VibeError | None:
        """Bring the workspace up and return None, or say what failed with nothing left running.

        Broken off (by `stop`, which ends what runs, or by `close`, which leaves it
        to the next `open`), it leaves the record in step with what was started.
        """
        async with workspace.lock:
            try:
                await self.tell(workspace, WorkspaceStatus.STARTING, reason)
                await asyncio.sleep(delay)
                await self._prepare(workspace)
                if self._slots.locked():
                    await self.tell(
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
                    else Unavailable(f"The workspace could not be started: {in_words(error)}.")
                )
            else:
                await self.tell(workspace, WorkspaceStatus.READY, None)
                return None
            return await self.give_up(workspace, failure)

    def endpoint(self, workspace: LocalWorkspace) -> Endpoint:
        """Say where the workspace answers.

        Raises:
            Unavailable: It was stopped.
        """
        if workspace.record is None:
            raise stopped_meanwhile()
        return workspace.endpoint(self._services.keys(workspace.record))

    async def give_up(self, workspace: LocalWorkspace, failure: VibeError) -> VibeError:
        """End what runs of the workspace, tell that it failed, and return why."""
        try:
            await self.end(workspace)
        except VibeError as error:
            failure = Unavailable(f"{failure.message} {error.message}")
        await self.tell(workspace, WorkspaceStatus.FAILED, failure.message)
        return failure

    async def end(self, workspace: LocalWorkspace) -> None:
        """End what runs of the workspace and forget that it ran."""
        await self._end_all(workspace)
        self._records.forget(workspace.project_id)
        workspace.record = None
        workspace.services.clear()

    async def tell(self, workspace: LocalWorkspace, status: WorkspaceStatus, reason: str | None) -> None:
        """Say how the workspace is, to whoever wants to know, where that is new."""
        if (workspace.status, workspace.reason) == (status, reason):
            return
        workspace.status, workspace.reason = status, reason
        try:
            if self._on_status is not None:
                endpoint = self.endpoint(workspace) if status is WorkspaceStatus.READY else None
                await self._on_status(workspace.project_id, status, reason, endpoint)
            for listener in list(workspace.listeners):
                if status is WorkspaceStatus.STARTING and reason:
                    await listener(reason)
        except Exception:
            # A listener's trouble, for example with its database, must not take the workspace down.
            logger.exception("workspace %s: nobody could be told that it is %s", workspace.project_id, status)

    def note(self, workspace: LocalWorkspace, record: Record, name: Name, process: psutil.Process) -> None:
        """Write down that a service runs."""
        workspace.services[name] = process
        record.note(name, Service.of(process, self._services.build(name, record)))
        self._records.write(record)

    async def _prepare(self, workspace: LocalWorkspace) -> None:
        folder, spec = self._services.workspace(workspace.project_id), workspace.spec
        if spec is None and not folder.is_dir():
            raise Unavailable(f"The workspace's folder {folder} is gone: open the project again.")
        made = workspace.record is not None and workspace.record.trees
        if workspace.runs(Name.OPENCODE) or (made and workspace.runs(Name.FILES)):
            # The one works in the layout in which it was started, the other keeps the repository to itself.
            workspace.notices = await asyncio.to_thread(checkout.notices, folder)
            return

        async def progress(sentence: str) -> None:
            await self.tell(workspace, WorkspaceStatus.STARTING, sentence)

        new = not await asyncio.to_thread(making.is_made, folder)
        workspace.notices = await making.make_workspace(
            folder,
            source=spec.source(self._settings.repository_networks) if spec and new else None,
            mark=processes.marker(self._settings.data, workspace.project_id),
            progress=progress,
            bubblewrap=self._services.bubblewrap,
        )
        if new and spec and spec.remade:
            workspace.notices = [FILES_GONE, *workspace.notices]

    async def _bring_up(self, workspace: LocalWorkspace) -> None:
        for _ in range(_PORT_ATTEMPTS):
            try:
                return await self._start_services(workspace)
            except _WasDying:
                continue
            except _PortTaken:
                await self.end(workspace)
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
            record.trees = True
            await self.tell(workspace, WorkspaceStatus.STARTING, "Starting OpenCode")
        for name in Name:
            if not workspace.runs(name):
                self.note(workspace, record, name, await self._services.start(name, record))
        await self._ready(workspace, record, found)

    async def _ready(self, workspace: LocalWorkspace, record: Record, found: set[psutil.Process]) -> None:
        deadline = time.monotonic() + self._settings.start_timeout
        waiting = [*BESIDE, Name.SIDECAR]
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

    async def _end_all(self, workspace: LocalWorkspace, keep: Collection[psutil.Process] = ()) -> None:
        def members() -> list[psutil.Process]:
            known = list(workspace.services.values())
            found = processes.of_workspace(self._settings.data, workspace.project_id, known)
            kept = set[int]().union(*map(processes.family, keep))
            return [process for process in found.get(workspace.project_id, []) if process.pid not in kept]

        await processes.end(members)


def in_words(error: OSError) -> str:
    """Say what an error of the operating system is, and of which file."""
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
