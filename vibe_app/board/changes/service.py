"""The verbs of changes that need rows alone: read one, decide about it, comment on it, mark it as seen.

What is decided is carried out elsewhere (`vibe_app.changes`): a decision is an intent in the change's row.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require, task_of
from vibe_app.board.changes import content
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change, Seen
from vibe_app.board.changes.schemas import (
    AcceptChange,
    BaseView,
    ChangeView,
    DeliveryView,
    NameRevision,
    ProblemView,
)
from vibe_app.board.lifecycle import OPEN_CHANGE, ChangeState, TaskStatus
from vibe_app.board.projects.delivery import by_request
from vibe_app.board.projects.models import Project
from vibe_app.board.tasks.models import Task, kept
from vibe_app.board.topics import card_topics
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, InvalidRequest, NotFound, RevisionChanged
from vibe_app.wire import now
from vibe_app.wire.git import ChangedFile, LeftOut

MOST_TREES = 500
"""Cards with a tree that are listed."""
KEPT_FOR = timedelta(days=30)
"""For how long what was discarded can be restored."""
# Of a change that is decided about: what somebody waits for.
_SHOWN = ("restore",)
MOVED_ON = "The change has moved on since you looked. Look at what is new, and decide again."
_LIVE = "A session of this card is running. Stop it first."


class Changes:
    """What became of cards' trees.

    Args:
        database: Where it is kept.
        outcome_timeout: Seconds for which `wait_until_done` waits.
    """

    def __init__(self, database: Database, outcome_timeout: float = 10.0) -> None:
        self._database = database
        self._outcome_timeout = outcome_timeout

    async def read(self, actor: Actor, project_id: UUID, task_id: UUID) -> ChangeView:
        """Return a card's newest change; one without any is in the state `none`.

        Where its pull request has not been looked up for a minute, that is done next.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            change = await change_queries.newest_change(db, task_id)
            view = await view_of(db, change, actor.user_id)
        if (
            change is not None
            and change.asks_at is not None
            and change.updated_at < now() - change_queries.FRESH
        ):
            async with self._database.transaction() as db:
                await change_queries.ask_now(db, col(Change.id) == change.id)
        return view

    async def trees(self, actor: Actor, project_id: UUID) -> list[tuple[int, str]]:
        """Return the cards of a project that have a tree: number and title, the newest first."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows = await db.execute(
                select(col(Task.number), col(Task.title))
                .join(Change, col(Change.task_id) == col(Task.id))
                .where(col(Change.project_id) == project_id, change_queries.is_open, kept)
                .order_by(col(Task.number).desc())
                .limit(MOST_TREES)
            )
            return [(number, title) for number, title in rows.all() if number is not None]

    async def in_tree(self, actor: Actor, project_id: UUID, number: int) -> tuple[UUID, list[str]] | None:
        """Return which card has a tree, and the files of its change; None where no card has it.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            number: The card's.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            row = (
                await db.execute(
                    select(col(Task.id), col(Change.files))
                    .join(Change, col(Change.task_id) == col(Task.id))
                    .where(
                        col(Task.project_id) == project_id,
                        col(Task.number) == number,
                        change_queries.is_open,
                        kept,
                    )
                )
            ).one_or_none()
        return None if row is None else (row[0], content.paths(row[1]))

    async def accept(self, actor: Actor, project_id: UUID, task_id: UUID, asked: AcceptChange) -> UUID:
        """Want a change joined into the base branch; return which change it is.

        One that is accepted already stays as it is: asking again is asking once.

        Raises:
            RevisionChanged: The actor saw another revision.
            Conflict: A session is live, or another decision is under way.
            InvalidRequest: There is no change to accept.
        """
        details = asked.model_dump()
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            change = await change_queries.open_change(db, task_id, lock=True)
            if change is None:
                return await self._decided(db, task_id, ChangeState.ACCEPTED)
            if change.revision is None:
                raise InvalidRequest(
                    "The agent has changed nothing: there is nothing to accept. Move the card to Done.",
                    "no_change",
                )
            await self._decide(db, actor, task.status, change, "accept", details, asked.revision)
            return change.id

    async def discard(self, actor: Actor, project_id: UUID, task_id: UUID, asked: NameRevision) -> UUID:
        """Want a change thrown away; its last checkpoint is kept for `KEPT_FOR`. Return which change it is.

        Raises:
            RevisionChanged: The actor saw another revision.
            Conflict: A session is live, or another decision is under way.
            InvalidRequest: There is no change to discard.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            change = await change_queries.open_change(db, task_id, lock=True)
            if change is None:
                return await self._decided(db, task_id, ChangeState.DISCARDED)
            details = {"anyway": asked.anyway, "column": str(TaskStatus.TODO)}
            await self._decide(db, actor, task.status, change, "discard", details, asked.revision)
            return change.id

    async def deliver(self, actor: Actor, project_id: UUID, task_id: UUID) -> UUID:
        """Want an accepted change brought to the project's repository again. Return which change it is.

        Raises:
            InvalidRequest: Nothing was accepted.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            await task_of(db, project_id, task_id, lock=True)
            change = await change_queries.newest_change(db, task_id)
            if change is None or change.state is not ChangeState.ACCEPTED:
                raise InvalidRequest("Nothing was accepted that could be delivered.", "nothing_to_deliver")
            # While the tree of what was not delivered is tidied away, it can be asked for already.
            if change.intent in (None, "tidy"):
                change.intent, change.intent_by, change.intent_at = "deliver", actor.user_id, now()
                change.delivery = {**(change.delivery or {}), "state": "waiting"}
                db.announce(change_queries.CHANGES, *card_topics(project_id, task_id), f"change:{change.id}")
            return change.id

    async def restore(self, actor: Actor, project_id: UUID, task_id: UUID) -> UUID:
        """Want a discarded change back, as it was at its last checkpoint. Return which change it is.

        Raises:
            Conflict: A session is live, or the card has another change by now.
            InvalidRequest: Nothing was discarded, or too long ago.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            if await change_queries.open_change(db, task_id, lock=True) is not None:
                raise Conflict("This card has a change: discard that first.", "change_open")
            change = await change_queries.newest_change(db, task_id)
            if change is None or change.state is not ChangeState.DISCARDED or change.revision is None:
                raise InvalidRequest("Nothing was discarded that could be restored.", "nothing_to_restore")
            if not _restorable(change):
                raise InvalidRequest(
                    f"It was discarded more than {KEPT_FOR.days} days ago and is not kept any more.",
                    "nothing_to_restore",
                )
            await self._decide(db, actor, task.status, change, "restore", {}, change.revision)
            return change.id

    async def _decided(self, db: Transaction, task_id: UUID, state: ChangeState) -> UUID:
        """Return which change of a card was decided so: asking again is asking once."""
        last = await change_queries.newest_change(db, task_id)
        if last is not None and last.state is state:
            return last.id
        raise InvalidRequest(f"This card has no change that could be {state}.", "no_change")

    async def _decide(
        self,
        db: Transaction,
        actor: Actor,
        column: TaskStatus,
        change: Change,
        intent: str,
        details: dict[str, Any],
        revision: str | None,
    ) -> None:
        """Write what is to be done with a change, unless that stands there already."""
        if column is TaskStatus.IN_PROGRESS:
            raise Conflict(_LIVE, "session_live")
        if change.revision is not None and revision != change.revision:
            raise RevisionChanged(MOVED_ON, await view_of(db, change, actor.user_id))
        if change.intent is not None:
            if change.intent == intent and change.intent_details == details:
                return
            raise Conflict(
                f"Another decision about this change is under way ({change.intent}). Wait until it is done.",
                "change_busy",
            )
        change.intent, change.intent_details, change.problem = intent, details, None
        change.intent_by, change.intent_at = actor.user_id, now()
        topics = card_topics(change.project_id, change.task_id)
        db.announce(change_queries.CHANGES, *topics, f"change:{change.id}")

    async def wait_until_done(self, actor: Actor, change_id: UUID) -> ChangeView:
        """Return a change once nothing is to be done with it, or as it is after `outcome_timeout` seconds.

        The caller has just decided about it, so who asks is known.
        """
        deadline = asyncio.get_running_loop().time() + self._outcome_timeout
        with self._database.bus.subscribe(f"change:{change_id}") as changes:
            while True:
                async with self._database.read() as db:
                    change = await db.get(Change, change_id)
                    if change is None:
                        raise NotFound("The card was deleted, and its change with it.", "task_not_found")
                    view = await view_of(db, change, actor.user_id)
                left = deadline - asyncio.get_running_loop().time()
                if view.intent is None or left <= 0:
                    return view
                await changes.wait(min(left, 1.0))

    async def see(self, actor: Actor, project_id: UUID, task_id: UUID, path: str, seen: bool) -> None:
        """Note that the actor has seen a file of a card's change as it is now, or take that back.

        Raises:
            NotFound: The change has no such file.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER, Scope.WRITE)
            await task_of(db, project_id, task_id)
            change = await change_queries.newest_change(db, task_id)
            file = content.find_file(change.files, path) if change else None
            if change is None or file is None:
                raise NotFound("The change has no such file.", "file_not_found")
            key = (change.id, actor.user_id, _hash(path))
            await db.execute(
                delete(Seen).where(
                    col(Seen.change_id) == key[0], col(Seen.user_id) == key[1], col(Seen.path_hash) == key[2]
                )
            )
            if seen:
                db.add(Seen(change_id=key[0], user_id=key[1], path_hash=key[2], blob=_mark(file)))


