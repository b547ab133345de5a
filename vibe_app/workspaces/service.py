"""The verbs of workspaces: keep one warm, stop it when idle. Their files are in `files`.

The runtime knows how to make a workspace; this knows when: when a board is
opened, when a session runs, and not after half an hour without either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.addresses import Credential
from vibe_app.board import repository
from vibe_app.board.access import require
from vibe_app.board.models import Project, Session
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database
from vibe_app.errors import TooMany, Unavailable, VibeError
from vibe_app.log import visible
from vibe_app.wire import now
from vibe_app.workspaces.orphans import end_strays
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, Runtime, WorkspaceSpec
from vibe_app.workspaces.waking import Waking

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0


class Workspaces:
    """Workspaces of projects, on whichever runtime.

    Args:
        database: Where each project's workspace status is kept for all to see.
        runtime: Makes and ends them.
        agent: Asks their sidecars what still runs.
        idle_minutes: Minutes without use after which one is stopped.
        credentials: Those of the projects' repositories.
    """

    def __init__(
        self,
        database: Database,
        runtime: Runtime,
        agent: Agent,
        idle_minutes: float,
        credentials: Credentials,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._agent = agent
        self._credentials = credentials
        self._idle = timedelta(minutes=idle_minutes)
        self._waking = Waking(self._idle)
        self._starting: dict[UUID, asyncio.Task[None]] = {}
        self._troubles: dict[UUID, tuple[datetime, str]] = {}

    async def opened(self, actor: Actor, project_id: UUID) -> None:
        """Say that somebody looks at the board: its workspace starts in the background and stays warm.

        Whoever keeps the board open says so again every few minutes, well within `idle_minutes`.

        Raises:
            NotFound: There is no such project.
            Forbidden: The actor is no member.
        """
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.VIEWER)
        try:
            self.wake(actor, project)
        except TooMany as error:
            log.info("workspace of project %s stays as it is: %s", project_id, error)
            return
        if project_id not in self._starting:
            task = asyncio.create_task(self._warm(project), name=f"warm {project_id}")
            self._starting[project_id] = task
            task.add_done_callback(lambda _: self._starting.pop(project_id))

    def wake(self, actor: Actor, project: Project) -> None:
        """Note that a person needs a workspace for looking at it, unless it is awake anyway.

        Raises:
            TooMany: They have woken as many others as one person may.
        """
        if project.workspace_status != "ready":
            self._waking.count(actor.user_id, project.id)

    async def _warm(self, project: Project) -> None:
        try:
            await self.ensure(project)
        except VibeError as error:
            log.warning("workspace of project %s could not start: %s", project.id, error)

    async def ensure(self, project: Project, progress: Progress | None = None) -> Endpoint:
        """Make the project's workspace ready, note that it is in use, and say where it answers.

        Raises:
            Unavailable: It cannot be started.
            InvalidRequest: Its repository's address cannot be used.
        """
        try:
            async with self._database.transaction() as db:
                await db.execute(
                    update(Project).where(col(Project.id) == project.id).values(workspace_used_at=now())
                )
        except Unavailable as error:
            # Only how long it stays warm depends on this note; a run must not end for it.
            log.warning("use of project %s's workspace was not noted: %s", project.id, error)
        credential = await self.credential(project)
        spec = WorkspaceSpec(project.id, project.repo_url, project.repo_branch, credential)
        try:
            endpoint = await self._runtime.ensure(spec, progress)
        except VibeError:
            self._waking.forget(project.id)
            raise
        await self._note_notices(project, list(endpoint.notices))
        return endpoint

    async def credential(self, project: Project) -> Credential | None:
        """Return what signs in to the project's repository; None where there is nothing usable."""
        if not project.repo_url:
            return None
        try:
            async with self._database.read() as db:
                return await self._credentials.get(db, project.id)
        except Unavailable as error:
            # A workspace that exists needs none, and a clone without it says what is missing.
            log.warning("the repository's credential of project %s is not used: %s", project.id, error)
            return None

    async def _note_notices(self, project: Project, notices: list[str]) -> None:
        # They repeat names out of the repository.
        notices = [visible(notice) for notice in notices]
        if (project.workspace_notices or []) == notices:
            return
        try:
            async with self._database.transaction() as db:
                await db.execute(
                    update(Project).where(col(Project.id) == project.id).values(workspace_notices=notices)
                )
                db.announce(f"project:{project.id}", "projects")
        except Unavailable as error:
            log.warning("what is missing in project %s's workspace was not noted: %s", project.id, error)

    async def note_status(self, project_id: UUID, status: str, reason: str | None) -> None:
        """Keep a workspace's new state in its project's row, for every board to show."""
        reason = visible(reason) if reason else None
        async with self._database.transaction() as db:
            await db.execute(
                update(Project)
                .where(col(Project.id) == project_id)
                .values(workspace_status=status, workspace_reason=reason)
            )
            db.announce(f"project:{project_id}", "projects")

    def note_trouble(self, project_id: UUID, sentence: str) -> None:
        """Remember how something of a workspace ended that runs may need."""
        self._troubles[project_id] = (now(), sentence)

    def trouble(self, project_id: UUID, since: datetime) -> str | None:
        """Return how something of a workspace has ended since then, as this process has seen it."""
        noted, sentence = self._troubles.get(project_id, (since, ""))
        return sentence if sentence and noted >= since else None

    async def erase(self, project_id: UUID) -> None:
        """End a project's workspace and delete its files."""
        self._waking.forget(project_id)
        await self._runtime.stop(project_id, erase=True)

    async def correct_statuses(self, alive: Collection[UUID] | None = None) -> None:
        """Make the rows agree with what really runs; for the start of the app.

        Args:
            alive: What runs, said by the one process in charge of all workspaces when it takes charge:
                no start that a row speaks of goes on. Without it the runtime is asked, and a row that
                speaks of a start is left alone, as another process may be at it.
        """
        in_charge = alive is not None
        alive = alive if alive is not None else await self._runtime.alive()
        past = col(Project.workspace_status).not_in(("failed",) if in_charge else ("failed", "starting"))
        async with self._database.transaction() as db:
            # Replicas that start together would wait for each other's rows.
            await self._database.lock_queue(db)
            await db.execute(
                update(Project)
                .where(col(Project.id).not_in(alive), past)
                .values(workspace_status="stopped", workspace_reason=None)
            )
            await db.execute(
                update(Project)
                .where(col(Project.id).in_(alive))
                .values(workspace_status="ready", workspace_reason=None)
            )

    async def end_strays(self) -> None:
        """End, in every running workspace, what it works on although nobody waits for it any more.

        Raises:
            Unavailable: The database or the runtime does not answer.
        """
        await end_strays(self._database, self._runtime, self._agent)

    async def stop_idle(self) -> None:
        """Stop every workspace that nobody has used for `idle_minutes` and that runs no session."""
        for project_id in await self._runtime.alive():
            # Asked for each one right before it is stopped, since a stop takes its time. Who wants it in
            # between finds it stopped and starts it again.
            if not await self._in_use(project_id):
                log.info("stopping the idle workspace of project %s", project_id)
                await self._stop(project_id)

    async def _in_use(self, project_id: UUID) -> bool:
        recently = now() - self._idle
        async with self._database.read() as db:
            if await repository.live_counts(db, [project_id]):
                return True
            opened = await db.scalar(
                select(col(Project.id)).where(
                    col(Project.id) == project_id, col(Project.workspace_used_at) > recently
                )
            )
            ended = await db.scalar(
                select(col(Session.id))
                .where(
                    col(Session.project_id) == project_id,
                    col(Session.deleted_at).is_(None),
                    col(Session.completed_at) > recently,
                )
                .limit(1)
            )
        return opened is not None or ended is not None

    async def _stop(self, project_id: UUID) -> None:
        try:
            await self._runtime.stop(project_id)
        except (VibeError, OSError) as error:
            log.warning("workspace of project %s did not stop: %s", project_id, error)

    async def close(self) -> None:
        """Stop, within `CLOSE_SECONDS`, all workspaces but those with a live session.

        Such a session goes on in its workspace and is taken up again at the next start. Where other
        processes share the workspaces, the runtime stops none until the last of them closes.
        """
        starting = list(self._starting.values())
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        try:
            async with self._database.read() as db:
                keep = set(await db.scalars(select(col(Session.project_id)).where(repository.live)))
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._runtime.close(keep)
        except (VibeError, TimeoutError) as error:
            log.warning("not every workspace was stopped: %s", error or "it took too long")
