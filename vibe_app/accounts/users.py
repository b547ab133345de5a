"""The verbs about other people's accounts: list, find, add, invite, change, remove."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts import links
from vibe_app.accounts.links import LinkView
from vibe_app.accounts.models import User
from vibe_app.accounts.passwords import Passwords
from vibe_app.accounts.roles import Actor, ProjectRole, UserRole
from vibe_app.accounts.rows import UserView, end_everything, new_user, user_view, write
from vibe_app.accounts.rules import clean_address, clean_name, parse_role, strong
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, InvalidRequest, NotFound


class Memberships(Protocol):
    """Who belongs to which project, in the transaction that makes the account."""

    async def join(
        self, db: Transaction, actor: Actor, project_id: UUID, user_id: UUID, role: ProjectRole
    ) -> object:
        """Let a person belong to a project.

        Raises:
            NotFound: There is no such project.
            Forbidden: The actor does not manage it.
        """
        ...


class Users:
    """Everyone with an account.

    Args:
        database: Where they are kept.
        passwords: Hashes what is given.
        memberships: Takes who is invited into projects.
    """

    def __init__(self, database: Database, passwords: Passwords, memberships: Memberships) -> None:
        self._database = database
        self._passwords = passwords
        self._memberships = memberships

    async def everyone(self, actor: Actor) -> list[UserView]:
        """Return everyone with an account.

        Raises:
            Forbidden: The asker is no admin.
        """
        actor.need_admin()
        async with self._database.read() as db:
            return [user_view(user) for user in await db.scalars(select(User).order_by(col(User.email)))]

    async def names(self, user_ids: Iterable[UUID]) -> dict[UUID, UserView]:
        """Return the people of these ids, for lists that the asker may see anyway."""
        async with self._database.read() as db:
            rows = await db.scalars(select(User).where(col(User.id).in_(list(user_ids))))
            return {user.id: user_view(user) for user in rows}

    async def find(self, email: str) -> UserView:
        """Return the person with this address, to add to a project.

        Raises:
            NotFound: Nobody has it.
        """
        async with self._database.read() as db:
            user = await db.scalar(select(User).where(col(User.email) == clean_address(email)))
        if user is None:
            raise NotFound(
                "Nobody here has this address. An admin can create the account in Settings.", "user_not_found"
            )
        return user_view(user)

    async def add(
        self,
        actor: Actor | None,
        email: str,
        name: str,
        password: str,
        role: str = "member",
        *,
        can_create_projects: bool = True,
        can_execute: bool = True,
    ) -> UserView:
        """Create an account.

        Args:
            actor: An admin; None from the command line, whose user owns the installation.
            email: The address to sign in with.
            name: 1 to 100 characters.
            password: At least 10 characters.
            role: `admin` or `member`.
            can_create_projects: Whether a member may make projects; an admin always may.
            can_execute: Whether a member may make agents work; an admin always may.

        Raises:
            Conflict: The address has an account.
            InvalidRequest: A value cannot be accepted.
        """
        if actor is not None:
            actor.need_admin()
        user = await self._new(email, name, password, role, can_create_projects, can_execute)
        async with self._database.transaction() as db:
            await _insert(db, user)
        return user_view(user)

    async def invite(
        self,
        actor: Actor,
        email: str,
        name: str,
        role: str = "member",
        *,
        can_create_projects: bool = True,
        can_execute: bool = True,
        projects: Mapping[UUID, ProjectRole] = MappingProxyType({}),
    ) -> tuple[UserView, LinkView]:
        """Create an account whose person sets the password by a link, which is shown this once.

        The arguments are those of `add`, and `projects`: to which the person belongs from the beginning, and
        as what. Where one of them cannot be, there is no account either.

        Raises:
            Conflict: The address has an account.
            InvalidRequest: A value cannot be accepted.
            NotFound: There is no such project.
            Forbidden: The asker is no admin.
        """
        actor.need_admin()
        # Nobody knows it: until the link is used, nobody signs in.
        unknown = secrets.token_urlsafe(32)
        user = await self._new(email, name, unknown, role, can_create_projects, can_execute)
        async with self._database.transaction() as db:
            await _insert(db, user)
            for project_id in sorted(projects):  # in one order, so that no two wait for each other
                await self._memberships.join(db, actor, project_id, user.id, projects[project_id])
            link = await links.make(db, user.id)
        return user_view(user), link

    async def _new(
        self, email: str, name: str, password: str, role: str, can_create_projects: bool, can_execute: bool
    ) -> User:
        user = await new_user(self._passwords, email, name, password, parse_role(role))
        user.can_create_projects, user.can_execute = can_create_projects, can_execute
        if not (can_create_projects and can_execute):
            _member_only(user.role)
        return user

    async def reset_link(self, actor: Actor, user_id: UUID) -> LinkView:
        """Make a link by which a person sets another password; until it is used, nothing changes.

        Raises:
            NotFound: There is no such account.
            Forbidden: The asker is no admin, or an access token asks.
        """
        actor.need_admin()
        actor.need_login()
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            if await db.get(User, user_id) is None:
                raise NotFound("There is no such account.", "user_not_found")
            return await links.make(db, user_id)

    async def change(
        self,
        actor: Actor,
        user_id: UUID,
        *,
        name: str | None = None,
        role: str | None = None,
        password: str | None = None,
        can_create_projects: bool | None = None,
        can_execute: bool | None = None,
        version: int | None = None,
    ) -> UserView:
        """Change an account as an admin; what is None stays.

        A new role ends its logins, a new password its access tokens as well. `version` is that of the account
        on which the change is founded; None writes over any.

        Raises:
            VersionChanged: Somebody else has changed the account since that version.
            Conflict: It would leave the installation without an admin.
            InvalidRequest: A value cannot be accepted; an admin may always create projects and execute.
            Forbidden: The asker is no admin, or an access token gives a password.
        """
        actor.need_admin()
        if password is not None:
            actor.need_login()
        given = {"can_create_projects": can_create_projects, "can_execute": can_execute}
        values: dict[str, object] = {right: may for right, may in given.items() if may is not None}
        if name is not None:
            values["name"] = clean_name(name)
        if role is not None:
            values["role"] = parse_role(role).value
        if password is not None:
            values["password_hash"] = await self._passwords.hash(strong(password))
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN and values.get("role") == UserRole.MEMBER.value:
                await _keep_an_admin(db)
            if False in (can_create_projects, can_execute):
                _member_only(role or user.role)
            await write(db, user_id, values, version)
            if {"password_hash", "role"} & values.keys():
                await end_everything(db, user_id, keep_tokens=password is None)
            db.announce(f"rights:{user_id}")
        return (await self.names([user_id]))[user_id]

    async def remove(self, actor: Actor, user_id: UUID) -> None:
        """Delete an account with its logins, tokens and memberships; what it made stays.

        Raises:
            Conflict: It is the last admin.
        """
        actor.need_admin()
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN:
                await _keep_an_admin(db)
            await db.execute(delete(User).where(col(User.id) == user_id))
            db.announce("projects", f"rights:{user_id}")


async def _insert(db: Transaction, user: User) -> None:
    """Add an account to the others.

    Raises:
        Conflict: Its address has one.
    """
    db.add(user)
    try:
        await db.flush()
    except IntegrityError as error:
        raise Conflict("There is an account with this address already.", "email_taken") from error


def _member_only(role: str) -> None:
    if role == UserRole.ADMIN:
        raise InvalidRequest(
            "An admin may always create projects and execute. Make this person a member first.",
            "admin_may_all",
        )


async def _keep_an_admin(db: AsyncSession) -> None:
    admins = await db.scalar(
        select(func.count()).select_from(User).where(col(User.role) == UserRole.ADMIN.value)
    )
    if (admins or 0) <= 1:
        raise Conflict("The installation needs an admin. Make somebody else an admin first.", "last_admin")
