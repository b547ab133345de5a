"""The verbs of sessions: execute, stop, history. Both doors use these and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board import rules
from vibe_app.board.access import require, task_of
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.changes.schemas import FollowUp
from vibe_app.board.changes.service import MOVED_ON, view_of
from vibe_app.board.changes.wording import follow_up_prompt, solve_prompt
from vibe_app.board.lifecycle import FOLLOW_UP_FROM, LIVE, SessionKind, SessionStatus, TaskStatus
from vibe_app.board.pages import Page
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import archive
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.endings import UNREACHABLE, end_session
from vibe_app.board.sessions.line import queue_positions
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard, SessionPreview, SessionView, session_view
from vibe_app.board.spending.limits import NO_LIMITS, Limits
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, DiskFull, InvalidRequest, NotFound, RevisionChanged, Unavailable
from vibe_app.wire import Failure, now

SOLVES = 3
"""Times that the agent is asked to solve the conflicts of one change; then it is a person's turn."""
_ACTIVE = "This task already has a running session."
_MISSING = "This task has no such session."


class Sessions:
    """Runs of tasks.

    Args:
        database: Where they are kept.
        installation_limit: How many sessions may run at once in all.
        model: Which model answers, kept with each session.
        outcome_timeout: Seconds for which `wait_for_outcome` waits.
        quiet_notice: Seconds without a word after which a running session is shown as quiet.
        limits: What a session of this installation may spend.
        opencode_version: Which OpenCode works, kept with each session.
        image: The image in which workspaces run, kept with each session; empty where there is none.
    """

    def __init__(
        self,
        database: Database,
        installation_limit: int,
        model: str,
        outcome_timeout: float = 10.0,
        quiet_notice: float = 300.0,
        limits: Limits = NO_LIMITS,
        opencode_version: str = "",
        image: str = "",
    ) -> None:
        self._opencode_version = opencode_version
        self._image = image
        self._database = database
        self._installation_limit = installation_limit
        self._model = model
        self._outcome_timeout = outcome_timeout
        self._quiet_notice = quiet_notice
        self._limits = limits

    async def execute(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        instructions: str = "",
        idempotency_key: str | None = None,
    ) -> SessionCard:
        """Start a session of a task in TODO and move its card, in one transaction.

        Returns as soon as the session stands in line; `wait_for_outcome` tells
        what became of it. The same idempotency key again answers with the
        session that the first call made.

        Args:
            actor: Who asks; an editor.
            project_id: The board.
            task_id: The card.
            instructions: Text to append to the prompt, up to 64 KiB.
            idempotency_key: Up to 200 characters chosen by the caller.

        Raises:
            Conflict: A session of the task is live already, or the key's session was deleted.
            InvalidRequest: The card is not in TODO, or the instructions are too long.
            Forbidden: The actor may not execute.
        """
        extra = rules.clean_body(instructions, "instructions")
        if idempotency_key is not None and not 1 <= len(idempotency_key) <= 200:
            raise InvalidRequest(
                "The Idempotency-Key must have 1 to 200 characters.", "invalid_idempotency_key"
            )
        try:
            async with self._database.transaction() as db:
                project, _ = await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
                actor.need_execution()
                task = await task_of(db, project_id, task_id)
                if idempotency_key and (known := await _by_key(db, task_id, idempotency_key)):
                    return session_view(SessionCard, known, {})
                session = await self._insert(db, actor, project, task, extra, idempotency_key)
        except IntegrityError as error:
            async with self._database.read() as db:
                if idempotency_key and (known := await _by_key(db, task_id, idempotency_key)):
                    return session_view(SessionCard, known, {})
                await task_of(db, project_id, task_id)  # which may have been deleted meanwhile
            raise Conflict(_ACTIVE, "already_active") from error
        return session_view(SessionCard, session, {})

    async def _insert(
        self,
        db: Transaction,
        actor: Actor,
        project: Project,
        task: Task,
        extra: str,
        idempotency_key: str | None,
    ) -> Session:
        if task.status == TaskStatus.IN_PROGRESS:
            raise Conflict(_ACTIVE, "already_active")
        if task.status != TaskStatus.TODO:
            raise InvalidRequest(
                "Only a task in To do can be executed; this one is in "
                f"{task.status.column}. Move it to To do first.",
                "not_in_todo",
            )
        session = self._new(project, task, actor, compose_prompt(task.title, task.description, extra))
        session.idempotency_key = idempotency_key
        await self._begin(db, task, session, [TaskStatus.TODO])
        # Now that the card is held: whoever decides about its change holds it too.
        await self._undecided(db, task.id)
        return session

    def _new(self, project: Project, task: Task, actor: Actor, prompt: str) -> Session:
        limits = Limits.of(project).within(self._limits)
        return Session(
            task_id=task.id,
            project_id=task.project_id,
            prompt=prompt,
            created_by=actor.user_id,
            model=self._model,
            opencode_version=self._opencode_version or None,
            image=self._image or None,
            priority=task.priority.rank,
            limit_nano=limits.nano,
            limit_tokens=limits.tokens,
            limit_minutes=limits.minutes,
            limit_requests=limits.requests,
        )

    async def _begin(
        self, db: Transaction, task: Task, session: Session, sources: Iterable[TaskStatus]
    ) -> None:
        """Put a session in line and move its card, whose number is what its tree is called by."""
        await task_queries.number_of(db, task)
        db.add(session)
        await db.flush()
        await task_queries.move_task(
            db,
            task.id,
            sources,
            TaskStatus.IN_PROGRESS,
            position=await task_queries.bottom_of(db, task.project_id, TaskStatus.IN_PROGRESS),
            last_session_id=session.id,
        )
        db.announce("queue", f"project:{task.project_id}", "projects", f"session:{session.id}")

    async def _undecided(self, db: Transaction, task_id: UUID) -> Change | None:
        """Return the card's open change, held until the transaction ends.

        Raises:
            Conflict: Somebody is just deciding about it.
        """
        change = await change_queries.open_change(db, task_id, lock=True)
        if change is not None and change.intent is not None:
            raise Conflict(
                f"The change of this card is being decided about ({change.intent}). Wait until that is done.",
                "change_busy",
            )
        return change

    async def follow_up(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        asked: FollowUp,
        idempotency_key: str | None = None,
        kind: SessionKind = SessionKind.FOLLOW_UP,
    ) -> SessionCard:
        """Go on with a card in the conversation that the agent has had about it, in the same tree.

        Like `execute`, but for the columns from which it starts, to which the card returns where it does
        not succeed. The comments that it takes along are `sent` once the agent has them; where it never
        has, they are free again.

        Args:
            actor: Who asks; an editor.
            project_id: The board.
            task_id: The card.
            asked: What to tell the agent, and which open comments.
            idempotency_key: Up to 200 characters chosen by the caller.
            kind: What it is called in the history.

        Raises:
            RevisionChanged: The actor saw another revision.
            Conflict: A session is live, somebody decides about the change, or a comment is not open any more.
            InvalidRequest: There is nothing to say, or nothing to go on with.
            Forbidden: The actor may not execute.
        """
        if not asked.message.strip() and not asked.comment_ids:
            raise InvalidRequest("Write what the agent is to do, or choose comments.", "nothing_to_say")
        try:
            async with self._database.transaction() as db:
                project, _ = await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
                actor.need_execution()
                # Not locked: who deletes the project holds that first, and would wait for this.
                task = await task_of(db, project_id, task_id)
                if idempotency_key and (known := await _by_key(db, task_id, idempotency_key)):
                    return session_view(SessionCard, known, {})
                session = await self._follow(db, actor, project, task, asked, kind, idempotency_key)
        except IntegrityError as error:
            raise Conflict(_ACTIVE, "session_live") from error
        return session_view(SessionCard, session, {})

    async def solve(self, actor: Actor, project_id: UUID, task_id: UUID, revision: str | None) -> SessionCard:
        """Have the agent bring the base branch into a card's tree, and solve what conflicts.

        Raises:
            InvalidRequest: Nothing conflicts, or the agent has tried `SOLVES` times.
            Conflict: As for `follow_up`.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
            await task_of(db, project_id, task_id)
            change = await change_queries.open_change(db, task_id)
        if change is None or not change.conflicts:
            raise InvalidRequest("Nothing conflicts: accept the change.", "no_conflicts")
        if change.solves >= SOLVES:
            raise InvalidRequest(
                f"The agent has tried that {SOLVES} times. Tell it in your own words what to do, or solve "
                "the conflict in the files yourself.",
                "solved_too_often",
            )
        asked = FollowUp(message=solve_prompt(change.base_branch, change.conflicts), revision=revision)
        return await self.follow_up(actor, project_id, task_id, asked, kind=SessionKind.SOLVE)

    async def _follow(
        self,
        db: Transaction,
        actor: Actor,
        project: Project,
        task: Task,
        asked: FollowUp,
        kind: SessionKind,
        idempotency_key: str | None,
    ) -> Session:
        if task.status is TaskStatus.IN_PROGRESS:
            raise Conflict(_ACTIVE, "session_live")
        change = await change_queries.open_change(db, task.id)
        if task.status not in FOLLOW_UP_FROM or (task.status is TaskStatus.TODO and change is None):
            raise InvalidRequest(
                "There is nothing to go on with: press Execute."
                if task.status is TaskStatus.TODO
                else "This card is done. Move it back to review to go on with it.",
                "nothing_to_follow",
            )
        session = self._new(project, task, actor, asked.message)
        session.kind, session.message, session.idempotency_key = kind, asked.message, idempotency_key
        session.came_from, session.came_from_position = task.status, task.position
        session.conversation_id = task.conversation_id
        await self._begin(db, task, session, [task.status])
        # Now that the card is held: whoever decides about its change holds it too.
        change = await self._undecided(db, task.id)
        if change is not None and change.revision != asked.revision and change.revision is not None:
            raise RevisionChanged(MOVED_ON, await view_of(db, change, actor.user_id))
        session.change_id = change.id if change else None
        session.revision_before = change.revision if change else None
        if change is not None and kind is SessionKind.SOLVE:
            change.solves += 1
        comments = (
            await change_queries.attach_comments(db, change.id, asked.comment_ids, session.id)
            if change
            else None
        )
        if comments is None and asked.comment_ids:
            raise Conflict(
                "One of the comments was changed, sent or resolved meanwhile. Look again, and choose anew.",
                "comment_not_open",
            )
        session.prompt = follow_up_prompt(asked.message, comments or [])
        return session

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
            await db.execute(
                update(Session)
                .where(col(Session.id) == session.id)
                .values(stop_requested=True, updated_at=now())
            )
            # The attempt of one that waits for its provider is over: nothing of it is at work.
            waits = session.status == SessionStatus.PENDING or session.wait_from is not None
            if session.owner is None and waits:
                await end_session(db, session, SessionStatus.CANCELLED, final_text="Session cancelled")
            db.announce("stops", f"session:{session.id}", f"project:{project_id}", "queue")
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
            where = [col(Session.project_id) == project_id]
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
            db.announce(f"project:{project_id}", f"session:{session_id}")

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


def compose_prompt(title: str, description: str, instructions: str = "") -> str:
    """Return the text that the agent is given for a task."""
    return "\n\n".join(part for part in (title, description, instructions) if part)


async def _by_key(db: AsyncSession, task_id: UUID, key: str) -> Session | None:
    """Return the session that was made with an idempotency key, if one was.

    Raises:
        Conflict: It was deleted: to make another one would be to do the same twice.
    """
    session = await db.scalar(
        select(Session).where(col(Session.task_id) == task_id, col(Session.idempotency_key) == key)
    )
    if session is not None and session.deleted_at is not None:
        raise Conflict(
            "The session of this Idempotency-Key was deleted. Use a new key to start another one.",
            "session_deleted",
        )
    return session
