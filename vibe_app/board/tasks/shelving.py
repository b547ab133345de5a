"""The verbs that take cards off the board and bring them back: archive, delete, restore."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require, task_of
from vibe_app.board.changes.models import DeletedCard
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.activity import Kind, note
from vibe_app.board.tasks.models import Task, kept
from vibe_app.board.tasks.schemas import TaskView
from vibe_app.board.tasks.showing import Showing
from vibe_app.board.topics import card_topics
from vibe_app.db import Database, Transaction, rows_changed
from vibe_app.errors import Conflict, Forbidden, NotFound
from vibe_app.wire import now

LIVE = "A session of this task is running. Stop it first."
KEPT_FOR = timedelta(days=30)
"""For how long a deleted card can be brought back."""
_WHAT = {Kind.RESTORED: {"what": "card"}}
AT_ONCE = 200
"""Cards that go for good in one transaction."""


class Shelves:
    """Where cards are that do not stand on the board.

    Args:
        database: Where they are kept.
        showing: Makes what is shown of them.
    """

    def __init__(self, database: Database, showing: Showing) -> None:
        self._database = database
        self._showing = showing

    async def archive(self, actor: Actor, project_id: UUID, task_id: UUID) -> TaskView:
        """Take a card off the board, into the archive. One that is there already stays as it is.

        Raises:
            Conflict: A session of it is live.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            await shelve(db, actor, task, Kind.ARCHIVED)
            return await self._showing.whole(db, task)

    async def unarchive(self, actor: Actor, project_id: UUID, task_id: UUID) -> TaskView:
        """Bring a card back from the archive, to where it was. One that is not there stays as it is."""
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            await self._bring_back(db, actor, task, task.archived_at is not None, Kind.UNARCHIVED)
            return await self._showing.whole(db, task)

    async def delete(self, actor: Actor, project_id: UUID, task_id: UUID) -> None:
        """Delete a card; for `KEPT_FOR` it can be restored, with all that it had.

        Raises:
            Conflict: A session of it is live.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            await shelve(db, actor, task, Kind.DELETED)

    async def restore(self, actor: Actor, project_id: UUID, task_id: UUID) -> TaskView:
        """Bring a deleted card back to its column. One that is not deleted stays as it is.

        Raises:
            NotFound: There is none, or it was deleted too long ago.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True, deleted=True)
            if task.deleted_at is not None and task.deleted_at < now() - KEPT_FOR:
                raise NotFound(
                    f"This card was deleted more than {KEPT_FOR.days} days ago and is not kept any more.",
                    "task_not_found",
                )
            await self._bring_back(db, actor, task, task.deleted_at is not None, Kind.RESTORED)
            return await self._showing.whole(db, task)

    async def restorable(self, actor: Actor, project_id: UUID, task_id: UUID) -> bool:
        """Tell whether a card is deleted, and the actor may restore it."""
        async with self._database.read() as db:
            try:
                await require(db, actor, project_id, ProjectRole.EDITOR)
                task = await task_of(db, project_id, task_id, deleted=True)
            except (Forbidden, NotFound):
                return False
            return task.deleted_at is not None and task.deleted_at >= now() - KEPT_FOR

    async def _bring_back(self, db: Transaction, actor: Actor, task: Task, away: bool, kind: Kind) -> None:
        if not away:
            return
        column = "deleted_at" if kind is Kind.RESTORED else "archived_at"
        await _mark(db, task, column, None)
        note(db, task.id, kind, actor.user_id, _WHAT.get(kind))
        db.announce(*card_topics(task.project_id, task.id), "projects")


async def shelve(db: Transaction, actor: Actor, task: Task, kind: Kind) -> None:
    """Archive or delete a card that the transaction holds.

    Raises:
        Conflict: A session of it is live.
    """
    if task.status is TaskStatus.IN_PROGRESS:
        raise Conflict(LIVE, "session_live")
    column = "deleted_at" if kind is Kind.DELETED else "archived_at"
    if getattr(task, column) is not None:
        return
    await _mark(db, task, column, now())
    note(db, task.id, kind, actor.user_id)
    db.announce(*card_topics(task.project_id, task.id), "projects")


async def _mark(db: Transaction, task: Task, column: str, value: datetime | None) -> None:
    values: dict[str, Any] = {column: value, "updated_at": now()}
    done = await db.execute(
        update(Task)
        .where(col(Task.id) == task.id, col(Task.status) != str(TaskStatus.IN_PROGRESS))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != 1:
        raise Conflict(LIVE, "session_live")
    await db.refresh(task)


async def purge(database: Database) -> int:
    """Have cards go for good that were deleted longer ago than `KEPT_FOR`; return how many.

    What their workspaces still hold of them goes once these are awake: `DeletedCard` says what.
    """
    due = ~kept & (col(Task.deleted_at) < now() - KEPT_FOR)
    async with database.transaction() as db:
        what = select(col(Task.id), col(Task.project_id), col(Task.number), col(Task.change_id))
        query = what.where(due).order_by(col(Task.deleted_at)).limit(AT_ONCE)
        tasks = (await db.execute(query.with_for_update(skip_locked=True))).all()
        for _, project_id, number, change_id in tasks:
            if number is not None and change_id is not None:
                await db.merge(DeletedCard(project_id=project_id, number=number))
        await db.execute(delete(Task).where(col(Task.id).in_([task_id for task_id, *_ in tasks])))
    return len(tasks)
