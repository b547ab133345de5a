"""The verbs of sessions that there are: stop, history, delete. Both doors use these and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require, task_of
from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.board.pages import Page
from vibe_app.board.sessions import archive
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.endings import UNREACHABLE, end_session
from vibe_app.board.sessions.line import queue_positions
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard, SessionPreview, SessionView, session_view
from vibe_app.board.tasks.activity import Kind, note
from vibe_app.board.topics import card_topics
from vibe_app.db import Database
from vibe_app.errors import Conflict, DiskFull, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import Failure, now

_MISSING = "This task has no such session."


class Sessions:
    """Runs of tasks.

    Args:
        database: Where they are kept.
        installation_limit: How many sessions may run at once in all.
        outcome_timeout: Seconds for which `wait_for_outcome` waits.
        quiet_notice: Seconds without a word after which a running session is shown as quiet.
    """

    def __init__(
        self,
        database: Database,
        installation_limit: int,
        outcome_timeout: float = 10.0,
        quiet_notice: float = 300.0,
    ) -> None:
        self._database = database
        self._installation_limit = installation_limit
        self._outcome_timeout = outcome_timeout
        self._quiet_notice = quiet_notice

    async def wait_for_outcome(self, session_id: UUID) -> SessionCard:
        """Wait, at most `outcome_timeout` seconds, for the first outcome of a session just made.

        Returns when it runs, when it is over, or when it is known what it waits for.

        Raises:
            Unavailable: The sidecar or its workspace could not be reached; the
                session is kept as failed with the reason and the task is in TODO.
            NotFound: It was deleted meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + self._outcome_timeout
        with self._database.bus.subscribe(f"session:{session_id}") as changes:
            while True:
                view, starting = await self._glance(session_id)
                if view.failure == UNREACHABLE:
                    raise Unavailable(view.error or "The workspace cannot be reached.", UNREACHABLE)
                if view.failure == Failure.DISK_FULL and view.started_at is None:
                    raise DiskFull(view.error or "The workspace's disk is full.")
                left = deadline - asyncio.get_running_loop().time()
                in_line = view.queue_position is not None
                if view.status != SessionStatus.PENDING or in_line or starting or left <= 0:
                    return view
                await changes.wait(min(left, 1.0))

    async def stop(self, actor: Actor, project_id: UUID, task_id: UUID) -> SessionCard:
        """Ask the task's live session to stop. One that nobody has claimed is cancelled at once.

        Raises:
            InvalidRequest: The task has no live session.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
            task = await task_of(db, project_id, task_id)
            # Locked, where the database has row locks, so that nobody claims it meanwhile.
            session = await db.scalar(
                select(Session).where(session_queries.live, col(Session.task_id) == task.id).with_for_update()
            )
            if session is None:
                raise InvalidRequest("This task has no running session to stop.", "not_running")
            if not session.stop_requested:
                note(db, task_id, Kind.STOPPED, actor.user_id, {"session_id": str(session.id)})
            await db.execute(
                update(Session)
                .where(col(Session.id) == session.id)
                .values(stop_requested=True, updated_at=now())
            )
            # The attempt of one that waits for its provider is over: nothing of it is at work.
            waits = session.status == SessionStatus.PENDING or session.wait_from is not None
            if session.owner is None and waits:
                await end_session(db, session, SessionStatus.CANCELLED, final_text="Session cancelled")
            db.announce("stops", f"session:{session.id}", *card_topics(project_id, task_id), "queue")
        view, _ = await self._glance(session.id)
        return view

    async def wait_until_over(self, session_id: UUID, seconds: float) -> SessionCard:
        """Return the session once it is over, or as it is after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        with self._database.bus.subscribe(f"session:{session_id}") as changes:
            while True:
                view, _ = await self._glance(session_id)
                left = deadline - asyncio.get_running_loop().time()
                if view.status not in LIVE or left <= 0:
                    return view
                await changes.wait(min(left, 1.0))

    async def history(
        self, actor: Actor, project_id: UUID, task_id: UUID, page: int = 1, page_size: int = 20
    ) -> Page[SessionPreview]:
        """Return a task's sessions, newest first."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            return await self._previews(db, [col(Session.task_id) == task_id], page, page_size)

    async def of_project(
        self, actor: Actor, project_id: UUID, active: bool | None = None, page: int = 1, page_size: int = 20
    ) -> Page[SessionPreview]:
        """Return a project's sessions, newest first; only the live (or only the finished) ones if asked."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            where = [col(Session.project_id) == project_id, session_queries.of_cards_that_are_there]
            if active is not None:
                where.append(session_queries.live if active else ~session_queries.live)
            return await self._previews(db, where, page, page_size)

    async def read(self, actor: Actor, project_id: UUID, task_id: UUID, session_id: UUID) -> SessionView:
        """Return one session of a task, whole.

        Raises:
            NotFound: The task has no such session.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            row = await session_queries.session_row(db, task_id, session_id, session_queries.WHOLE_FIELDS)
            if row is None:
                raise NotFound(_MISSING, "session_not_found")
            view = session_view(SessionView, row, await self._waits(db, [row]), self._quiet_notice)
            if view.status in LIVE:
                output = await session_queries.output_tail(db, session_id)
            elif row.archived_at is not None:
                output = (await archive.outputs(db, [session_id])).get(session_id, view.output)
            else:
                return view
        return view.model_copy(update={"output": output})

    async def glance(self, actor: Actor, project_id: UUID, task_id: UUID, session_id: UUID) -> SessionCard:
        """Return one session of a task without its prompt and output: the check before it is followed.

        Raises:
            NotFound: The task has no such session.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            row = await session_queries.session_row(db, task_id, session_id, session_queries.CARD_FIELDS)
        if row is None:
            raise NotFound(_MISSING, "session_not_found")
        return session_view(SessionCard, row, {}, self._quiet_notice)

    async def newest(self, actor: Actor, project_id: UUID) -> SessionCard | None:
        """Return the session of a project that began last, without prompt and output; None for none."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            row = await session_queries.newest_session(db, project_id)
        return session_view(SessionCard, row, {}, self._quiet_notice) if row is not None else None

    async def counts(self) -> dict[SessionStatus, int]:
        """Return how many sessions there are of each status, for the operator's figures."""
        async with self._database.read() as db:
            rows = await db.execute(
                select(col(Session.status), func.count())
                .where(col(Session.deleted_at).is_(None))
                .group_by(col(Session.status))
            )
            return dict(rows.all())

    async def delete(self, actor: Actor, project_id: UUID, task_id: UUID, session_id: UUID) -> None:
        """Hide a finished session from every list (its row is kept, marked as deleted).

        Raises:
            Conflict: It is live.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            await task_of(db, project_id, task_id)
            session = await session_queries.session_row(db, task_id, session_id, session_queries.CARD_FIELDS)
            if session is None:
                raise NotFound(_MISSING, "session_not_found")
            if session.status in LIVE:
                raise Conflict("This session is running. Stop it first.", "session_live")
            await db.execute(update(Session).where(col(Session.id) == session_id).values(deleted_at=now()))
            await session_queries.show_the_newest_left(db, task_id, session_id)
            db.announce(*card_topics(project_id, task_id), f"session:{session_id}")

    async def _glance(self, session_id: UUID) -> tuple[SessionCard, bool]:
        """Return the session without its long texts, and whether its workspace is known to be starting."""
        async with self._database.read() as db:
            row = (
                await db.execute(
                    select(*session_queries.CARD_FIELDS).where(
                        col(Session.id) == session_id, col(Session.deleted_at).is_(None)
                    )
                )
            ).one_or_none()
            if row is None:
                raise NotFound("The session was deleted.", "session_not_found")
            waits = await queue_positions(db, self._installation_limit)
        return session_view(SessionCard, row, waits, self._quiet_notice), bool(row.phase)

    async def _previews(
        self, db: AsyncSession, where: Sequence[ColumnElement[bool]], page: int, page_size: int
    ) -> Page[SessionPreview]:
        """Return a page of sessions; of those that are live, the last stretch of their output."""
        rows, total = await session_queries.previews(db, where, page, page_size)
        waits = await self._waits(db, rows)
        views = [session_view(SessionPreview, row, waits, self._quiet_notice) for row in rows]
        for number, view in enumerate(views):
            if view.status in LIVE:
                tail = await session_queries.output_tail(db, view.id, session_queries.PREVIEW_CHARS)
                views[number] = view.model_copy(update={"output": tail})
        return Page(views, total)

    async def _waits(self, db: AsyncSession, rows: Sequence[Any]) -> dict[UUID, tuple[int | None, str]]:
        """Return what is known of those that wait, where any of these may."""
        if not any(row.status in LIVE for row in rows):
            return {}
        return await queue_positions(db, self._installation_limit)
