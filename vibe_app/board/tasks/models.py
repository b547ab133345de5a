"""The tables of cards, of what they need, and of what happened to them."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    Uuid,
)
from sqlmodel import Field, SQLModel, col

from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.tables import moment, one_of, parent, partial
from vibe_app.db import Word
from vibe_app.wire import now

_SHOWN = "deleted_at IS NULL AND archived_at IS NULL"


def _person(name: str | None = None) -> Column[Any]:
    return Column(Uuid, ForeignKey("users.id", name=name, ondelete="SET NULL"), nullable=True)


class Task(SQLModel, table=True):
    """A card. `position` orders its column; gaps make room for moves.

    `version` grows with each change of what people write on it: title, description, priority, labels,
    assignee, date, what it needs. One that is archived or deleted keeps its column and its place; a deleted
    one is to be seen nowhere, and goes for good when `deleted_at` is long enough ago.
    `number` counts the project's cards and is never given again; NULL on one that an older server has
    made, until it is needed. `change_id` is the newest change, `conversation_id` what OpenCode calls the
    conversation that a follow-up goes on with.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint(one_of("status", TaskStatus), name="tasks_status"),
        CheckConstraint(one_of("priority", Priority), name="tasks_priority"),
        Index("tasks_column", "project_id", "status", "position"),
        Index("tasks_number", "project_id", "number", unique=True),
        partial("tasks_board", "project_id", "status", "position", "id", where=_SHOWN),
        partial("tasks_assignee", "assignee_id", where="assignee_id IS NOT NULL"),
        partial("tasks_deleted", "deleted_at", where="deleted_at IS NOT NULL"),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    project_id: UUID = Field(sa_column=parent("projects.id"))
    title: str = Field(sa_column=Column(String(200), nullable=False))
    description: str = Field(default="", sa_column=Column(Text, nullable=False))
    priority: Priority = Field(default=Priority.NORMAL, sa_column=Column(Word(Priority), nullable=False))
    labels: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    status: TaskStatus = Field(default=TaskStatus.TODO, sa_column=Column(Word(TaskStatus), nullable=False))
    position: float = Field(sa_column=Column(Float, nullable=False))
    version: int = Field(default=1, nullable=False)
    number: int | None = Field(default=None, nullable=True)
    change_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    conversation_id: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    last_session_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    assignee_id: UUID | None = Field(default=None, sa_column=_person("tasks_assignee"))
    due_on: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    archived_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    deleted_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    created_by: UUID | None = Field(default=None, sa_column=_person())
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())


class TaskNeed(SQLModel, table=True):
    """That a card needs another one of its project to be done first."""

    __tablename__ = "task_dependencies"
    __table_args__ = (
        CheckConstraint("task_id <> needs_id", name="task_dependencies_self"),
        Index("task_dependencies_needs", "needs_id"),
    )

    task_id: UUID = Field(sa_column=parent("tasks.id", primary_key=True))
    needs_id: UUID = Field(sa_column=parent("tasks.id", primary_key=True))
    created_at: datetime = Field(default_factory=now, sa_column=moment())


class TaskActivity(SQLModel, table=True):
    """One thing that somebody did with a card, where no other row says so: `details` depend on the kind."""

    __tablename__ = "task_activity"
    __table_args__ = (Index("task_activity_task", "task_id", "at"),)

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    task_id: UUID = Field(sa_column=parent("tasks.id"))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    actor_id: UUID | None = Field(default=None, sa_column=_person())
    at: datetime = Field(default_factory=now, sa_column=moment())
    details: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


kept: ColumnElement[bool] = col(Task.deleted_at).is_(None)
"""Of cards that are not deleted."""
shown: ColumnElement[bool] = kept & col(Task.archived_at).is_(None)
"""Of cards that stand on the board."""
