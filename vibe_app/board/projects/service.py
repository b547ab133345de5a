"""The verbs of projects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app import addresses
from vibe_app.accounts.roles import Actor, ProjectRole, Scope, rights_of
from vibe_app.board.access import require
from vibe_app.board.pages import Page
from vibe_app.board.projects import delivery, remotes
from vibe_app.board.projects import queries as project_queries
from vibe_app.board.projects.keys import key_of
from vibe_app.board.projects.models import Member, Project
from vibe_app.board.projects.remotes import Credentials
from vibe_app.board.projects.schemas import (
    NewProject,
    ProjectCard,
    ProjectPatch,
    ProjectView,
    WorkspaceView,
)
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.spending import limits as limits_of
from vibe_app.board.spending.limits import NO_LIMITS, Limits, LimitsView
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database, Transaction, contains
from vibe_app.errors import InvalidRequest, VersionChanged
from vibe_app.wire import now, plain_text

log = logging.getLogger(__name__)


STOPPING = 10.0
"""Seconds for which the runs of a project that is deleted are given to stop."""

_CHANGED = (
    "Somebody changed this project since you read it. Nothing was saved: look at both, and save again if "
    "yours is to stay."
)


class _Stale(Exception):
    """What is to be changed is not of the version any more on which the change is founded."""


class WorkspaceRows(Protocol):
    """What the board needs of workspaces, in its own transactions."""

    async def views(self, db: AsyncSession, projects: Collection[UUID]) -> dict[UUID, WorkspaceView]:
        """Return how the workspaces of these projects are."""
        ...

    async def erase(self, db: Transaction, project_id: UUID) -> None:
        """Want nothing left of a project's workspace."""

    async def forgive(self, db: Transaction, project_id: UUID) -> None:
        """Take the failure of a workspace back: what it came of may be mended."""


LISTED = 200
"""Projects that a list of them shows at once."""
SAMPLE_NAME = "Sample project"


SAMPLE_TASKS = (
    ("Add a README file", "Write a README.md that says what this folder is for, in a few lines."),
    ("Add a script hello.py", "It prints a friendly sentence. Check that it compiles."),
)


