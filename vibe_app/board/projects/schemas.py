"""Projects and their members as the doors are given them: plain frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from vibe_app.accounts.roles import ProjectRole


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
