"""A board by windows: the cards of a column that are to be seen, and how many there are, filtered or not.

What is asked for costs what is shown, however many cards a board has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.filters import EVERYTHING, Filter
from vibe_app.board.tasks.models import Task, kept, shown
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.tasks.showing import Showing
from vibe_app.db import Database, contains, each_text
from vibe_app.wire import plain_text

WINDOW = 30
"""Cards of one column that are read at once where nothing else is said: some three screens."""
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
        self,
        actor: Actor,
        project_id: UUID,
        chosen: Filter = EVERYTHING,
        sizes: Mapping[TaskStatus, int] | None = None,
        only: Collection[TaskStatus] = tuple(TaskStatus),
    ) -> BoardView:
        """Return the beginning of each column, and how many cards each has. For viewers.

        Args:
            actor: Who asks.
            project_id: The board.
            chosen: Which cards; of the archive those come first that came there last.
            sizes: How many of a column at most, up to `WIDEST`, where that is not `WINDOW`.
            only: The columns of which cards are read; counted are those of all.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            counts = await _counts(db, project_id, chosen)
            rows: list[tuple[Task, Any]] = []
            for status in only:
                if counts[status].shown:
                    rows += await _rows(db, project_id, status, chosen, (sizes or {}).get(status, WINDOW))
            cards = await self._showing.all(TaskCard, db, rows)
        found = {status: [card for card in cards if card.status is status] for status in only}
        columns = {status: Window(here, counts[status].shown > len(here)) for status, here in found.items()}
        return BoardView(columns, counts)

    async def some(
        self, actor: Actor, project_id: UUID, task_ids: Collection[UUID], chosen: Filter = EVERYTHING
    ) -> list[TaskCard]:
        """Return those of some cards that are still there and are chosen: what changed may have left."""
        where = [col(Task.id).in_(task_ids), *_there(project_id, chosen), *chosen.conditions()]
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await self._showing.all(TaskCard, db, await task_queries.cards(db, where))

    async def labels(self, actor: Actor, project_id: UUID, text: str = "") -> dict[str, int]:
        """Return the labels on a board by name, each with how many cards have it. For viewers.

        Args:
            actor: Who asks.
            project_id: The board.
            text: Only those that contain it; empty for all. Of many, `MOST_LABELS` of the most cards.
        """
        label = each_text(col(Task.labels)).table_valued("value")
        wanted = [contains(label.c.value, words)] if (words := plain_text(text).strip()) else []
        count = func.count()
        query = (
            select(label.c.value, count)
            .select_from(Task)
            .join(label, true())
            .where(col(Task.project_id) == project_id, shown, *wanted)
            .group_by(label.c.value)
            .order_by(count.desc(), label.c.value)
            .limit(MOST_LABELS)
        )
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = (await db.execute(query)).all()
        return {str(name): number for name, number in sorted(rows)}


def _there(project_id: UUID, chosen: Filter) -> list[ColumnElement[bool]]:
    """Return among which cards is chosen."""
    where = kept & col(Task.archived_at).is_not(None) if chosen.archived else shown
    return [col(Task.project_id) == project_id, where]


async def _rows(
    db: AsyncSession, project_id: UUID, status: TaskStatus, chosen: Filter, size: int
) -> list[tuple[Task, Any]]:
    where = [*_there(project_id, chosen), col(Task.status) == str(status), *chosen.conditions()]
    newest = [col(Task.archived_at).desc()] if chosen.archived else []
    return await task_queries.cards(db, where, limit=max(1, min(size, WIDEST)), order=newest)


async def _counts(db: AsyncSession, project_id: UUID, chosen: Filter) -> dict[TaskStatus, Count]:
    matching = func.count(case((and_(true(), *chosen.conditions()), 1)))
    rows = await db.execute(
        select(col(Task.status), matching, func.count())
        .where(*_there(project_id, chosen))
        .group_by(col(Task.status))
    )
    found = {status: Count(some, every) for status, some, every in rows.all()}
    return {status: found.get(status, Count()) for status in TaskStatus}
