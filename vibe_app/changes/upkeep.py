"""Looks after what workspaces hold: trees that no card has any more, and work of an earlier layout.

Each workspace is asked at each start of it, and now and then. A tree without an open change or a live
session belongs to a card that was deleted, or whose change was decided about: it goes. Work that an
earlier layout held uncommitted becomes a card; it waits in the workspace until the card's tree has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.board.topics import card_topics
from vibe_app.clients.git import GitClient
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database
from vibe_app.errors import VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import now
from vibe_app.wire.git import DropTree, Repository
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

PERIOD = 5.0
EVERY = 600.0
"""Seconds after which a workspace is asked again that was not started anew."""
TITLE = "Work found in the workspace"
_DESCRIPTION = (
    "This lay uncommitted in the project's folder when each card was given a folder of its own. Accept it, "
    "go on with it, or discard it."
)


class Upkeep:
    """The job that looks after what workspaces hold.

    Args:
        database: Where they are made.
        workspaces: Knows which workspaces are ready.
        git: Asks their repositories.
        agent: Asks their sidecars.
    """

    def __init__(self, database: Database, workspaces: Workspaces, git: GitClient, agent: Agent) -> None:
        self._database = database
        self._workspaces = workspaces
        self._git = git
        self._agent = agent
        self._asked: dict[tuple[UUID, str], float] = {}

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.look()

        return Job("look after trees", work, period=PERIOD)

    async def look(self) -> None:
        """Ask the workspaces that were started since the last look, and those not asked for long.

        Raises:
            Unavailable: The database does not answer.
        """
        clock = asyncio.get_running_loop().time()
        ready = await self._workspaces.ready()
        starts = {(project, at.token): at for project, at in ready.items() if at.trees}
        self._asked = {key: at for key, at in self._asked.items() if key in starts}
        for key, endpoint in starts.items():
            if clock - self._asked.get(key, -EVERY) >= EVERY:
                self._asked[key] = clock
                await self._look_into(key[0], endpoint)

    async def _look_into(self, project_id: UUID, endpoint: Endpoint) -> None:
        try:
            repository = await self._git.repository(endpoint)
            for number in await self._abandoned(project_id, repository.trees):
                log.info("project %s: the tree of card %s belongs to nobody any more", project_id, number)
                await self._agent.let_go(endpoint, number)
                await self._git.drop_tree(endpoint, number, DropTree(anyway=True))
        except VibeError as error:
            log.info("the workspace of project %s cannot be looked after: %s", project_id, error)
            return
        if repository.found:
            await self._make_card(project_id, repository)

    async def _abandoned(self, project_id: UUID, numbers: Collection[int]) -> list[int]:
        """Those trees that neither an open change nor a live session needs."""
        if not numbers:
            return []
        async with self._database.read() as db:
            changed = select(col(Task.number)).join(Change, col(Change.task_id) == col(Task.id))
            working = select(col(Task.number)).join(Session, col(Session.task_id) == col(Task.id))
            here = col(Task.project_id) == project_id
            undecided = change_queries.is_open | col(Change.intent).is_not(None)
            needed = set(await db.scalars(changed.where(here, undecided)))
            needed |= set(await db.scalars(working.where(here, session_queries.live)))
        return [number for number in numbers if number not in needed]

    async def _make_card(self, project_id: UUID, repository: Repository) -> None:
        async with self._database.transaction() as db:
            known = select(col(Change.id)).where(
                col(Change.project_id) == project_id, col(Change.intent) == "adopt"
            )
            project = await db.get(Project, project_id, with_for_update=True)
            if project is None or await db.scalar(known.limit(1)) is not None:
                return
            task = Task(
                project_id=project_id,
                title=TITLE,
                description=_DESCRIPTION,
                status=TaskStatus.HUMAN_REVIEW,
                position=await task_queries.top_of(db, project_id, TaskStatus.HUMAN_REVIEW),
                number=await task_queries.next_number(db, project_id),
            )
            change = Change(
                task_id=task.id,
                project_id=project_id,
                base_branch=repository.branch,
                base_commit=repository.head,
                intent="adopt",
                intent_at=now(),
            )
            task.change_id = change.id
            db.add(task)
            await db.flush()
            db.add(change)
            db.announce(change_queries.CHANGES, *card_topics(project_id, task.id), "projects")
        log.info("project %s: its workspace held work that belongs to no card: it has one now", project_id)