class Projects:
    """Create, list, change and delete projects.

    Args:
        database: Where they are kept.
        workspaces: Tells how their workspaces are, and has them erased.
        credentials: Where those of their repositories are kept.
        project_limit: How many sessions of a new project may run at once.
        limits: What a session of this installation may spend.
        network: Where agents' commands may go unless a project says otherwise.
    """

    def __init__(
        self,
        database: Database,
        workspaces: WorkspaceRows,
        credentials: Credentials,
        project_limit: int = 1,
        limits: Limits = NO_LIMITS,
        network: str = "closed",
    ) -> None:
        self._database = database
        self._workspaces = workspaces
        self._credentials = credentials
        self._project_limit = project_limit
        self._limits = limits
        self._network = network

    async def create(self, actor: Actor, new: NewProject) -> ProjectView:
        """Make a project of which the actor is the owner.

        Raises:
            InvalidRequest: A value cannot be accepted.
            Forbidden: The actor may not create projects, or the repository is a folder of the server, and the
                actor no admin.
        """
        _require_creation(actor)
        project = Project(
            name=new.name,
            key=new.key or key_of(new.name),
            description=new.description,
            session_limit=self._project_limit,
        )
        given = {name: value for name in remotes.FIELDS if (value := getattr(new, name)) is not None}
        _, credential = remotes.changed(actor, project, given)
        async with self._database.transaction() as db:
            await _insert(db, project, actor)
            if credential is not None:
                await self._credentials.put(db, project.id, credential)
        return await self.read(actor, project.id)

    async def create_sample(self, actor: Actor) -> ProjectView:
        """Make the sample project with cards that are ready to execute."""
        _require_creation(actor)
        project = Project(
            name=SAMPLE_NAME,
            key=key_of(SAMPLE_NAME),
            description="Two small cards to see the whole path once: press Execute on one.",
            session_limit=self._project_limit,
            next_number=len(SAMPLE_TASKS) + 1,
        )
        async with self._database.transaction() as db:
            await _insert(db, project, actor)
            for index, (title, description) in enumerate(SAMPLE_TASKS, start=1):
                db.add(
                    Task(
                        project_id=project.id,
                        number=index,
                        title=title,
                        description=description,
                        position=index * task_queries.POSITION_GAP,
                        created_by=actor.user_id,
                    )
                )
        return await self.read(actor, project.id)

    async def page(
        self, actor: Actor, page: int = 1, page_size: int = 100, after: str | None = None
    ) -> Page[ProjectView]:
        """Return the projects that the actor may see, by name, a page of them; it may end early.

        Raises:
            InvalidRequest: `after` is no cursor that a page of this list had as its `next`.
        """
        where = project_queries.visible_to(actor)
        async with self._database.read() as db:
            rows, total, following = await project_queries.projects_page(db, where, page, page_size, after)
            return Page(await self._views(db, actor, rows), total, following)

    async def list(
        self, actor: Actor, text: str = "", only: Collection[UUID] | None = None
    ) -> list[ProjectCard]:
        """Return the first projects by name that the actor may see, as a list of them shows each.

        Args:
            actor: Who asks.
            text: Only those whose name contains it; empty for all.
            only: None but these.
        """
        where = project_queries.visible_to(actor)
        if words := plain_text(text).strip():
            where = [*where, contains(col(Project.name), words)]
        if only is not None:
            where = [*where, col(Project.id).in_(only)]
        async with self._database.read() as db:
            rows = await project_queries.cards(db, where, LISTED)
            return await self._cards(db, actor, rows)

    async def read(self, actor: Actor, project_id: UUID) -> ProjectView:
        """Return one project.

        Raises:
            NotFound: There is none of this id.
            Forbidden: The actor is no member.
        """
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.VIEWER)
            return (await self._views(db, actor, [project]))[0]

    async def change(
        self, actor: Actor, project_id: UUID, patch: ProjectPatch, version: int | None = None
    ) -> ProjectView:
        """Change what is given and leave the rest.

        A new address, branch or credential counts for workspaces that are made from then on: one that
        exists keeps its files, its history and its `origin`. Saving what is there already is no change,
        whatever version it names.

        Args:
            actor: Who asks; an owner.
            project_id: Which.
            patch: What to change.
            version: That of the project on which the change is founded; None writes over whatever is there.

        Raises:
            VersionChanged: Somebody else has changed the project since that version.
            Forbidden: The actor is no owner, or names a folder of the server and is no admin.
            InvalidRequest: A value cannot be accepted.
        """
        values = patch.given()
        yours = {name: value for name, value in values.items() if name != "repo_credential"}
        try:
            await self._change(actor, project_id, values, version)
        except _Stale:
            present = await self.read(actor, project_id)
            raise VersionChanged(_CHANGED, yours, present, "project") from None
        return await self.read(actor, project_id)

    async def _change(
        self, actor: Actor, project_id: UUID, values: dict[str, Any], version: int | None
    ) -> None:
        remote = {name: values.pop(name) for name in remotes.FIELDS if name in values}
        delivering = {name: values.pop(name) for name in delivery.FIELDS if name in values}
        given_limits = values.pop("limits", None)
        async with self._database.transaction() as db:
            # Held: of two who save on top of one version, the second sees what the first has written.
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE, lock=True)
            signs = False
            if remote:
                before = project.repo_url, project.repo_branch
                signs, credential = remotes.changed(actor, project, remote)
                if signs:
                    await self._credentials.put(db, project_id, credential)
                if (project.repo_url, project.repo_branch) != before:
                    # It told of another one.
                    project.remote_state = None
                await self._workspaces.forgive(db, project_id)
            if remote or delivering:
                delivery.changed(project, delivering)
            if given_limits is not None:
                values |= limits_of.changed(Limits.of(project), given_limits, self._limits).columns()
            for name, value in values.items():
                setattr(project, name, value)
            if signs or db.is_modified(project):
                if version not in (None, project.version):
                    raise _Stale
                project.version, project.updated_at = project.version + 1, now()
            db.announce(f"project:{project_id}", "projects", "queue")

    async def take_credentials_out(self) -> None:
        """Take credentials out of the addresses that earlier versions stored; for the start of the app."""
        async with self._database.transaction() as db:
            # Replicas that start together would take turns at the same rows.
            await self._database.lock_queue(db)
            if found := await remotes.take_credentials_out(db, self._credentials):
                log.info("the credentials in the addresses of %d repositories are kept encrypted now", found)

    async def delete(self, actor: Actor, project_id: UUID, confirm: str) -> None:
        """Delete a project with its tasks and sessions; what runs is stopped first, if it stops soon.

        Its workspace is erased by and by, for certain.

        Args:
            actor: Who asks; an owner.
            project_id: Which.
            confirm: The project's name, typed by the person.

        Raises:
            InvalidRequest: `confirm` is not the name.
        """
        async with self._database.transaction() as db:
            await _may_delete(db, actor, project_id, confirm)
            await session_queries.stop_all(db, project_id)
        await self._stopped(project_id)
        async with self._database.transaction() as db:
            await _may_delete(db, actor, project_id, confirm)
            # What has not stopped by now is held before its card, as everywhere, and ends with its workspace.
            await session_queries.hold_all(db, project_id)
            await db.execute(delete(Project).where(col(Project.id) == project_id))
            await self._workspaces.erase(db, project_id)
            db.announce(f"project:{project_id}", "projects", rights_of(project_id))

    async def _stopped(self, project_id: UUID) -> None:
        """Wait, `STOPPING` seconds at most, until no run of a project is at work."""
        deadline = asyncio.get_running_loop().time() + STOPPING
        with self._database.bus.subscribe(f"project:{project_id}") as changes:
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                async with self._database.read() as db:
                    if not await session_queries.at_work(db, project_id):
                        return
                await changes.wait(min(left, 1.0))

    async def check(
        self, actor: Actor, project_id: UUID, needed: ProjectRole, scope: Scope | None = None
    ) -> None:
        """Return if the actor's role in the project covers `needed`; for `scope` see `require`.

        Raises:
            NotFound: There is none of this id.
            Forbidden: The actor's role is not enough.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, needed, scope)

    async def check_owner(self, actor: Actor, project_id: UUID) -> None:
        """Return if the actor may manage the project: asked before anything is told about other people.

        Raises:
            NotFound: There is none of this id.
            Forbidden: The actor is no owner.
        """
        await self.check(actor, project_id, ProjectRole.OWNER)

    async def _views(self, db: AsyncSession, actor: Actor, projects: Sequence[Project]) -> list[ProjectView]:
        ids = [project.id for project in projects]
        signing = await self._credentials.having(db, ids)
        workspaces = await self._workspaces.views(db, ids)
        cards = await self._cards(db, actor, projects)
        joining = await task_queries.unfinished(
            db, [p.joining_task_id for p in projects if p.joining_task_id]
        )
        return [
            ProjectView(
                **dict(card),
                version=project.version,
                limits=LimitsView.show(Limits.of(project)),
                limits_in_force=LimitsView.show(Limits.of(project).within(self._limits)),
                network=project.network,
                setup=project.setup,
                copied=project.copied,
                delivery=delivery.mode_of(project),
                delivery_host=delivery.host_of(project),
                remote=project.remote_state,
                joining_task_id=project.joining_task_id if project.joining_task_id in joining else None,
                network_in_force=self._network if project.network is None else project.network,
                # A process of the version before may have stored one with a credential just now.
                repo_url=project.repo_url and addresses.bare(project.repo_url),
                branch=project.repo_branch,
                has_credential=project.id in signing,
                workspace=workspaces[project.id],
            )
            for project, card in zip(projects, cards, strict=True)
        ]

    async def _cards(self, db: AsyncSession, actor: Actor, rows: Sequence[Any]) -> list[ProjectCard]:
        """Make cards of projects, or of selections of their columns."""
        ids = [row.id for row in rows]
        live = await session_queries.live_counts(db, ids)
        tasks = await task_queries.task_counts(db, ids)
        roles = await project_queries.roles(db, ids, actor.user_id)
        return [
            ProjectCard(
                id=row.id,
                name=row.name,
                key=row.key or key_of(row.name),
                description=row.description,
                session_limit=row.session_limit,
                role=ProjectRole.OWNER if actor.is_admin else roles[row.id],
                live_sessions=live.get(row.id, 0),
                task_count=tasks.get(row.id, 0),
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
            for row in rows
        ]


async def _may_delete(db: AsyncSession, actor: Actor, project_id: UUID, confirm: str) -> None:
    project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE, lock=True)
    if confirm.strip() != project.name:
        raise InvalidRequest(
            f"To delete it, confirm with the project's name: {project.name}", "confirmation_needed"
        )


def _require_creation(actor: Actor) -> None:
    actor.need_scope(Scope.WRITE, None)
    actor.need_creation()


async def _insert(db: Transaction, project: Project, actor: Actor) -> None:
    db.add(project)
    await db.flush()
    db.add(Member(project_id=project.id, user_id=actor.user_id, role=ProjectRole.OWNER))
    db.announce("projects")
