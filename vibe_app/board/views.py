"""What the doors are given: plain frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from vibe_app.accounts.roles import ProjectRole

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list, and how many there are in all."""

    items: list[Item]
    total_count: int


@dataclass(frozen=True)
class WorkspaceView:
    """How the workspace is: `stopped`, `starting`, `ready` or `failed`, and why.

    `notices` are sentences on what of the repository is not in it.
    """

    status: str
    reason: str | None
    notices: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class ProjectView:
    """A project as its members see it; `role` is the asker's own."""

    id: UUID
    name: str
    description: str
    repo_url: str | None
    branch: str | None
    has_credential: bool
    session_limit: int
    role: ProjectRole
    workspace: WorkspaceView
    live_sessions: int
    task_count: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class MemberView:
    """One person's role in a project."""

    user_id: UUID
    role: ProjectRole
    created_at: datetime


@dataclass(frozen=True)
class SessionView:
    """A session. `prompt` and `output` are empty in views for the board, which shows neither.

    `queue_position` counts from 1 while it waits in line, else None;
    `waiting_for` says in words what it waits for, else None. `quiet_since` is set
    while it runs and nothing was heard of it for longer than is usual. `asking` tells
    of a completed one that its last answer ends with a question.
    """

    id: UUID
    task_id: UUID
    project_id: UUID
    status: str
    prompt: str
    output: str
    error: str | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None
    model: str
    tokens_input: int | None
    tokens_output: int | None
    cost: float | None
    attempt: int
    failure: str | None
    stop_requested: bool
    last_line: str
    last_seq: int
    last_event_at: datetime | None
    asking: bool | None = None
    queue_position: int | None = None
    waiting_for: str | None = None
    quiet_since: datetime | None = None


@dataclass(frozen=True)
class TaskView:
    """A card. `session` is its latest run, if it ever had one; a change of the card names its `version`."""

    id: UUID
    project_id: UUID
    title: str
    description: str
    priority: str
    labels: list[str]
    status: str
    position: float
    version: int
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    session: SessionView | None = field(default=None)
