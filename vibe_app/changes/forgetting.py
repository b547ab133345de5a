"""Lets go of what nobody can ask for any more: cards that were deleted long ago, and in the workspaces the
checkpoints of those, and of what was discarded as long ago.

Only what is due is looked at, and checkpoints only in workspaces that run: one that sleeps is asked once it
is awake for something else. What is due stays due until its workspace has answered, so all of it may be
repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change, DeletedCard
from vibe_app.board.changes.service import KEPT_FOR
from vibe_app.board.lifecycle import ChangeState
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.shelving import AT_ONCE as AT_ONCE_GONE
from vibe_app.board.tasks.shelving import purge
from vibe_app.clients.git import GitClient
from vibe_app.db import Database
from vibe_app.errors import VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import now
from vibe_app.wire.git import Forget
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

PERIOD = 60.0
AT_ONCE = 100
"""Of what is due, at one look."""
SETTLED = timedelta(minutes=15)
"""After a card was gone for good, or the last moment in which a change could be restored: what was under way
then is over, on each replica and by each clock."""


class Forgetting:
    """The job that lets go of checkpoints.

    Args:
        database: Knows what is due.
        workspaces: Knows which workspaces are ready.
        git: Asks their repositories.
    """

    def __init__(self, database: Database, workspaces: Workspaces, git: GitClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._git = git

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.look()

        return Job("forget checkpoints", work, period=PERIOD)

    async def look(self) -> int:
        """Let go of what is due, and ask the workspaces that are awake; return of how many changes and cards.

        Raises:
            Unavailable: The database does not answer.
        """
        while await purge(self._database) == AT_ONCE_GONE:
            pass
        ready = {project: at for project, at in (await self._workspaces.ready()).items() if at.trees}
        if not ready:
            return 0
        done = 0
        for change, number in await self._discarded(ready):
            done += await self._forget_change(ready[change.project_id], change, number)
        for card in await self._deleted(ready):
            done += await self._forget_card(ready[card.project_id], card)
        return done

    async def _discarded(self, projects: Collection[UUID]) -> list[tuple[Change, int]]:
        async with self._database.read() as db:
            rows = await db.execute(
                select(Change, col(Task.number))
                .join(Task, col(Task.id) == col(Change.task_id))
                .where(
                    col(Change.project_id).in_(projects),
                    col(Change.state) == str(ChangeState.DISCARDED),
                    col(Change.dropped_at).is_(None),
                    col(Change.decided_at) < now() - KEPT_FOR - SETTLED,
                    col(Change.intent).is_(None),
                    col(Task.number).is_not(None),
                )
                .limit(AT_ONCE)
            )
            return [(change, number) for change, number in rows.all() if number is not None]

    async def _deleted(self, projects: Collection[UUID]) -> list[DeletedCard]:
        async with self._database.read() as db:
            query = select(DeletedCard).where(
                col(DeletedCard.project_id).in_(projects), col(DeletedCard.deleted_at) < now() - SETTLED
            )
            return list(await db.scalars(query.limit(AT_ONCE)))

    async def _forget_change(self, endpoint: Endpoint, change: Change, number: int) -> bool:
        if change.revision is not None:
            async with self._database.read() as db:
                others = await db.scalars(
                    select(col(Change.revision)).where(
                        col(Change.task_id) == change.task_id,
                        col(Change.id) != change.id,
                        col(Change.revision).is_not(None),
                        col(Change.dropped_at).is_(None),
                    )
                )
                kept = [revision for revision in others if revision is not None]
            asked = Forget(revision=change.revision, kept=kept)
            if not await self._asked(endpoint, change.project_id, number, asked):
                return False
        async with self._database.transaction() as db:
            still = col(Change.state) == str(ChangeState.DISCARDED)
            return await change_queries.write(db, change.id, still, dropped_at=now())

    async def _forget_card(self, endpoint: Endpoint, card: DeletedCard) -> bool:
        if not await self._asked(endpoint, card.project_id, card.number, Forget()):
            return False
        async with self._database.transaction() as db:
            this = (
                col(DeletedCard.project_id) == card.project_id,
                col(DeletedCard.number) == card.number,
            )
            await db.execute(delete(DeletedCard).where(*this))
        return True

    async def _asked(self, endpoint: Endpoint, project_id: UUID, number: int, asked: Forget) -> bool:
        try:
            gone = await self._git.forget(endpoint, number, asked)
        except VibeError as error:
            log.info("project %s: card %s: its checkpoints stay for now: %s", project_id, number, error)
            return False
        log.info("project %s: card %s: %s references are dropped", project_id, number, gone.count)
        return True