async def view_of(db: AsyncSession, change: Change | None, user_id: UUID) -> ChangeView:
    """Return what a door shows of a change."""
    if change is None:
        return ChangeView(state="none")
    files = content.unpack_files(change.files)
    project = await db.get(Project, change.project_id)
    rows = await db.execute(
        select(col(Seen.path_hash), col(Seen.blob)).where(
            col(Seen.change_id) == change.id, col(Seen.user_id) == user_id
        )
    )
    marks: dict[str, str] = dict(rows.all())
    return ChangeView(
        id=change.id,
        state=change.state.value,
        revision=change.revision,
        base=BaseView(branch=change.base_branch, commit=change.base_commit, behind=change.behind),
        files=files,
        file_count=change.file_count,
        additions=change.additions,
        deletions=change.deletions,
        brings=change.brings,
        left_out=[LeftOut.model_validate(each) for each in change.left_out],
        conflicts=change.conflicts,
        intent=change.intent if change.state in OPEN_CHANGE or change.intent in _SHOWN else None,
        problem=ProblemView.model_validate(change.problem) if change.problem else None,
        by_request=project is not None and by_request(project),
        commit=change.merge_new if change.state is ChangeState.ACCEPTED else None,
        decided_by=change.decided_by,
        decided_at=change.decided_at,
        restorable=_restorable(change),
        delivery=DeliveryView.model_validate(change.delivery) if change.delivery else None,
        seen=[file.path for file in files if marks and marks.get(_hash(file.path)) == _mark(file)],
    )


def _restorable(change: Change) -> bool:
    """Whether a change was discarded, and what it held is sure to be kept."""
    kept = change.state is ChangeState.DISCARDED and change.dropped_at is None and change.revision is not None
    return kept and change.decided_at is not None and change.decided_at >= now() - KEPT_FOR


def _hash(path: str) -> str:
    """A path of any length as a key of the table."""
    return hashlib.sha256(path.encode()).hexdigest()


def _mark(file: ChangedFile) -> str:
    """By what it is known that a file is as it was seen."""
    return file.blob or str(file.status)
