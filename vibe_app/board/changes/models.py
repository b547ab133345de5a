"""The tables of changes, of comments on them, and of what somebody has seen."""

# pyright: reportAssignmentType=false
# SQLModel declares `__tablename__` in a way that no plain string fits, though its documentation uses one.

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    Uuid,
)
from sqlmodel import Field, SQLModel

from vibe_app.board.lifecycle import ChangeState, CommentState
from vibe_app.board.tables import moment, one_of, parent, partial
from vibe_app.db import Word
from vibe_app.wire import now

HASH = 64
"""Characters of the longest hash of a commit."""


def _person() -> Column[Any]:
    return Column(Uuid, ForeignKey("users.id", ondelete="SET NULL"), nullable=True)


def _hash() -> Column[Any]:
    return Column(String(HASH), nullable=True)


class Change(SQLModel, table=True):
    """A card's tree, from its making until it is accepted or discarded.

    `base_commit` is where it began, `revision` its newest checkpoint: NULL for as long as nothing differs.
    What is shown of it is kept with it, so that it can be read while its workspace sleeps: `files` is the
    list and `patches` the beginning of the texts, both compressed JSON (`board.changes.content`).
    `prepared` tells that its set-up has run, `brings` how many commits of the remote's it has that the base
    branch has not.

    What somebody wants done with it stands in `intent`, with who and when, until it is done; `problem` is
    why the last one was not. While it is ACCEPTING, `merge_old` and `merge_new` are the commits between
    which the base branch is moved. `delivery` is how it stands with the remote, in the form of
    `changes.requests.Delivery`; `asks_at` is when the remote's host is asked next how its pull request is,
    NULL where nothing is to be asked. `dropped_at` is when the workspace let go of what a discarded one held.
    """

    __tablename__ = "changes"
    __table_args__ = (
        CheckConstraint(one_of("state", ChangeState), name="changes_state"),
        partial("changes_one_open", "task_id", where="state IN ('accepting', 'open')", unique=True),
        Index("changes_task", "task_id", "created_at"),
        Index("changes_project", "project_id", "state"),
        partial("changes_wanted", "intent_at", where="intent IS NOT NULL"),
        partial(
            "changes_to_drop", "project_id", "decided_at", where="state = 'discarded' AND dropped_at IS NULL"
        ),
        partial("changes_asking", "asks_at", where="asks_at IS NOT NULL"),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    task_id: UUID = Field(sa_column=parent("tasks.id"))
    project_id: UUID = Field(sa_column=parent("projects.id"))
    state: ChangeState = Field(default=ChangeState.OPEN, sa_column=Column(Word(ChangeState), nullable=False))
    base_branch: str = Field(sa_column=Column(String(255), nullable=False))
    base_commit: str = Field(sa_column=Column(String(HASH), nullable=False))
    revision: str | None = Field(default=None, sa_column=_hash())
    behind: int = Field(default=0, nullable=False)
    brings: int = Field(default=0, nullable=False)
    prepared: bool = Field(default=False, nullable=False)
    file_count: int = Field(default=0, nullable=False)
    additions: int = Field(default=0, nullable=False)
    deletions: int = Field(default=0, nullable=False)
    left_out: list[dict[str, str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    conflicts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    solves: int = Field(default=0, nullable=False)
    files: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    patches: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))

    intent: str | None = Field(default=None, sa_column=Column(String(16), nullable=True))
    intent_details: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    intent_by: UUID | None = Field(default=None, sa_column=_person())
    intent_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    merge_old: str | None = Field(default=None, sa_column=_hash())
    merge_new: str | None = Field(default=None, sa_column=_hash())
    decided_by: UUID | None = Field(default=None, sa_column=_person())
    decided_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    delivery: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    dropped_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    asks_at: datetime | None = Field(default=None, sa_column=moment(nullable=True))
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())


class DeletedCard(SQLModel, table=True):
    """A card that is gone while its workspace still keeps what it held, until that has let go of it."""

    __tablename__ = "deleted_cards"

    project_id: UUID = Field(sa_column=parent("projects.id", primary_key=True))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    deleted_at: datetime = Field(default_factory=now, sa_column=moment())


class Comment(SQLModel, table=True):
    """What somebody says of a line, or some lines, of a change, as it was at `revision`.

    `quote` is the text of those lines, by which they are found again in a later revision. `session_id` is
    the follow-up that takes it along; it is SENT once the sidecar has that.
    """

    __tablename__ = "review_comments"
    __table_args__ = (
        CheckConstraint(one_of("state", CommentState), name="review_comments_state"),
        CheckConstraint("side IN ('new', 'old')", name="review_comments_side"),
        Index("review_comments_change", "change_id", "created_at"),
        Index("review_comments_session", "session_id"),
    )

    id: UUID = Field(default_factory=uuid4, sa_column=Column(Uuid, primary_key=True))
    change_id: UUID = Field(sa_column=parent("changes.id"))
    task_id: UUID = Field(sa_column=parent("tasks.id"))
    project_id: UUID = Field(sa_column=parent("projects.id"))
    author_id: UUID | None = Field(default=None, sa_column=_person())
    revision: str = Field(sa_column=Column(String(HASH), nullable=False))
    path: str = Field(sa_column=Column(Text, nullable=False))
    side: str = Field(default="new", sa_column=Column(String(3), nullable=False))
    line: int = Field(nullable=False)
    line_end: int = Field(nullable=False)
    quote: str = Field(default="", sa_column=Column(Text, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False))
    state: CommentState = Field(
        default=CommentState.OPEN, sa_column=Column(Word(CommentState), nullable=False)
    )
    session_id: UUID | None = Field(
        default=None, sa_column=Column(Uuid, ForeignKey("sessions.id", ondelete="SET NULL"), nullable=True)
    )
    resolved_by: UUID | None = Field(default=None, sa_column=_person())
    created_at: datetime = Field(default_factory=now, sa_column=moment())
    updated_at: datetime = Field(default_factory=now, sa_column=moment())


class Seen(SQLModel, table=True):
    """That somebody has seen a file of a change, as long as it holds the same."""

    __tablename__ = "change_seen"

    change_id: UUID = Field(sa_column=parent("changes.id", primary_key=True))
    user_id: UUID = Field(sa_column=parent("users.id", primary_key=True))
    path_hash: str = Field(sa_column=Column(String(64), primary_key=True))
    blob: str = Field(sa_column=Column(String(HASH), nullable=False))
    created_at: datetime = Field(default_factory=now, sa_column=moment())
