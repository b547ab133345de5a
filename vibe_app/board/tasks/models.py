"""The table of cards."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    Uuid,
)
from sqlmodel import Field, SQLModel

from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.tables import moment, one_of, parent
from vibe_app.db import Word
from vibe_app.wire import now


class Task(SQLModel, table=True):
    """A card. `position` orders its column; gaps make room for moves.

    `version` grows with each change of what people write on it: title, description, priority, labels.
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
    created_by: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("users.id", ondelete="SET NULL"), nullable=True)
    )
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())
