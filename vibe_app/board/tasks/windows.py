"""A board by windows: the cards of a column that are to be seen, and how many there are, filtered or not.

What is asked for costs what is shown, however many cards a board has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import and_, case, func, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.filters import EVERYTHING, Filter
from vibe_app.board.tasks.models import Task, shown
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.tasks.showing import Showing
from vibe_app.db import Database, each_text

WINDOW = 50
"""Cards of one column that are read at once where nothing else is said."""
WIDEST = 500
MOST_LABELS = 500
"""Labels of a project that are told, the most frequent ones."""


@dataclass(frozen=True)
class Window:
    """Some cards of a column, in their order.

    Args:
        cards: Them.
        more: Whether others follow.
    """

    cards: list[TaskCard]
    more: bool


@dataclass(frozen=True)
class Count:
    """How many cards a column has.

    Args:
        shown: Those that the filter leaves.
        all: All of them.
    """

    shown: int = 0
    all: int = 0


@dataclass(frozen=True)
class BoardView:
    """The beginning of each column, and how many cards each has."""

    columns: dict[TaskStatus, Window] = field(default_factory=dict[TaskStatus, Window])
    counts: dict[TaskStatus, Count] = field(default_factory=dict[TaskStatus, Count])


class Boards:
    """What pages see of a board.

    Args:
        database: Where the cards are kept.
        showing: Makes what is shown of them.
    """

    def __init__(self, database: Database, showing: Showing) -> None:
        self._database = database
        self._showing = showing

    async def read(
        self, actor: Actor, project_id: UUID, chosen: Filter = EVERYTHING, limit: int = WINDOW
    ) -> BoardView:
        """Return the beginning of each column, and how many cards each has. For viewers.

        Args:
            actor: Who asks.
            project_id: The board.
            chosen: Which cards.
            limit: How many of each column at most, up to `WIDEST`.
        """
        limit = _within(limit)
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            found = {
                status: await self._rows(db, project_id, status, chosen, None, limit) for status in TaskStatus
            }
            visible = [row for rows in found.values() for row in rows[:limit]]
            cards = await self._showing.all(TaskCard, db, visible)
            columns = {
                status: Window([card for card in cards if card.status is status], len(rows) > limit)
                for status, rows in found.items()
            }
            return BoardView(columns, await _counts(db, project_id, chosen))

    async def window(
        self,
        actor: Actor,
        project_id: UUID,
        status: TaskStatus,
        chosen: Filter = EVERYTHING,
        after: tuple[float, UUID] | None = None,
        limit: int = WINDOW,
    ) -> Window:
        """Return the next cards of a column. For viewers.

        Args:
            actor: Who asks.
            project_id: The board.
            status: The column.
            chosen: Which cards.
            after: Position and id of the card that they follow; None from the beginning.
            limit: How many at most, up to `WIDEST`.
        """
        limit = _within(limit)
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = await self._rows(db, project_id, status, chosen, after, limit)
            return Window(await self._showing.all(TaskCard, db, rows[:limit]), len(rows) > limit)

    async def some(
        self, actor: Actor, project_id: UUID, task_ids: Collection[UUID], chosen: Filter = EVERYTHING
    ) -> list[TaskCard]:
        """Return those of some cards that stand on the board and are chosen: what changed may have left."""
        where = [col(Task.project_id) == project_id, col(Task.id).in_(task_ids), shown, *chosen.conditions()]
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await self._showing.all(TaskCard, db, await task_queries.cards(db, where))

    async def counts(
        self, actor: Actor, project_id: UUID, chosen: Filter = EVERYTHING
    ) -> dict[TaskStatus, Count]:
        """Return how many cards each column has. For viewers."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await _counts(db, project_id, chosen)

    async def labels(self, actor: Actor, project_id: UUID) -> dict[str, int]:
        """Return the labels on a board by name, each with how many cards have it. For viewers."""
        label = each_text(col(Task.labels)).table_valued("value")
        count = func.count()
        query = (
            select(label.c.value, count)
            .select_from(Task)
            .join(label, true())
            .where(col(Task.project_id) == project_id, shown)
            .group_by(label.c.value)
            .order_by(count.desc(), label.c.value)
            .limit(MOST_LABELS)
        )
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = (await db.execute(query)).all()
        return {str(name): number for name, number in sorted(rows)}

    async def _rows(
        self,
        db: AsyncSession,
        project_id: UUID,
        status: TaskStatus,
        chosen: Filter,
        after: tuple[float, UUID] | None,
        limit: int,
    ) -> list[tuple[Task, Any]]:
        """Return what a window shows, and one more where more follows."""
        where = [col(Task.project_id) == project_id, col(Task.status) == str(status), shown]
        where += chosen.conditions()
        if after is not None:
            where.append(tuple_(col(Task.position), col(Task.id)) > after)
        return await task_queries.cards(db, where, limit=limit + 1)


def _within(limit: int) -> int:
    return max(1, min(limit, WIDEST))


async def _counts(db: AsyncSession, project_id: UUID, chosen: Filter) -> dict[TaskStatus, Count]:
    matching = func.count(case((and_(true(), *chosen.conditions()), 1)))
    rows = await db.execute(
        select(col(Task.status), matching, func.count())
        .where(col(Task.project_id) == project_id, shown)
        .group_by(col(Task.status))
    )
    found = {status: Count(some, every) for status, some, every in rows.all()}
    return {status: found.get(status, Count()) for status in TaskStatus}
