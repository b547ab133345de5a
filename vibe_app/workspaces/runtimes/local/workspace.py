"""What the local runtime knows about one workspace. It starts and ends nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import psutil

from vibe_app.errors import Unavailable, VibeError
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, WorkspaceSpec
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Name, Record
from vibe_app.workspaces.states import WorkspaceStatus

CORE = (Name.OPENCODE, Name.SIDECAR)
"""What sessions need; with the others dead, they go on."""


@dataclass
class LocalWorkspace:
    """A workspace as the local runtime knows it; who changes it holds `lock`, or changes it at one stroke."""

    project_id: UUID
    status: WorkspaceStatus = WorkspaceStatus.STOPPED
    reason: str | None = None
    spec: WorkspaceSpec | None = None
    notices: Sequence[str] = ()
    record: Record | None = None
    services: dict[Name, psutil.Process] = field(default_factory=dict)
    start: asyncio.Task[VibeError | None] | None = None
    listeners: list[Progress] = field(default_factory=list)
    deaths: deque[float] = field(default_factory=deque)
    mended: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def starting(self) -> bool:
        """Whether a start is under way."""
        return self.start is not None and not self.start.done()

    @property
    def settled(self) -> bool:
        """Whether it is in use and nothing is being started or stopped."""
        return self.status is WorkspaceStatus.READY and not self.starting and not self.lock.locked()

    @property
    def running(self) -> bool:
        """Whether all runs that a session needs."""
        return all(map(self.runs, CORE))

    def runs(self, name: Name) -> bool:
        """Whether a service runs."""
        return processes.runs(self.services.get(name))

    def endpoint(self, keys: ServiceKeys) -> Endpoint:
        """Where it answers.

        Args:
            keys: The secrets of its services.

        Raises:
            Unavailable: It was stopped.
        """
        if (record := self.record) is None:
            raise stopped_meanwhile()
        return Endpoint(
            url=record.url(Name.SIDECAR),
            token=keys.token,
            files_url=record.url(Name.FILES),
            proxy_url=record.url(Name.PROXY),
            notices=tuple(self.notices),
            gateway_url=record.url(Name.GATEWAY),
            rehearsal_key=keys.rehearsal_key,
            # Services of an earlier version are not taken over: see `LocalRuntime._adopt`.
            proves=True,
            trees=record.trees,
        )


def stopped_meanwhile() -> Unavailable:
    """The workspace that somebody waits for was stopped."""
    return Unavailable("The workspace was stopped while it was starting.", "workspace_stopped")
