"""The tables of people: users, their logins, their access tokens, links for passwords, failed attempts."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, String, Uuid, true
from sqlmodel import Field, SQLModel

from vibe_app.accounts.roles import UserRole
from vibe_app.db import UtcDateTime
from vibe_app.wire import now


def _owner_column() -> Column[UUID]:
    return Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)


class User(SQLModel, table=True):
    """A person with an account. The address is kept in lower case.

    `version` grows with each change of name, role and rights.
    """

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('admin', 'member')", name="users_role"),)

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    email: str = Field(sa_column=Column(String(254), nullable=False, unique=True))
    name: str = Field(sa_column=Column(String(100), nullable=False))
    password_hash: str = Field(sa_column=Column(String(255), nullable=False))
    role: str = Field(default=UserRole.MEMBER.value, sa_column=Column(String(16), nullable=False))
    can_create_projects: bool = Field(
        default=True, sa_column=Column(Boolean, nullable=False, server_default=true())
    )
    can_execute: bool = Field(default=True, sa_column=Column(Boolean, nullable=False, server_default=true()))
    version: int = Field(default=1, nullable=False)
    created_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    updated_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))


class Login(SQLModel, table=True):
    """One signed-in browser or client: its row is what makes its signed token valid."""

    __tablename__ = "logins"

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_id: UUID = Field(sa_column=_owner_column())
    created_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False, index=True))
    host: str = Field(default="", sa_column=Column(String(64), nullable=False, server_default=""))
    browser: str = Field(default="", sa_column=Column(String(80), nullable=False, server_default=""))
    last_used_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))


class AccessToken(SQLModel, table=True):
    """A personal access token: shown once, kept only as a hash. Its scopes are words with a space between."""

    __tablename__ = "access_tokens"

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_id: UUID = Field(sa_column=_owner_column())
    name: str = Field(sa_column=Column(String(100), nullable=False))
    token_hash: str = Field(sa_column=Column(String(64), nullable=False, unique=True))
    scopes: str = Field(sa_column=Column(String(64), nullable=False, server_default="read run write admin"))
    project_id: UUID | None = Field(
        default=None,
        sa_column=Column(
            Uuid, ForeignKey("projects.id", name="access_tokens_project", ondelete="CASCADE"), nullable=True
        ),
    )
    created_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))
    last_used_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime, nullable=True))


class PasswordLink(SQLModel, table=True):
    """A one-time link by which somebody sets the password of their account: shown once, kept as a hash."""

    __tablename__ = "password_links"
    __table_args__ = (Index("password_links_user", "user_id"),)

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    user_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False))
    token_hash: str = Field(sa_column=Column(String(64), nullable=False, unique=True))
    created_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime, nullable=False))


class LoginThrottle(SQLModel, table=True):
    """How often signing in failed for an address or from a host, and until when to wait."""

    __tablename__ = "login_throttles"

    key: str = Field(sa_column=Column(String(300), primary_key=True))
    failures: int = Field(default=0, nullable=False)
    last_failure_at: datetime = Field(default_factory=now, sa_column=Column(UtcDateTime, nullable=False))
