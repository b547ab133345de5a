"""The queries of cards. A guarded update is the rule; nobody can win twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.pages import window
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.models import Task, kept, shown
from vibe_app.db import contains, octets, rows_changed
from vibe_app.errors import IllegalMove
from vibe_app.wire import now

POSITION_GAP = 1024.0
_NUMBER = re.compile(r"(?:[A-Za-z]{2,5}-|#)?([0-9]{1,9})")
_DESCRIPTION: Any = Task.description


async def unfinished(db: AsyncSession, task_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of some cards that stand on a board and are not done."""
    if not task_ids:
        return set()
    query = select(col(Task.id)).where(
        col(Task.id).in_(task_ids), col(Task.status) != str(TaskStatus.DONE), shown
    )
    return set(await db.scalars(query))


async def move_task(
    db: AsyncSession,
    task_id: UUID,
    sources: Iterable[TaskStatus],
    target: TaskStatus,
    *extra: ColumnElement[bool],
    **values: Any,
) -> None:
    """Move a card from one of `sources` to `target`, or raise. `extra` conditions are part of the rule.

    Raises:
        IllegalMove: The card is in none of the sources.
    """
    done = await db.execute(
        update(Task)
        .where(col(Task.id) == task_id, col(Task.status).in_([str(status) for status in sources]), *extra)
        .values(status=str(target), updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != 1:
        raise IllegalMove(f"The task cannot move to {target.column} from where it is now.")


async def next_number(db: AsyncSession, project_id: UUID) -> int:
    """Take the number of the project's next card. Each is given once, also where cards are deleted."""
    number = await db.scalar(
        update(Project)
        .where(col(Project.id) == project_id)
        .values(next_number=col(Project.next_number) + 1)
        .returning(col(Project.next_number))
        .execution_options(synchronize_session=False)
    )
    assert number is not None
    return number - 1


async def number_of(db: AsyncSession, task: Task) -> int:
    """Return a card's number, and give it one where an older server has made it without."""
    if task.number is None:
        task.number = await next_number(db, task.project_id)
        await db.flush()
    return task.number


async def rewrite_task(
    db: AsyncSession, task_id: UUID, version: int, values: Mapping[str, Any], prompt: Set[str]
) -> bool:
    """Write what somebody has changed of a card, unless it is no longer the version that they saw.

    Args:
        db: The transaction.
        task_id: The card.
        version: What they saw.
        values: What to write; those named in `prompt` not while a session is live.
        prompt: The fields that a live session was started with.

    Returns:
        Whether it was written.
    """
    conditions = [col(Task.id) == task_id, col(Task.version) == version]
    if prompt & values.keys():
        conditions.append(col(Task.status) != str(TaskStatus.IN_PROGRESS))
    done = await db.execute(
        update(Task)
        .where(*conditions)
        .values(updated_at=now(), version=col(Task.version) + 1, **values)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(done) == 1


async def bottom_of(db: AsyncSession, project_id: UUID, status: TaskStatus) -> float:
    """Return a position below every card of a column."""
    last = await db.scalar(
        select(func.max(col(Task.position))).where(
            col(Task.project_id) == project_id, col(Task.status) == str(status)
        )
    )
    return (last or 0.0) + POSITION_GAP


async def top_of(db: AsyncSession, project_id: UUID, status: TaskStatus) -> float:
    """Return a position above every card of a column."""
    first = await db.scalar(
        select(func.min(col(Task.position))).where(
            col(Task.project_id) == project_id, col(Task.status) == str(status)
        )
    )
    return (first if first is not None else 2 * POSITION_GAP) - POSITION_GAP


async def position_before(db: AsyncSession, project_id: UUID, status: TaskStatus, before: Task) -> float:
    """Return a position right above `before`; the column is spaced anew where the gap is used up."""
    column = (col(Task.project_id) == project_id) & (col(Task.status) == str(status))
    above = await db.scalar(
        select(func.max(col(Task.position))).where(column, col(Task.position) < before.position)
    )
    if above is None:
        return before.position - POSITION_GAP
    middle = (above + before.position) / 2
    if above + 1e-6 < middle < before.position - 1e-6:
        return middle
    rows = (
        await db.execute(select(col(Task.id)).where(column).order_by(col(Task.position), col(Task.id)))
    ).all()
    for index, (task_id,) in enumerate(rows, start=1):
        await db.execute(update(Task).where(col(Task.id) == task_id).values(position=index * POSITION_GAP))
    index = [task_id for (task_id,) in rows].index(before.id) + 1
    return (index - 0.5) * POSITION_GAP


async def position_after(
    db: AsyncSession, project_id: UUID, status: TaskStatus, after: Task, moving: UUID
) -> float:
    """Return a position right below `after`, the card that moves left out of account."""
    below = await db.scalar(
        select(Task)
        .where(
            col(Task.project_id) == project_id,
            col(Task.status) == str(status),
            tuple_(col(Task.position), col(Task.id)) > tuple_(after.position, after.id),
            col(Task.id) != moving,
        )
        .order_by(col(Task.position), col(Task.id))
        .limit(1)
    )
    if below is None:
        return await bottom_of(db, project_id, status)
    return await position_before(db, project_id, status, below)


async def cards(
    db: AsyncSession,
    where: Sequence[ColumnElement[bool]],
    whole: bool = False,
    limit: int | None = None,
    order: Sequence[ColumnElement[Any]] = (),
) -> list[tuple[Task, Any]]:
    """Return tasks in board order, each with the `CARD_FIELDS` of its latest session and of its change.

    Where it has none of one kind, these are null throughout.

    Args:
        db: Where to look.
        where: Which tasks, as `chosen` says it.
        whole: With their descriptions, which else stay in the database.
        limit: How many at most.
        order: What they are ordered by before that.
    """
    query = (
        select(Task, *session_queries.CARD_FIELDS, *change_queries.CARD_FIELDS)
        .outerjoin(
            Session, (col(Session.id) == col(Task.last_session_id)) & col(Session.deleted_at).is_(None)
        )
        .outerjoin(Change, col(Change.id) == col(Task.change_id))
        .where(*where)
        .order_by(*order, col(Task.position), col(Task.id))
        .limit(limit)
    )
    if not whole:
        query = query.options(defer(_DESCRIPTION, raiseload=True))
    rows = (await db.execute(query)).all()
    # The whole row: its named columns are the session's, and a slice of it would lose their names.
    return [(row[0], row) for row in rows]


async def cards_page(
    db: AsyncSession, where: Sequence[ColumnElement[bool]], page: int, page_size: int, after: str | None
) -> tuple[list[tuple[Task, Any]], int, str | None]:
    """Return one page of whole tasks as `cards` does, how many there are, and the cursor of what follows.

    Raises:
        InvalidRequest: `after` is no cursor.
    """
    order = (col(Task.position), col(Task.id))
    size = octets(col(Task.description))
    ids, following = await window(db, where, order, float, size, page, page_size, after)
    total = await db.scalar(select(func.count()).select_from(Task).where(*where))
    return await cards(db, [col(Task.id).in_(ids)], whole=True), total or 0, following


def chosen(
    project_id: UUID, status: TaskStatus | None, search: str, archived: bool = False
) -> list[ColumnElement[bool]]:
    """Return which of a project's tasks are meant.

    Args:
        project_id: The board.
        status: Those of one column; None for all.
        search: Those whose title or description contains it, or whose number it is.
        archived: Those of the archive, in place of those on the board.
    """
    conditions = [col(Task.project_id) == project_id, kept]
    conditions.append(col(Task.archived_at).is_not(None) if archived else col(Task.archived_at).is_(None))
    if status is not None:
        conditions.append(col(Task.status) == str(status))
    if search:
        conditions.append(containing(search))
    return conditions


def containing(search: str) -> ColumnElement[bool]:
    """Return whether a card's title or description contains a text, or it is the card's name or number."""
    found = contains(col(Task.title), search) | contains(col(Task.description), search)
    number = _NUMBER.fullmatch(search)
    return found | (col(Task.number) == int(number[1])) if number else found


async def unassign(db: AsyncSession, project_id: UUID, user_id: UUID) -> None:
    """Have nobody be the assignee of a project's cards that somebody was it of."""
    await db.execute(
        update(Task)
        .where(col(Task.project_id) == project_id, col(Task.assignee_id) == user_id)
        .values(assignee_id=None)
        .execution_options(synchronize_session=False)
    )


async def task_counts(db: AsyncSession, project_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many cards stand on the board of each project."""
    rows = await db.execute(
        select(col(Task.project_id), func.count())
        .where(col(Task.project_id).in_(list(project_ids)), shown)
        .group_by(col(Task.project_id))
    )
    return dict(rows.all())
