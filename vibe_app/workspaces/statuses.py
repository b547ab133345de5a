"""What the reconciler has to say of workspaces, kept until it stands in their rows.

Each write is fenced by the reconciler's lease: what a process says that was replaced does not count.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, update
from sqlmodel import col

from vibe_app.db import Database
from vibe_app.jobs.models import JobRow
from vibe_app.jobs.registry import Hold
from vibe_app.log import visible
from vibe_app.wire import now
from vibe_app.workspaces import rows
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.states import WorkspaceStatus


class Statuses:
    """The writes of one reconciler. `begin` comes first.

    Args:
        database: Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unwritten: dict[UUID, dict[str, Any]] = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._hold: Hold | None = None

    def begin(self, hold: Hold) -> None:
        """Write under this lease from now on; what was left from an earlier one is out of date."""
        self._hold = hold
        self._unwritten.clear()

    @property
    def fence(self) -> ColumnElement[bool]:
        """What must be true of the job's row for a write to count."""
        return self._lease.fence

    @property
    def _lease(self) -> Hold:
        if self._hold is None:
            raise RuntimeError("workspaces are written without a lease")
        return self._hold

    def told(
        self, project_id: UUID, status: WorkspaceStatus, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        """Note how a workspace is, and where it answers."""
        values: dict[str, Any] = {"status": status.value, "reason": visible(reason) if reason else None}
        if status is WorkspaceStatus.READY and endpoint is not None:
            # Notices repeat names out of the repository.
            values |= {
                "address": {
                    "url": endpoint.url,
                    "files_url": endpoint.files_url,
                    "proxy_url": endpoint.proxy_url,
                    "gateway_url": endpoint.gateway_url,
                    "proves": "yes" if endpoint.proves else "",
                    "trees": "yes" if endpoint.trees else "",
                },
                "notices": [visible(notice) for notice in endpoint.notices],
                "failure": None,
            }
        elif status is not WorkspaceStatus.READY:
            values["address"] = None
        self.note(project_id, values)

    def troubled(self, project_id: UUID, sentence: str, final: bool) -> None:
        """Note how something of a workspace ended that runs may need."""
        self.note(project_id, {"trouble": visible(sentence), "trouble_at": now(), "trouble_final": final})

    def note(self, project_id: UUID, values: dict[str, Any]) -> None:
        """Note columns of a workspace's row."""
        self._unwritten.setdefault(project_id, {}).update(values)
        self._news.set()

    def forget(self, project_id: UUID) -> None:
        """Drop what was noted of a workspace whose row is about to go."""
        self._unwritten.pop(project_id, None)

    async def write_all(self) -> None:
        """Write what is noted whenever something is."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.write()

    async def write(self) -> None:
        """Write what is noted; on return all of it stands there.

        Raises:
            Unavailable: The database does not answer; what is noted is kept.
        """
        async with self._writing:
            writing, self._unwritten = self._unwritten, {}
            try:
                await self._write(writing)
            except BaseException:
                # What came meanwhile is newer.
                for project_id, values in writing.items():
                    self._unwritten[project_id] = values | self._unwritten.get(project_id, {})
                self._news.set()
                raise

    async def _write(self, writing: dict[UUID, dict[str, Any]]) -> None:
        async with self._database.transaction() as db:
            # In order, so that two processes never wait for each other's rows.
            for project_id, values in sorted(writing.items()):
                await db.execute(
                    update(Workspace)
                    .where(col(Workspace.project_id) == project_id, self.fence)
                    .values(**values)
                )
                rows.announce(db, project_id)

    async def report(self, trouble: str | None) -> None:
        """Say in the job's row what keeps the reconciler from its work; None for nothing."""
        async with self._database.transaction() as db:
            mine = update(JobRow).where(col(JobRow.name) == self._lease.name, self.fence)
            await db.execute(mine.values(failure=trouble))
