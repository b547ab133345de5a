"""Sessions as the doors are given them: plain frozen values, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import inf
from typing import Any
from uuid import UUID

from vibe_app.board.lifecycle import SessionStatus


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


_VIEW_FIELDS = [item.name for item in fields(SessionView)]


def session_view(
    row: Any, waits: Mapping[UUID, tuple[int | None, str]], quiet_notice: float = inf
) -> SessionView:
    """Make a view of a session's row, or of a selection of its columns.

    Args:
        row: Where it was selected with its `silence`, it may be shown as quiet.
        waits: What is known of those that wait.
        quiet_notice: Seconds of silence after which one that runs is quiet.
    """
    position, reason = waits.get(row.id, (None, None))
    silence = getattr(row, "silence", None) or 0.0
    # One without an owner waits to be taken up again, which is no silence of the agent's.
    quiet = row.status == SessionStatus.RUNNING and row.owner is not None and silence > quiet_notice
    since = datetime.fromtimestamp(row.heard_at, UTC) if quiet else None
    values = {name: getattr(row, name, "") for name in _VIEW_FIELDS}
    return SessionView(**{**values, "queue_position": position, "waiting_for": reason, "quiet_since": since})
