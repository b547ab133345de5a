"""The tables of projects and their members."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    String,
    Text,
    Uuid,
)
from sqlmodel import Field, SQLModel

from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.tables import moment, one_of, parent
from vibe_app.db import Word
from vibe_app.wire import now


class Project(SQLModel, table=True):
    """A board. What it says of its workspace was said by versions before 0008 and is not read any more.

    `repo_url` holds no credential, which is a secret of the project; without `repo_branch` the
    branch is the one that the repository names itself.

    `key` begins the names of its cards (`CAL-14`); NULL on a project that an older server has made.
    `next_number` is that of the next card. `setup` is a command that prepares each new tree, `copied` names
    what such a tree is given of the base's folder although git ignores it. `delivery` is what becomes of
    what is accepted, `remote_state` how the base branch stood to its remote when that was last looked at;
    `joining_task_id` is the card that was last made to bring the two together. `version` grows with each
    change of what people set of it.
    """

    __tablename__ = "projects"

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    name: str = Field(sa_column=Column(String(100), nullable=False))
    description: str = Field(default="", sa_column=Column(Text, nullable=False))
    repo_url: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    repo_branch: str | None = Field(default=None, sa_column=Column(String(255), nullable=True))
    key: str | None = Field(default=None, sa_column=Column(String(5), nullable=True))
    session_limit: int = Field(default=2, nullable=False)
    next_number: int = Field(default=1, nullable=False)
    setup: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    copied: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    delivery: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    remote_state: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    joining_task_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    version: int = Field(default=1, nullable=False)
    network: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    limit_nano: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    limit_tokens: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    limit_minutes: int | None = Field(default=None, nullable=True)
    limit_requests: int | None = Field(default=None, nullable=True)
    workspace_status: str = Field(default="stopped", sa_column=Column(String(16), nullable=False))
    workspace_reason: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    workspace_notices: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    workspace_used_at: datetime = Field(default_factory=now, sa_column=moment())
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())


class Member(SQLModel, table=True):
    """A person's role in a project; `version` grows when it changes."""

    __tablename__ = "project_members"
    __table_args__ = (
        CheckConstraint(one_of("role", ProjectRole), name="project_members_role"),
        Index("project_members_user", "user_id"),
    )

    project_id: UUID = Field(sa_column=parent("projects.id", primary_key=True))
    user_id: UUID = Field(sa_column=parent("users.id", primary_key=True))
    role: ProjectRole = Field(sa_column=Column(Word(ProjectRole), nullable=False))
    version: int = Field(default=1, nullable=False)
    created_at: datetime = Field(default_factory=now, sa_column=moment())
