"""The verbs of projects and their members."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app import addresses
from vibe_app.accounts.roles import Actor, ProjectRole, Scope, rights_of
from vibe_app.addresses import Credential
from vibe_app.board import rules
from vibe_app.board.access import require
from vibe_app.board.pages import Page
from vibe_app.board.projects import remotes
from vibe_app.board.projects.models import Member, Project
from vibe_app.board.projects.remotes import KEEP, Credentials, Remote
from vibe_app.board.projects.schemas import MemberView, ProjectView, WorkspaceView
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, InvalidRequest, NotFound
from vibe_app.wire import now

log = logging.getLogger(__name__)


class WorkspaceRows(Protocol):
    """What the board needs of workspaces, in its own transactions."""

    async def views(self, db: AsyncSession, projects: Collection[UUID]) -> dict[UUID, WorkspaceView]:
        """Return how the workspaces of these projects are."""
        ...

    async def erase(self, db: Transaction, project_id: UUID) -> None:
        """Want nothing left of a project's workspace."""

    async def forgive(self, db: Transaction, project_id: UUID) -> None:
        """Take the failure of a workspace back: what it came of may be mended."""


SAMPLE_NAME = "Sample project"


SAMPLE_TASKS = (
    ("Add a README file", "Write a README.md that says what this folder is for, in a few lines."),
    ("Add a script hello.py", "It prints a friendly sentence. Check that it compiles."),
)


