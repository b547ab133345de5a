"""The tables of sessions, their events and their archives."""

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
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    Uuid,
)
from sqlmodel import Field, SQLModel

from vibe_app.board.lifecycle import LIVE, SessionKind, SessionStatus, TaskStatus
from vibe_app.board.tables import moment, one_of, parent, partial
from vibe_app.db import Word
from vibe_app.wire import now

_LIVE_SQL = f"status IN ({', '.join(repr(str(status)) for status in sorted(LIVE))})"


class Session(SQLModel, table=True):
    """One run of one task by the agent; the row is also its place in the queue.

    A live row without an owner waits to be claimed. `epoch` is the fencing token:
    it grows with each claim, and every write of a run names the epoch it holds.
    `cursor` counts what was taken from the sidecar in this attempt, `last_seq`
    what stands in the event log; they differ where the engine wrote entries itself.
    `heard_at` is when it started or the event log last grew, in seconds since 1970 on
    the database's clock: the events' own times come from the sidecar's host.
    `asking` is set where the last answer of a completed run ends with a question.
    `wait_from` is since when it waits for its model's provider, without a place of
    its own and until `not_before`, on the database's clock; `waits` and `waited` are
    how often and for how many seconds it did in all, NULL for never.
    Tokens, `cost_nano` and `model_requests` are the sums of its rows in `model_requests`, and NULL where
    its workspace counts none; what OpenCode says then takes their place. Of `unpriced_requests` the cost
    is not known, and `cost_nano` is a least amount; `cost` is what versions before 0011 wrote. The limits
    are those of its start.
    `change_id` is the change whose tree it works in. A follow-up's `message` is what a person wrote; where
    it does not succeed, its card returns to `came_from`. `revision_before` and `revision_after` are the
    tree's checkpoints around it, and the `round_…` figures what differs between them. `summary` is the
    agent's last message, `steps` how far it is on its own list.
    `lacks_place` tells that it was not claimed for want of a place for its workspace.
    Once `archived_at` is set, `output` holds only its beginning (see `archive`), and `output_size`
    says how many bytes the whole has.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint(one_of("status", SessionStatus), name="sessions_status"),
        partial("sessions_one_live", "task_id", where=f"{_LIVE_SQL} AND deleted_at IS NULL", unique=True),
        partial(
            "sessions_idempotency",
            "task_id",
            "idempotency_key",
            where="idempotency_key IS NOT NULL",
            unique=True,
        ),
        partial("sessions_task", "task_id", "created_at", where="deleted_at IS NULL"),
        partial("sessions_project", "project_id", "created_at", where="deleted_at IS NULL"),
        partial("sessions_status_live", "status", where="deleted_at IS NULL"),
        partial("sessions_ended", "completed_at", where="deleted_at IS NULL"),
        partial("sessions_not_archived", "completed_at", where="archived_at IS NULL"),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    task_id: UUID = Field(sa_column=parent("tasks.id"))
    project_id: UUID = Field(sa_column=parent("projects.id"))
    status: SessionStatus = Field(
        default=SessionStatus.PENDING, sa_column=Column(Word(SessionStatus), nullable=False)
    )
    prompt: str = Field(sa_column=Column(Text, nullable=False))
    output: str = Field(default="", sa_column=Column(Text, nullable=False))
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    started_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    completed_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    duration_ms: int | None = Field(default=None, nullable=True)
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())
    deleted_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))

    created_by: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("users.id", ondelete="SET NULL"), nullable=True)
    )
    idempotency_key: str | None = Field(default=None, sa_column=Column(String(200), nullable=True))
    model: str = Field(default="", sa_column=Column(String(200), nullable=False))
    tokens_input: int | None = Field(default=None, nullable=True)
    tokens_output: int | None = Field(default=None, nullable=True)
    cost: float | None = Field(default=None, nullable=True)
    tokens_reasoning: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    tokens_cache_read: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    tokens_cache_write: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    cost_nano: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    model_requests: int | None = Field(default=None, nullable=True)
    unpriced_requests: int | None = Field(default=None, nullable=True)
    limit_nano: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    limit_tokens: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    limit_minutes: int | None = Field(default=None, nullable=True)
    limit_requests: int | None = Field(default=None, nullable=True)
    last_line: str = Field(default="", sa_column=Column(String(300), nullable=False))
    last_event_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))

    priority: int = Field(default=1, nullable=False)
    owner: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    epoch: int = Field(default=0, nullable=False)
    lease_until: float = Field(default=0.0, sa_column=Column(Float, nullable=False))
    not_before: float = Field(default=0.0, sa_column=Column(Float, nullable=False))
    stop_requested: bool = Field(default=False, nullable=False)
    phase: str = Field(default="", sa_column=Column(String(200), nullable=False))
    attempt: int = Field(default=1, nullable=False)
    crashes: int = Field(default=0, nullable=False)
    failure: str | None = Field(default=None, sa_column=Column(String(32), nullable=True))
    cursor: int = Field(default=0, nullable=False)
    last_seq: int = Field(default=0, nullable=False)
    heard_at: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    archived_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    output_size: int | None = Field(default=None, nullable=True)
    asking: bool | None = Field(default=None, nullable=True)
    wait_from: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    waited: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    waits: int | None = Field(default=None, nullable=True)
    lacks_place: bool | None = Field(default=None, nullable=True)

    kind: SessionKind = Field(
        default=SessionKind.EXECUTE, sa_column=Column(Word(SessionKind), nullable=False)
    )
    change_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    came_from: TaskStatus | None = Field(default=None, sa_column=Column(Word(TaskStatus), nullable=True))
    came_from_position: float | None = Field(default=None, sa_column=Column(Float, nullable=True))
    conversation_id: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    message: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    configuration_version: int | None = Field(default=None, nullable=True)
    opencode_version: str | None = Field(default=None, sa_column=Column(String(32), nullable=True))
    image: str | None = Field(default=None, sa_column=Column(String(500), nullable=True))
    revision_before: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    revision_after: str | None = Field(default=None, sa_column=Column(String(64), nullable=True))
    round_files: int | None = Field(default=None, nullable=True)
    round_additions: int | None = Field(default=None, nullable=True)
    round_deletions: int | None = Field(default=None, nullable=True)
    summary: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    steps: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))


class SessionEvent(SQLModel, table=True):
    """One entry of a session's output."""

    __tablename__ = "session_events"

    session_id: UUID = Field(sa_column=parent("sessions.id", primary_key=True))
    seq: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    type: str = Field(sa_column=Column(String(16), nullable=False))
    text: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=moment())


class SessionArchive(SQLModel, table=True):
    """Consecutive events of a finished session, compressed, up to number `last_seq`: in place of their rows.

    Number 0 is the session's plain output, kept only where it is not what its events say.
    """

    __tablename__ = "session_archives"

    session_id: UUID = Field(sa_column=parent("sessions.id", primary_key=True))
    last_seq: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    codec: str = Field(sa_column=Column(String(16), nullable=False))
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
