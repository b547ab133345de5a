"""Who belongs to a project, and as what."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope, rights_of
from vibe_app.board.access import require
from vibe_app.board.people import Candidate, People
from vibe_app.board.projects.models import Member
from vibe_app.board.projects.schemas import MemberView
from vibe_app.board.tasks import queries as task_queries
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, NotFound, VersionChanged
from vibe_app.wire import plain_text

CANDIDATES = 20
"""People who are offered at once to be added to a project."""

_ROLE = "Somebody gave this member another role since you read it. Nothing was saved."
_NO_MEMBER = "This person is not a member of the project."


class Members:
    """List, add and remove those who belong to a project, and give them roles there.

    Args:
        database: Where they are kept.
        people: Who there is.
    """

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people

    async def of(self, actor: Actor, project_id: UUID) -> list[MemberView]:
        """Return who belongs to the project, owners first."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = await db.scalars(select(Member).where(col(Member.project_id) == project_id))
            order = list(ProjectRole)
            members = sorted(rows, key=lambda row: (order.index(row.role), row.created_at))
            return MemberView.all(members)

    async def candidates(self, actor: Actor, project_id: UUID, text: str = "") -> list[Candidate]:
        """Return people who could be added to the project, by name: those whose name or address has a text.

        Args:
            actor: Who asks; an owner.
            project_id: The project.
            text: Empty for all; `CANDIDATES` of them at most.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.OWNER)
            there = await db.scalars(select(col(Member.user_id)).where(col(Member.project_id) == project_id))
            found = await self._people.search(db, plain_text(text).strip(), list(there), CANDIDATES)
            return [Candidate(id=user_id, name=name, email=email) for user_id, name, email in found]

    async def put(
        self, actor: Actor, project_id: UUID, user_id: UUID, role: ProjectRole, version: int | None = None
    ) -> MemberView:
        """Give a person a role in the project; one who has another role changes to it.

        Args:
            actor: Who asks; an owner.
            project_id: The project.
            user_id: The person.
            role: What they are to be.
            version: That of the membership on which the change is founded; None also makes a member.

        Raises:
            VersionChanged: Somebody else has given the member another role since that version.
            NotFound: There is no such person, or a version is named and they are no member any more.
            Conflict: It would leave the project without an owner.
        """
        try:
            async with self._database.transaction() as db:
                return MemberView.of(await self.join(db, actor, project_id, user_id, role, version))
        except IntegrityError as error:
            raise NotFound("There is no such account. It may have been deleted.", "user_not_found") from error

    async def join(
        self,
        db: Transaction,
        actor: Actor,
        project_id: UUID,
        user_id: UUID,
        role: ProjectRole,
        version: int | None = None,
    ) -> Member:
        """Do what `put` does as a part of a transaction."""
        await require(db, actor, project_id, ProjectRole.OWNER, lock=True)
        member = await db.get(Member, (project_id, user_id))
        if member is None:
            if version is not None:
                raise NotFound(_NO_MEMBER, "member_not_found")
            member = Member(project_id=project_id, user_id=user_id, role=role)
            db.add(member)
        elif member.role is not role:
            if version not in (None, member.version):
                raise VersionChanged(_ROLE, {"role": role}, MemberView.of(member), "member")
            if role is not ProjectRole.OWNER:
                await _keep_an_owner(db, member)
            member.role, member.version = role, member.version + 1
        await db.flush()
        db.announce(f"project:{project_id}", "projects", rights_of(user_id))
        return member

    async def remove(self, actor: Actor, project_id: UUID, user_id: UUID) -> None:
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
                raise NotFound(_NO_MEMBER, "member_not_found")
            await _keep_an_owner(db, member)
            await db.delete(member)
            if not await self._people.admins(db, [user_id]):
                await task_queries.unassign(db, project_id, user_id)
            db.announce(f"project:{project_id}", "projects", rights_of(user_id))


async def _keep_an_owner(db: AsyncSession, leaving: Member) -> None:
    if leaving.role is not ProjectRole.OWNER:
        return
    owners = await db.scalar(
        select(func.count())
        .select_from(Member)
        .where(col(Member.project_id) == leaving.project_id, col(Member.role) == ProjectRole.OWNER.value)
    )
    if (owners or 0) <= 1:
        raise Conflict("A project needs an owner. Make somebody else an owner first.", "last_owner")