class Projects:
    """Create, list, change and delete projects; say who belongs to them.

    Args:
        database: Where they are kept.
        workspaces: Tells how their workspaces are, and has them erased.
        credentials: Where those of their repositories are kept.
        project_limit: How many sessions of a new project may run at once.
    """

    def __init__(
        self, database: Database, workspaces: WorkspaceRows, credentials: Credentials, project_limit: int = 1
    ) -> None:
        self._database = database
        self._workspaces = workspaces
        self._credentials = credentials
        self._project_limit = project_limit

    async def create(
        self,
        actor: Actor,
        name: str,
        description: str = "",
        repo_url: str | None = None,
        *,
        branch: str | None = None,
        credential: Credential | None = None,
    ) -> ProjectView:
        """Make a project of which the actor is the owner.

        Args:
            actor: Who asks; one who may create projects.
            name: 1 to 100 characters.
            description: Up to 64 KiB.
            repo_url: A repository to clone when the workspace first starts, or None for an empty one.
            branch: Which branch of it; None for the one that it names itself.
            credential: What signs in to its server; one that stands in the address is taken out of it.

        Raises:
            InvalidRequest: A value cannot be accepted.
            Forbidden: The actor may not create projects, or the repository is a folder of the server, and the
                actor no admin.
        """
        _require_creation(actor)
        project = Project(
            name=rules.clean_line(name, "name", rules.NAME_CHARS),
            description=rules.clean_body(description),
            session_limit=self._project_limit,
        )
        remote = Remote(repo_url, branch, KEEP if credential is None else credential)
        given = remotes.changed(actor, project, remote)
        async with self._database.transaction() as db:
            await _insert(db, project, actor)
            if given is not KEEP and given is not None:
                await self._credentials.put(db, project.id, given)
        return await self.read(actor, project.id)

    async def create_sample(self, actor: Actor) -> ProjectView:
        """Make the sample project with cards that are ready to execute."""
        _require_creation(actor)
        project = Project(
            name=SAMPLE_NAME,
            description="Two small cards to see the whole path once: press Execute on one.",
            session_limit=self._project_limit,
        )
        async with self._database.transaction() as db:
            await _insert(db, project, actor)
            for index, (title, description) in enumerate(SAMPLE_TASKS, start=1):
                db.add(
                    Task(
                        project_id=project.id,
                        title=title,
                        description=description,
                        position=index * task_queries.POSITION_GAP,
                        created_by=actor.user_id,
                    )
                )
        return await self.read(actor, project.id)

    async def list(self, actor: Actor, page: int = 1, page_size: int = 100) -> Page[ProjectView]:
        """Return the projects that the actor may see, by name."""
        async with self._database.read() as db:
            query = select(Project)
            if not actor.is_admin:
                mine = select(col(Member.project_id)).where(col(Member.user_id) == actor.user_id)
                query = query.where(col(Project.id).in_(mine))
            if actor.project_id is not None:
                query = query.where(col(Project.id) == actor.project_id)
            total = await db.scalar(select(func.count()).select_from(query.subquery()))
            rows = await db.scalars(
                query.order_by(func.lower(col(Project.name)), col(Project.id))
                .offset((page - 1) * page_size)
                .limit(page_size)
            )
            return Page(await self._views(db, actor, list(rows)), total or 0)

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
        self,
        actor: Actor,
        project_id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        session_limit: int | None = None,
        remote: Remote | None = None,
    ) -> ProjectView:
        """Change what is given and leave the rest.

        A new address, branch or credential counts for workspaces that are made from then on: one that
        exists keeps its files, its history and its `origin`.

        Raises:
            Forbidden: The actor is no owner, or names a folder of the server and is no admin.
            InvalidRequest: A value cannot be accepted.
        """
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = rules.clean_line(name, "name", rules.NAME_CHARS)
        if description is not None:
            values["description"] = rules.clean_body(description)
        if session_limit is not None:
            if not 1 <= session_limit <= 100:
                raise InvalidRequest(
                    "The limit of running sessions must be between 1 and 100.", "invalid_limit"
                )
            values["session_limit"] = session_limit
        async with self._database.transaction() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE, lock=True)
            if remote is not None:
                credential = remotes.changed(actor, project, remote)
                if credential is not KEEP:
                    await self._credentials.put(db, project_id, credential)
                await self._workspaces.forgive(db, project_id)
            for name_of, value in {"updated_at": now(), **values}.items():
                setattr(project, name_of, value)
            db.announce(f"project:{project_id}", "projects", "queue")
        return await self.read(actor, project_id)

    async def take_credentials_out(self) -> None:
        """Take credentials out of the addresses that earlier versions stored; for the start of the app."""
        async with self._database.transaction() as db:
            # Replicas that start together would take turns at the same rows.
            await self._database.lock_queue(db)
            if found := await remotes.take_credentials_out(db, self._credentials):
                log.info("the credentials in the addresses of %d repositories are kept encrypted now", found)

    async def delete(self, actor: Actor, project_id: UUID, confirm: str) -> None:
        """Delete a project with its tasks and sessions. Its workspace is erased by and by, for certain.

        Args:
            actor: Who asks; an owner.
            project_id: Which.
            confirm: The project's name, typed by the person.

        Raises:
            InvalidRequest: `confirm` is not the name.
            Conflict: A session of it is live.
        """
        async with self._database.transaction() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE, lock=True)
            if confirm.strip() != project.name:
                raise InvalidRequest(
                    f"To delete it, confirm with the project's name: {project.name}", "confirmation_needed"
                )
            if await session_queries.live_counts(db, [project_id]):
                raise Conflict("A session of this project is running. Stop it first.", "session_live")
            await db.execute(delete(Project).where(col(Project.id) == project_id))
            await self._workspaces.erase(db, project_id)
            db.announce(f"project:{project_id}", "projects", rights_of(project_id))

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

    async def members(self, actor: Actor, project_id: UUID) -> list[MemberView]:
        """Return who belongs to the project, owners first."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = await db.scalars(select(Member).where(col(Member.project_id) == project_id))
            views = [
                MemberView(row.user_id, ProjectRole(row.role), row.created_at)
                for row in sorted(
                    rows, key=lambda row: (list(ProjectRole).index(ProjectRole(row.role)), row.created_at)
                )
            ]
        return views

    async def set_member(self, actor: Actor, project_id: UUID, user_id: UUID, role: str) -> MemberView:
        """Give a person a role in the project; one who has another role changes to it.

        Raises:
            InvalidRequest: There is no such role.
            NotFound: There is no such person.
            Conflict: It would leave the project without an owner.
        """
        wanted = _role(role)
        try:
            async with self._database.transaction() as db:
                await require(db, actor, project_id, ProjectRole.OWNER, lock=True)
                member = await db.get(Member, (project_id, user_id))
                if member is None:
                    member = Member(project_id=project_id, user_id=user_id, role=wanted.value)
                    db.add(member)
                elif wanted is not ProjectRole.OWNER:
                    await _keep_an_owner(db, member)
                member.role = wanted.value
                await db.flush()
                db.announce(f"project:{project_id}", "projects", rights_of(user_id))
        except IntegrityError as error:
            raise NotFound("There is no such account. It may have been deleted.", "user_not_found") from error
        return MemberView(user_id, wanted, member.created_at)

    async def remove_member(self, actor: Actor, project_id: UUID, user_id: UUID) -> None:
        """Take a person out of the project; one may always leave by oneself.

        Raises:
            NotFound: The person is no member.
            Conflict: It would leave the project without an owner.
        """
        needed = ProjectRole.VIEWER if user_id == actor.user_id else ProjectRole.OWNER
        async with self._database.transaction() as db:
            await require(db, actor, project_id, needed, Scope.ADMIN, lock=True)
            member = await db.get(Member, (project_id, user_id))
            if member is None:
                raise NotFound("This person is not a member of the project.", "member_not_found")
            await _keep_an_owner(db, member)
            await db.delete(member)
            db.announce(f"project:{project_id}", "projects", rights_of(user_id))

    async def _views(self, db: AsyncSession, actor: Actor, projects: list[Project]) -> list[ProjectView]:
        ids = [project.id for project in projects]
        live = await session_queries.live_counts(db, ids)
        tasks = await task_queries.task_counts(db, ids)
        signing = await self._credentials.having(db, ids)
        workspaces = await self._workspaces.views(db, ids)
        mine = dict(
            (
                await db.execute(
                    select(col(Member.project_id), col(Member.role)).where(
                        col(Member.user_id) == actor.user_id, col(Member.project_id).in_(ids)
                    )
                )
            ).all()
        )
        return [
            ProjectView(
                id=project.id,
                name=project.name,
                description=project.description,
                # A process of the version before may have stored one with a credential just now.
                repo_url=project.repo_url and addresses.bare(project.repo_url),
                branch=project.repo_branch,
                has_credential=project.id in signing,
                session_limit=project.session_limit,
                role=ProjectRole.OWNER if actor.is_admin else ProjectRole(mine[project.id]),
                workspace=workspaces[project.id],
                live_sessions=live.get(project.id, 0),
                task_count=tasks.get(project.id, 0),
                created_at=project.created_at,
                updated_at=project.updated_at,
            )
            for project in projects
        ]


def _require_creation(actor: Actor) -> None:
    actor.need_scope(Scope.WRITE, None)
    actor.need_creation()


async def _insert(db: Transaction, project: Project, actor: Actor) -> None:
    db.add(project)
    await db.flush()
    db.add(Member(project_id=project.id, user_id=actor.user_id, role=ProjectRole.OWNER.value))
    db.announce("projects")


def _role(value: str) -> ProjectRole:
    try:
        return ProjectRole(value)
    except ValueError:
        raise InvalidRequest(f"The role must be one of {', '.join(ProjectRole)}.", "invalid_role") from None


async def _keep_an_owner(db: AsyncSession, leaving: Member) -> None:
    if leaving.role != ProjectRole.OWNER:
        return
    owners = await db.scalar(
        select(func.count())
        .select_from(Member)
        .where(col(Member.project_id) == leaving.project_id, col(Member.role) == ProjectRole.OWNER.value)
    )
    if (owners or 0) <= 1:
        raise Conflict("A project needs an owner. Make somebody else an owner first.", "last_owner")
