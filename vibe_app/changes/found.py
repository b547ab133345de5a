"""Makes a card of the work that a workspace of the earlier layout held uncommitted.

Each workspace is asked once for each start of it; what was found waits there until the card's tree has it.
"""

from __future__ import annotations

import logging
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.clients.git import GitClient
from vibe_app.db import Database
from vibe_app.errors import VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import now
from vibe_app.wire.git import Repository
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

PERIOD = 5.0
TITLE = "Work found in the workspace"
_DESCRIPTION = (
    "This lay uncommitted in the project's folder when each card was given a folder of its own. Accept it, "
    "go on with it, or discard it."
)


class Found:
    """The job that makes cards of found work.

    Args:
        database: Where they are made.
        workspaces: Knows which workspaces are ready.
        git: Asks their repositories.
    """

    def __init__(self, database: Database, workspaces: Workspaces, git: GitClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._git = git
        self._asked: set[tuple[UUID, str]] = set()

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.look()

        return Job("make cards of found work", work, period=PERIOD)

    async def look(self) -> None:
        """Ask the workspaces that were started since the last look.

        Raises:
            Unavailable: The database does not answer.
        """
        ready = await self._workspaces.ready()
        starts = {(project, at.token): at for project, at in ready.items() if at.trees}
        for key in starts.keys() - self._asked:
            await self._ask(key[0], starts[key])
        self._asked = set(starts)

    async def _ask(self, project_id: UUID, endpoint: Endpoint) -> None:
        try:
            repository = await self._git.repository(endpoint)
        except VibeError as error:
            log.info("the workspace of project %s cannot be asked for found work: %s", project_id, error)
            return
        if repository.found:
            await self._make_card(project_id, repository)

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
            db.announce(change_queries.CHANGES, f"project:{project_id}", "projects")
        log.info("project %s: its workspace held work that belongs to no card: it has one now", project_id)
