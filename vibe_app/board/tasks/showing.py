"""Makes what doors show of cards: their rows, and what stands around them in others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.lifecycle import SessionStatus, TaskStatus
from vibe_app.board.people import People
from vibe_app.board.projects import queries as project_queries
from vibe_app.board.sessions.line import queue_positions
from vibe_app.board.sessions.schemas import SessionCard, session_view
from vibe_app.board.tasks import needs
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import Around, TaskCard, TaskView

_Kind = TypeVar("_Kind", bound=TaskCard)


class Showing:
    """What is shown of cards. Each list of them costs the same few queries, however many they are.

    Args:
        people: Who there is.
        installation_limit: How many sessions may run at once in all; for what a card waits for.
        quiet_notice: Seconds without a word after which a running session is shown as quiet.
    """

    def __init__(self, people: People, installation_limit: int, quiet_notice: float = 300.0) -> None:
        self._people = people
        self._installation_limit = installation_limit
        self._quiet_notice = quiet_notice

    async def whole(self, db: AsyncSession, task: Task) -> TaskView:
        """Return a card with its description."""
        rows = await task_queries.cards(db, [col(Task.id) == task.id], whole=True)
        return (await self.all(TaskView, db, rows))[0]

    async def all(self, kind: type[_Kind], db: AsyncSession, rows: Sequence[tuple[Task, Any]]) -> list[_Kind]:
        """Return cards of what `queries.cards` has found, in the same order."""
        waits: dict[UUID, tuple[int | None, str]] = {}
        if any(task.status == TaskStatus.IN_PROGRESS and _may_wait(row) for task, row in rows):
            waits = await queue_positions(db, self._installation_limit)
        around = await self._around(db, rows)
        return [
            kind.show(
                task,
                session_view(SessionCard, row, waits, self._quiet_notice) if row.id is not None else None,
                change_queries.card_of(row),
                around,
            )
            for task, row in rows
        ]

    async def _around(self, db: AsyncSession, rows: Sequence[tuple[Task, Any]]) -> Around:
        people = {
            person
            for task, row in rows
            for person in (task.assignee_id, task.created_by, row.created_by)
            if person is not None
        }
        return Around(
            await project_queries.keys(db, {task.project_id for task, _ in rows}),
            await self._people.names(db, people),
            await needs.of_cards(db, [task.id for task, _ in rows]),
        )


def _may_wait(session: Any) -> bool:
    """Tell whether a live session may be one of those that wait; one with an owner that runs is not."""
    return session.id is not None and (session.status == SessionStatus.PENDING or session.owner is None)
