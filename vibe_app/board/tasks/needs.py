"""What cards need: other cards of their project that have to be done first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.models import Task, TaskNeed, shown
from vibe_app.db import Transaction
from vibe_app.errors import InvalidRequest

_OF: Any = col(TaskNeed.task_id)


async def of_cards(db: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, list[Any]]:
    """Return what each of some cards needs, by number: id, number, title, status. The archive is left out."""
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    if task_ids:
        rows = await db.execute(
            select(
                _OF.label("of"),
                col(Task.id),
                col(Task.number),
                col(Task.title),
                col(Task.status),
            )
            .join(Task, col(Task.id) == col(TaskNeed.needs_id))
            .where(col(TaskNeed.task_id).in_(task_ids), shown)
            .order_by(col(Task.number), col(Task.id))
        )
        for row in rows:
            found[row.of].append(row)
    return found


async def open_ones(db: AsyncSession, task_id: UUID) -> list[Any]:
    """Return what a card needs and is not done yet."""
    return [row for row in (await of_cards(db, [task_id]))[task_id] if row.status is not TaskStatus.DONE]


async def replace(db: Transaction, project_id: UUID, task_id: UUID, needed: Collection[UUID]) -> None:
    """Have a card need these others, and none else. The caller holds the project: one at a time does this.

    What it needs already and was archived or deleted meanwhile stays: it counts again when it is back.

    Raises:
        InvalidRequest: One is no card on the project's board, or the cards would need each other in a circle.
    """
    wanted = set(needed)
    if task_id in wanted:
        raise InvalidRequest("A card cannot need itself.", "needs_itself")
    present = {row.id for row in (await of_cards(db, [task_id]))[task_id]}
    new = wanted - present
    if new:
        known = select(col(Task.id)).where(col(Task.id).in_(new), col(Task.project_id) == project_id, shown)
        if len(set(await db.scalars(known))) != len(new):
            raise InvalidRequest(
                "A card can need only cards of the same project that are neither archived nor deleted.",
                "unknown_need",
            )
        if task_id in await _reached(db, new):
            raise InvalidRequest(
                "These cards would need each other in a circle: none of them could ever begin.",
                "needs_circle",
            )
    gone = present - wanted
    await db.execute(
        delete(TaskNeed).where(col(TaskNeed.task_id) == task_id, col(TaskNeed.needs_id).in_(gone))
    )
    db.add_all(TaskNeed(task_id=task_id, needs_id=each) for each in new)
    await db.flush()


async def _reached(db: AsyncSession, task_ids: Collection[UUID]) -> set[UUID]:
    """Return what cards need, what that needs, and so on."""
    first = select(col(TaskNeed.needs_id)).where(col(TaskNeed.task_id).in_(task_ids))
    reached = first.cte("reached", recursive=True)
    onward = select(col(TaskNeed.needs_id)).join(reached, reached.c.needs_id == col(TaskNeed.task_id))
    return set(await db.scalars(select(reached.union(onward).c.needs_id)))
