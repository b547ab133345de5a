"""Asks how open changes stand to their base branch when that has moved on: how far behind, what conflicts.

It is asked beforehand, so that nobody presses Accept to find out; accepting plans anew all the same. Only
workspaces that are awake are asked, as no other base branch moves.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import ChangeState
from vibe_app.board.topics import card_topics
from vibe_app.clients.git import GitClient
from vibe_app.db import Database
from vibe_app.errors import VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire.git import MOST_STANDINGS, AskDiff, AskStandings, Standing
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

LOOK = 60.0
"""Seconds between two looks, where no base branch is said to have moved."""


@dataclass(frozen=True)
class _Open:
    """An open change that is behind its base branch, as its row was read."""

    id: UUID
    project_id: UUID
    base: str
    revision: str
    behind: int


class Standings:
    """The job that asks it.

    Args:
        database: Where changes are.
        workspaces: Knows which workspaces are ready.
        git: Asks their repositories.
    """

    def __init__(self, database: Database, workspaces: Workspaces, git: GitClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._git = git
        # What was asked: a change is asked about again once its row says something else.
        self._asked: set[_Open] = set()

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.watch()

        return Job("ask how changes stand to their base", work, period=1.0)

    async def watch(self) -> None:
        """Ask whenever a base branch has moved on, until it is cancelled.

        Raises:
            Unavailable: The database does not answer.
        """
        with self._database.bus.subscribe(change_queries.BASES) as moved:
            while True:
                await self.look()
                await moved.wait(LOOK)

    async def look(self) -> None:
        """Ask about the open changes that are behind, as far as that was not asked yet.

        Raises:
            Unavailable: The database does not answer.
        """
        ready = {project: at for project, at in (await self._workspaces.ready()).items() if at.trees}
        behind = await self._behind(set(ready))
        self._asked.intersection_update(behind)
        of_project: defaultdict[UUID, list[_Open]] = defaultdict(list)
        for change in behind:
            if change not in self._asked:
                of_project[change.project_id].append(change)
        for project_id, changes in of_project.items():
            for first in range(0, len(changes), MOST_STANDINGS):
                some = changes[first : first + MOST_STANDINGS]
                if not await self._ask(ready[project_id], project_id, some):
                    break

    async def _behind(self, projects: set[UUID]) -> list[_Open]:
        if not projects:
            return []
        columns = (Change.id, Change.project_id, Change.base_commit, Change.revision, Change.behind)
        async with self._database.read() as db:
            rows = await db.execute(
                select(*map(col, columns)).where(
                    col(Change.project_id).in_(projects),
                    col(Change.state) == str(ChangeState.OPEN),
                    col(Change.behind) > 0,
                    col(Change.revision).is_not(None),
                )
            )
            return [_Open(*row) for row in rows.all()]

    async def _ask(self, endpoint: Endpoint, project_id: UUID, changes: Sequence[_Open]) -> bool:
        """Ask about some changes of one project; tell whether its workspace has answered."""
        asked = AskStandings(changes=[AskDiff(base=each.base, revision=each.revision) for each in changes])
        try:
            found = (await self._git.standings(endpoint, asked)).changes
        except VibeError as error:
            log.info("project %s: how its changes stand is not known: %s", project_id, error)
            return False
        for change, standing in zip(changes, found, strict=False):
            self._asked.add(change)
            if standing is not None:
                await self._note(change, standing)
        return True

    async def _note(self, change: _Open, standing: Standing) -> None:
        """Write how a change stands, unless it has moved on since it was read, or its base branch has."""
        as_read = (
            col(Change.state) == str(ChangeState.OPEN),
            col(Change.revision) == change.revision,
            col(Change.behind) == change.behind,
        )
        async with self._database.transaction() as db:
            row = await db.get(Change, change.id)
            if row is None or (row.behind, row.conflicts) == (standing.behind, standing.conflicts):
                return
            values = {"behind": standing.behind, "conflicts": standing.conflicts}
            if await change_queries.write(db, change.id, *as_read, **values):
                self._asked.add(replace(change, behind=standing.behind))
                db.announce(f"change:{change.id}", *card_topics(row.project_id, row.task_id))
