"""Accounts as rows: what is shown of one, how it is written, and what ends with its password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col

from vibe_app.accounts.models import AccessToken, Login, User
from vibe_app.accounts.passwords import Passwords
from vibe_app.accounts.roles import UserRole
from vibe_app.accounts.rules import clean_name, new_address, strong
from vibe_app.accounts.schemas import UserOut
from vibe_app.db import Transaction
from vibe_app.errors import VersionChanged
from vibe_app.wire import now

_CHANGED = (
    "Somebody changed this account since you read it. Nothing was saved: look at both, and save again if "
    "yours is to stay."
)


@dataclass(frozen=True)
class UserView:
    """A person as others may see one."""

    id: UUID
    email: str
    name: str
    role: UserRole
    can_create_projects: bool
    can_execute: bool
    version: int
    created_at: datetime


async def new_user(passwords: Passwords, email: str, name: str, password: str, role: UserRole) -> User:
    """Return the row of a new account.

    Raises:
        InvalidRequest: A value cannot be accepted.
    """
    address = new_address(email)
    hashed = await passwords.hash(strong(password))
    return User(email=address, name=clean_name(name), password_hash=hashed, role=role.value)


async def end_everything(db: Transaction, user_id: UUID, *, keep_tokens: bool) -> None:
    """End a person's logins, and access tokens unless they are to be kept."""
    await db.execute(delete(Login).where(col(Login.user_id) == user_id))
    if not keep_tokens:
        await db.execute(delete(AccessToken).where(col(AccessToken.user_id) == user_id))
    db.announce(f"rights:{user_id}")


async def write(db: Transaction, user_id: UUID, values: dict[str, object], version: int | None) -> None:
    """Write what is given and differs into an account.

    Raises:
        VersionChanged: It is not of the version any more on which that is founded.
    """
    user = await db.get(User, user_id, populate_existing=True)
    changed = {name: value for name, value in values.items() if value != getattr(user, name, value)}
    if not changed:
        return
    where = [col(User.id) == user_id, *([] if version is None else [col(User.version) == version])]
    # Of a password nobody is told: another one makes no other version.
    grown = col(User.version) + (0 if changed.keys() == {"password_hash"} else 1)
    done = update(User).where(*where).values(updated_at=now(), version=grown, **changed)
    if await db.scalar(done.returning(col(User.id))) is None:
        yours = {name: value for name, value in values.items() if name != "password_hash"}
        if (user := await db.get(User, user_id, populate_existing=True)) is not None:
            raise VersionChanged(_CHANGED, yours, UserOut.of(user_view(user)), "user")


def user_view(user: User) -> UserView:
    """Return what others may see of an account."""
    return UserView(
        id=user.id,
        email=user.email,
        name=user.name,
        role=UserRole(user.role),
        can_create_projects=is_admin(user) or user.can_create_projects,
        can_execute=is_admin(user) or user.can_execute,
        version=user.version,
        created_at=user.created_at,
    )


def is_admin(user: User) -> bool:
    """Tell whether an account administers the installation."""
    return user.role == UserRole.ADMIN
