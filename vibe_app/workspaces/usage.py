"""Usage of workspaces as leases: what lasts holds its workspace awake for as long as it lasts.

One row for each process and project, renewed while anything of the process uses the workspace:
an upload or a download, a request through the proxy. A process that dies lets go of its rows by time.
Sessions need none, as their own rows say that they live. Who only looks, as at an open page of files, has no
row: that it was used a moment ago is written again and again, which keeps a workspace from being stopped for
being idle, and not from giving its place to one that is wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import Update, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.aio import cancel, forever
from vibe_app.db import Database, db_clock
from vibe_app.errors import Unavailable
from vibe_app.processes import ended_here
from vibe_app.wire import now
from vibe_app.workspaces.models import Workspace, WorkspaceUse

log = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds for which a use counts without being renewed."""
RENEW = 15.0


class Usage:
    """The leases of one process.

    Args:
        database: Where they are kept.
        process: This process's name, unique for each start of it.
    """

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process
        self._holds: Counter[UUID] = Counter()
        self._looks: Counter[UUID] = Counter()
        self._renewed: dict[UUID, float] = {}
        self._renewing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to renew what is held."""
        self._renewing = asyncio.create_task(forever("renew uses of workspaces", self._renew_all))

    async def close(self) -> None:
        """Let go of everything."""
        await cancel(self._renewing)
        try:
            async with self._database.transaction() as db:
                await db.execute(delete(WorkspaceUse).where(col(WorkspaceUse.process) == self._process))
        except Unavailable as error:
            log.warning("the uses of workspaces end by time: %s", error)

    @asynccontextmanager
    async def held(self, project_id: UUID) -> AsyncGenerator[None]:
        """Hold a workspace awake for as long as the block lasts; it is not started by this."""
        self._holds[project_id] += 1
        try:
            await self._note(project_id)
            yield
        finally:
            self._holds[project_id] -= 1
            if not self._holds[project_id]:
                # The lease runs out by itself soon; until then a next use costs nothing.
                del self._holds[project_id]

    @asynccontextmanager
    async def looked_at(self, project_id: UUID) -> AsyncGenerator[None]:
        """Keep a workspace from being stopped for being idle for as long as the block lasts."""
        self._looks[project_id] += 1
        try:
            await self._note_looks([project_id])
            yield
        finally:
            self._looks[project_id] -= 1
            if not self._looks[project_id]:
                del self._looks[project_id]

    async def _note_looks(self, projects: Collection[UUID]) -> None:
        try:
            async with self._database.transaction() as db:
                await db.execute(_used_now(sorted(projects)))
        except Unavailable as error:
            # Only how long it stays awake depends on this.
            log.warning("that workspaces are looked at was not noted: %s", error)

    async def _note(self, project_id: UUID) -> None:
        """Write that a workspace is used, unless that stands there for a while yet."""
        clock = asyncio.get_running_loop().time()
        if clock - self._renewed.get(project_id, float("-inf")) < RENEW:
            return
        self._renewed[project_id] = clock
        try:
            await self._write([project_id])
        except Unavailable as error:
            # Only how long it stays awake depends on this.
            log.warning("use of project %s's workspace was not noted: %s", project_id, error)
            self._renewed.pop(project_id, None)

    async def _write(self, projects: Collection[UUID]) -> None:
        insert = sqlite.insert if self._database.sqlite else postgresql.insert
        async with self._database.transaction() as db:
            for project_id in sorted(projects):
                until = db_clock() + LEASE
                row = insert(WorkspaceUse).values(project_id=project_id, process=self._process, until=until)
                await db.execute(
                    row.on_conflict_do_update(index_elements=["project_id", "process"], set_={"until": until})
                )
            await db.execute(_used_now(projects))

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(RENEW)
            held = set(self._holds)
            if looks := set(self._looks) - held:
                await self._note_looks(looks)
            self._renewed = {project: at for project, at in self._renewed.items() if project in held}
            if not held:
                continue
            await self._write(held)


def _used_now(projects: Collection[UUID]) -> Update:
    return update(Workspace).where(col(Workspace.project_id).in_(projects)).values(used_at=now())


async def used(db: AsyncSession, projects: Collection[UUID] | None = None) -> set[UUID]:
    """Return the projects whose workspaces some process uses now; of some or of all."""
    query = select(col(WorkspaceUse.project_id)).where(col(WorkspaceUse.until) > db_clock()).distinct()
    if projects is not None:
        query = query.where(col(WorkspaceUse.project_id).in_(projects))
    return set(await db.scalars(query))


async def used_by_the_living(db: AsyncSession) -> set[UUID]:
    """Return the projects whose workspaces are used, but for uses of processes that ended on this machine."""
    query = select(col(WorkspaceUse.project_id), col(WorkspaceUse.process)).where(
        col(WorkspaceUse.until) > db_clock()
    )
    return {row.project_id for row in await db.execute(query) if not ended_here(row.process)}


async def forget_past(db: AsyncSession) -> None:
    """Delete the leases that have run out."""
    await db.execute(delete(WorkspaceUse).where(col(WorkspaceUse.until) < db_clock()))
