"""The end of a session, and of what its card is meanwhile."""

from __future__ import annotations

from typing import Any

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.lifecycle import TASK_AFTER, SessionStatus, TaskStatus
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.topics import card_topics
from vibe_app.db import Transaction
from vibe_app.wire import EventType, now

UNREACHABLE = "unreachable"
"""The `failure` of a session whose sidecar or workspace could not be reached."""


async def end_session(
    db: Transaction,
    session: Session,
    target: SessionStatus,
    *extra: Any,
    error: str | None = None,
    final_text: str = "",
    unsettled: bool = False,
    **values: Any,
) -> None:
    """End a session and move its card with it: the one place where both machines finish.

    Args:
        db: The transaction to do it in.
        session: The row as last read; its `last_seq` numbers the closing event.
        target: One of the final statuses.
        extra: Further conditions of the guarded update (the fence of a run).
        error: Why it failed.
        final_text: Text of a closing `done` event, where the sidecar has sent none.
        unsettled: Whether it is not known yet if the agent has its comments, so that they are not free.
        values: More columns to set.

    Raises:
        IllegalMove: It is over already, or the fence does not hold.
    """
    ended = now()
    if final_text:
        session.last_seq += 1
        db.add(
            SessionEvent(
                session_id=session.id,
                seq=session.last_seq,
                type=EventType.DONE.value,
                text=final_text,
                created_at=ended,
            )
        )
        values["last_seq"] = session.last_seq
    duration = None
    if session.started_at is not None:
        duration = round((ended - session.started_at).total_seconds() * 1000)
    await session_queries.move_session(
        db,
        session.id,
        target,
        *extra,
        error=error,
        completed_at=ended,
        duration_ms=duration,
        owner=None,
        lease_until=0.0,
        phase="",
        **values,
    )
    if not unsettled:
        await change_queries.release_comments(db, session.id)
    column, position = TASK_AFTER[target], session.came_from_position
    if target is not SessionStatus.COMPLETED and session.came_from is not None:
        # What a follow-up did not achieve leaves the card where it was.
        column = session.came_from
    else:
        position = None
    if position is None:
        position = await task_queries.top_of(db, session.project_id, column)
    await task_queries.move_task(db, session.task_id, [TaskStatus.IN_PROGRESS], column, position=position)
    topics = card_topics(session.project_id, session.task_id)
    db.announce("queue", *topics, "projects", f"session:{session.id}")
