"""The verbs that begin a session: execute, follow up, solve. Both doors use these and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board import rules
from vibe_app.board.access import on_board, require, task_of
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.changes.schemas import FollowUp
from vibe_app.board.changes.service import MOVED_ON, view_of
from vibe_app.board.changes.wording import follow_up_prompt, solve_prompt
from vibe_app.board.lifecycle import FOLLOW_UP_FROM, SessionKind, TaskStatus
from vibe_app.board.projects.keys import key_of, ref_of
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard, session_view
from vibe_app.board.spending.limits import NO_LIMITS, Limits
from vibe_app.board.tasks import needs
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task, shown
from vibe_app.board.topics import card_topics
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, IllegalMove, InvalidRequest, RevisionChanged

SOLVES = 3
"""Times that the agent is asked to solve the conflicts of one change; then it is a person's turn."""
_LONGEST_KEY = 200
_NAMED = 5
_ACTIVE = "This task already has a running session."


class Starts:
    """How sessions begin.

    Args:
        database: Where they are kept.
        model: Which model answers, kept with each session.
        limits: What a session of this installation may spend.
        opencode_version: Which OpenCode works, kept with each session.
        image: The image in which workspaces run, kept with each session; empty where there is none.
    """

    def __init__(
        self,
        database: Database,
        model: str,
        limits: Limits = NO_LIMITS,
        opencode_version: str = "",
        image: str = "",
    ) -> None:
        self._database = database
        self._model = model
        self._limits = limits
        self._opencode_version = opencode_version
        self._image = image

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
            Conflict: A session of the task is live already, it needs others that are not done, it is
                archived, or the key's session was deleted.
            InvalidRequest: The card is not in TODO, or the instructions are too long.
            Forbidden: The actor may not execute.
        """
        extra = rules.clean_body(instructions, "instructions")

        async def insert(db: Transaction, project: Project, task: Task) -> Session:
            return await self._insert(db, actor, project, task, extra, idempotency_key)

        return await self._once(actor, project_id, task_id, idempotency_key, "already_active", insert)

    async def _once(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        key: str | None,
        code: str,
        insert: Callable[[Transaction, Project, Task], Awaitable[Session]],
    ) -> SessionCard:
        """Begin a session of a card that the actor may execute, or return the one that the key has begun.

        Args:
            actor: Who asks.
            project_id: The board.
            task_id: The card.
            key: The idempotency key, if there is one.
            code: What the conflict is called where another session is live.
            insert: Begins the session, in the transaction that has checked all this.

        Raises:
            Conflict: A session of the task is live already, or the key's session was deleted.
            InvalidRequest: The key is too long.
            Forbidden: The actor may not execute.
        """
        _check_key(key)
        try:
            async with self._database.transaction() as db:
                project, _ = await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
                actor.need_execution()
                # Not locked: who deletes the project holds that first, and would wait for this.
                task = await task_of(db, project_id, task_id)
                if key and (known := await _by_key(db, task_id, key)):
                    return session_view(SessionCard, known, {})
                session = await insert(db, project, task)
        except IntegrityError as error:
            return await self._other(error, project_id, task_id, key, code)
        return session_view(SessionCard, session, {})

    async def _other(
        self, error: IntegrityError, project_id: UUID, task_id: UUID, key: str | None, code: str
    ) -> SessionCard:
        """Return the session that the same key has begun at the same moment.

        Raises:
            Conflict: It is another one that has begun.
            NotFound: The card was deleted meanwhile.
        """
        async with self._database.read() as db:
            if key and (known := await _by_key(db, task_id, key)):
                return session_view(SessionCard, known, {})
            await task_of(db, project_id, task_id)
        raise Conflict(_ACTIVE, code) from error

    async def _insert(
        self,
        db: Transaction,
        actor: Actor,
        project: Project,
        task: Task,
        extra: str,
        idempotency_key: str | None,
    ) -> Session:
        on_board(task)
        if task.status == TaskStatus.IN_PROGRESS:
            raise Conflict(_ACTIVE, "already_active")
        if task.status != TaskStatus.TODO:
            raise InvalidRequest(
                "Only a task in To do can be executed; this one is in "
                f"{task.status.column}. Move it to To do first.",
                "not_in_todo",
            )
        await self._unblocked(db, project, task)
        session = self._new(project, task, actor, compose_prompt(task.title, task.description, extra))
        session.idempotency_key = idempotency_key
        await self._begin(db, task, session, [TaskStatus.TODO])
        # Now that the card is held: whoever decides about its change holds it too.
        await self._undecided(db, task.id)
        return session

    async def _unblocked(self, db: Transaction, project: Project, task: Task) -> None:
        """Return if nothing that the card needs is left to do.

        Raises:
            Conflict: Something is; the sentence names it.
        """
        missing = await needs.open_ones(db, task.id)
        if missing:
            key = project.key or key_of(project.name)
            named = [f"{ref_of(key, row.number)} “{row.title}”".strip() for row in missing[:_NAMED]]
            rest = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
            raise Conflict(
                f"This card needs others that are not done: {', '.join(named)}{rest}. Finish them first, or "
                "take them out of what it needs.",
                "blocked",
            )

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
        position = await task_queries.bottom_of(db, task.project_id, TaskStatus.IN_PROGRESS)
        values = {"position": position, "last_session_id": session.id}
        try:
            await task_queries.move_task(db, task.id, sources, TaskStatus.IN_PROGRESS, shown, **values)
        except IllegalMove:
            # Somebody may have deleted or archived it at the same moment.
            await db.refresh(task)
            on_board(await task_of(db, task.project_id, task.id))
            raise
        db.announce("queue", *card_topics(task.project_id, task.id), "projects", f"session:{session.id}")

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

        async def insert(db: Transaction, project: Project, task: Task) -> Session:
            return await self._follow(db, actor, project, task, asked, kind, idempotency_key)

        return await self._once(actor, project_id, task_id, idempotency_key, "session_live", insert)

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
                "the conflict in the card's files yourself and accept it.",
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
        on_board(task)
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


def _check_key(key: str | None) -> None:
    if key is not None and not 1 <= len(key) <= _LONGEST_KEY:
        raise InvalidRequest("The Idempotency-Key must have 1 to 200 characters.", "invalid_idempotency_key")
