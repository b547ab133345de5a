"""Cards as the doors are given them: plain frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from vibe_app.board.sessions.schemas import SessionView


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
