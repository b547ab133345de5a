"""The verbs of cards: create, list, read, change, delete, move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require, task_of
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import DeletedCard
from vibe_app.board.changes.queries import CHANGES
from vibe_app.board.lifecycle import TASK_MOVES, SessionStatus, TaskStatus
from vibe_app.board.pages import Page
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.line import queue_positions
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard, session_view
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import NewTask, TaskCard, TaskPatch, TaskView
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, IllegalMove, InvalidRequest, VersionChanged
from vibe_app.wire import now, plain_text

_LIVE = "A session of this task is running. Stop it first."


_CHANGED = (
    "Somebody changed this task since you read it. Nothing was saved: look at both, and save again if yours "
    "is to stay."
)


# What the agent is given of a card: it stays as it is while a session is live.
_PROMPT = frozenset({"title", "description"})

_Kind = TypeVar("_Kind", bound=TaskCard)


class Tasks:
    """Cards of a board.

    Args:
        database: Where they are kept.
        installation_limit: How many sessions may run at once in all; for what a card waits for.
        quiet_notice: Seconds without a word after which a running session is shown as quiet.
    """

    def __init__(self, database: Database, installation_limit: int, quiet_notice: float = 300.0) -> None:
        self._database = database
        self._installation_limit = installation_limit
        self._quiet_notice = quiet_notice

    async def create(self, actor: Actor, project_id: UUID, new: NewTask) -> TaskView:
        """Put a new card at the bottom of TODO. For editors."""
        task = Task(project_id=project_id, position=0.0, created_by=actor.user_id, **dict(new))
        async with self._database.transaction() as db:
            # Locked, so that the project is not deleted between the look and the commit.
            await require(db, actor, project_id, ProjectRole.EDITOR, lock=True)
            task.position = await task_queries.bottom_of(db, project_id, TaskStatus.TODO)
            task.number = await task_queries.next_number(db, project_id)
            db.add(task)
            db.announce(f"project:{project_id}", "projects")
        return TaskView.with_session(task, None, None)

    async def list(
        self, actor: Actor, project_id: UUID, status: TaskStatus | None = None, search: str = ""
    ) -> list[TaskCard]:
        """Return the board's cards in their order, without their descriptions.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            status: One column only.
            search: Only cards whose title or description contains it.
        """
        where = task_queries.chosen(project_id, status, plain_text(search).strip())
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await self._with_sessions(TaskCard, db, await task_queries.cards(db, where))

    async def page(
        self,
        actor: Actor,
        project_id: UUID,
        status: TaskStatus | None,
        search: str,
        page: int,
        page_size: int,
        after: str | None = None,
    ) -> Page[TaskView]:
        """Return one page of the board's cards, whole; it ends early where it would be larger than a page.

        Raises:
            InvalidRequest: `after` is no cursor that a page of this list had as its `next`.
        """
        where = task_queries.chosen(project_id, status, plain_text(search).strip())
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows, total, following = await task_queries.cards_page(db, where, page, page_size, after)
            return Page(await self._with_sessions(TaskView, db, rows), total, following)

    async def read(self, actor: Actor, project_id: UUID, task_id: UUID) -> TaskView:
        """Return one card.

        Raises:
            NotFound: The project has no such card.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await self._seen(db, await task_of(db, project_id, task_id))

    async def change(
        self, actor: Actor, project_id: UUID, task_id: UUID, version: int, patch: TaskPatch
    ) -> TaskView:
        """Change what is given and differs, and leave the rest.

        Saving what is there already is no change, whatever version it names: a second click loses nothing.

        Args:
            actor: Who asks; an editor.
            project_id: The board.
            task_id: The card.
            version: That of the card on which the change is founded.
            patch: What to change.

        Raises:
            VersionChanged: Somebody else has changed the card since that version.
            Conflict: A session is live and the change touches its prompt.
        """
        wanted = patch.given()
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id)
            values = {name: value for name, value in wanted.items() if value != getattr(task, name)}
            if task.status is TaskStatus.IN_PROGRESS and _PROMPT & values.keys():
                raise Conflict(_LIVE, "session_live")
            if values:
                await self._write(db, task, version, wanted, values)
                db.announce(f"project:{project_id}")
        return await self.read(actor, project_id, task_id)

    async def _write(
        self, db: AsyncSession, task: Task, version: int, wanted: dict[str, Any], values: dict[str, Any]
    ) -> None:
        # The session before its card, as everywhere: two that lock in turn wait for each other for ever.
        if "priority" in values:
            waiting = (col(Session.task_id) == task.id) & session_queries.live
            await db.execute(update(Session).where(waiting).values(priority=values["priority"].rank))
        known = 0 < version < 2**31  # as the column holds it; no card has another
        if known and await task_queries.rewrite_task(db, task.id, version, values, _PROMPT):
            return
        project_id, task_id = task.project_id, task.id
        db.expire_all()
        task = await task_of(db, project_id, task_id)
        if task.version == version:
            raise Conflict(_LIVE, "session_live")
        raise VersionChanged(_CHANGED, wanted, await self._seen(db, task))

    async def delete(self, actor: Actor, project_id: UUID, task_id: UUID) -> None:
        """Delete a card with its sessions.

        Raises:
            Conflict: A session of it is live.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            if task.status == TaskStatus.IN_PROGRESS:
                raise Conflict(_LIVE, "session_live")
            if task.number is not None and task.change_id is not None:
                db.add(DeletedCard(project_id=project_id, number=task.number))
            await db.execute(delete(Task).where(col(Task.id) == task_id))
            db.announce(f"project:{project_id}", "projects")

    async def move(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        target: TaskStatus,
        before_id: UUID | None = None,
        after_id: UUID | None = None,
    ) -> TaskView:
        """Move a card to a column: above `before_id`, below `after_id`, or to its end.

        Executing is not a move: it is `Sessions.execute`.

        Raises:
            Conflict: A session of the card is live, or the column belongs to live sessions.
            InvalidRequest: The neighbour is no card of that column, or two of them are named.
        """
        if before_id is not None and after_id is not None:
            raise InvalidRequest(
                "Name the card above which to put it, or the one below, not both.", "two_neighbours"
            )
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id)
            source = task.status
            if source is TaskStatus.IN_PROGRESS:
                raise Conflict(_LIVE, "session_live")
            if target not in TASK_MOVES[source]:
                raise IllegalMove(
                    "Only tasks with a running session are in progress. Press Execute on a task in To do.",
                    "execute_instead",
                )
            if target is TaskStatus.DONE:
                await _nothing_open(db, task_id)
            if task_id in (before_id, after_id):
                position = task.position
            elif before_id is not None:
                before = await _neighbour(db, project_id, before_id, target, "before")
                position = await task_queries.position_before(db, project_id, target, before)
            elif after_id is not None:
                after = await _neighbour(db, project_id, after_id, target, "after")
                position = await task_queries.position_after(db, project_id, target, after, task_id)
            else:
                position = await task_queries.bottom_of(db, project_id, target)
            await task_queries.move_task(db, task_id, [source], target, position=position)
            db.announce(f"project:{project_id}")
        return await self.read(actor, project_id, task_id)

    async def _seen(self, db: AsyncSession, task: Task) -> TaskView:
        rows = await task_queries.cards(db, [col(Task.id) == task.id], whole=True)
        return (await self._with_sessions(TaskView, db, rows))[0]

    async def _with_sessions(
        self, kind: type[_Kind], db: AsyncSession, rows: Sequence[tuple[Task, Any]]
    ) -> list[_Kind]:
        waits: dict[UUID, tuple[int | None, str]] = {}
        if any(task.status == TaskStatus.IN_PROGRESS and _may_wait(row) for task, row in rows):
            waits = await queue_positions(db, self._installation_limit)
        return [
            kind.with_session(
                task,
                session_view(SessionCard, row, waits, self._quiet_notice) if row.id is not None else None,
                change_queries.card_of(row),
            )
            for task, row in rows
        ]


async def _nothing_open(db: Transaction, task_id: UUID) -> None:
    """Refuse to call a card done whose change nobody has decided about; one without content is let go.

    Raises:
        Conflict: It has a change that is open.
    """
    change = await change_queries.open_change(db, task_id, lock=True)
    if change is None:
        return
    if change.revision is not None or change.intent is not None:
        raise Conflict(
            "This card has a change that nobody has decided about: accept or discard it.", "change_open"
        )
    change.intent, change.intent_at, change.intent_details = "discard", now(), {"column": TaskStatus.DONE}
    db.announce(CHANGES)


async def _neighbour(
    db: AsyncSession, project_id: UUID, task_id: UUID, status: TaskStatus, where: str
) -> Task:
    task = await task_of(db, project_id, task_id)
    if task.status != status:
        raise InvalidRequest(f"The card to put it {where} is not in that column.", f"invalid_{where}_id")
    return task


def _may_wait(session: Any) -> bool:
    """Tell whether a live session may be one of those that wait; one with an owner that runs is not."""
    return session.id is not None and (session.status == SessionStatus.PENDING or session.owner is None)
