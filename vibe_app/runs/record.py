"""What one run writes: that it started, what the agent said, that it is tried again, how it ended.

Every write is fenced by the lease, insisted upon while the database is away,
and harmless to repeat, since a commit that was broken off may have been done.
Nothing here talks to a workspace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from vibe_app.accounts.models import User
from vibe_app.accounts.roles import UserRole
from vibe_app.addresses import hide
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.endings import end_session
from vibe_app.board.sessions.models import Session
from vibe_app.board.spending import queries as spending_queries
from vibe_app.board.spending.limits import MOST_USD, nano
from vibe_app.board.tasks.models import Task
from vibe_app.board.topics import card_topics
from vibe_app.changes.trees import Prepared
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database, Transaction, db_clock, rows_changed
from vibe_app.errors import LeaseLost, Unavailable
from vibe_app.runs.ending import Ending
from vibe_app.runs.event_log import EventLog
from vibe_app.runs.writer import Entry, Lease, Taken, fence
from vibe_app.wire import (
    Event,
    EventType,
    Failure,
    Steps,
    Usage,
    clean_text,
    now,
    plain_text,
)

log = logging.getLogger(__name__)
Result = TypeVar("Result")

REASON_CHARS = 2000
_LOST = "This run belongs to somebody else now, or is over."


class Record:
    """The rows of one claimed session, as its run may change them.

    Args:
        lease: The right to write.
        session: The row as claimed.
        database, event_log: Where to write.

    Attributes:
        cursor: The number of the sidecar's last event that stands in the event log.
        closing: Whether the run is giving its lease up by itself.
        hidden: Secrets that are taken out of whatever is written.
    """

    def __init__(self, lease: Lease, session: Session, database: Database, event_log: EventLog) -> None:
        self.lease = lease
        self.cursor = session.cursor
        self.closing = False
        self.hidden: tuple[str, ...] = ()
        self._session = session
        self._database = database
        self._event_log = event_log

    async def task(self) -> tuple[Project | None, Task | None]:
        """Return the session's project and its task, None where they were deleted."""

        async def read() -> tuple[Project | None, Task | None]:
            async with self._database.read() as db:
                project = await db.get(Project, self.lease.project_id)
                return project, await db.get(Task, self._session.task_id)

        return await self.insist(read)

    async def by_an_admin(self) -> bool:
        """Tell whether an admin of the installation has executed the session."""

        async def read() -> bool:
            async with self._database.read() as db:
                query = select(col(User.role)).where(col(User.id) == self._session.created_by)
                return await db.scalar(query) == UserRole.ADMIN

        return await self.insist(read)

    async def hide(self, credentials: Credentials) -> None:
        """Keep the credential of the project's repository out of whatever is written from now on."""
        try:
            async with self._database.read() as db:
                credential = await credentials.get(db, self.lease.project_id)
        except Unavailable as error:
            log.warning(
                "session %s: the credential of its repository is not known: %s", self.lease.session_id, error
            )
            return
        self.hidden = credential.secrets if credential else ()

    async def workspace_starting(self) -> None:
        """Say that the session waits for its workspace."""

        async def write() -> None:
            async with self._database.transaction() as db:
                await db.execute(
                    update(Session)
                    .where(fence(self.lease), col(Session.status) == str(SessionStatus.PENDING))
                    .values(phase="workspace starting")
                    .execution_options(synchronize_session=False)
                )
                db.announce(*self._topics)

        await self.insist(write)

    async def has_tree(self, tree: Prepared) -> None:
        """Note the tree in which the session works, as its card's open change.

        Raises:
            LeaseLost: The lease does not hold any more.
        """

        async def write() -> None:
            async with self._database.transaction() as db:
                task_id = self._session.task_id
                change = await change_queries.open_change(db, task_id)
                new = change is None
                if change is None:
                    change = Change(
                        task_id=task_id,
                        project_id=self.lease.project_id,
                        base_branch=tree.branch,
                        base_commit=tree.base,
                    )
                await self._write(db, change_id=change.id, revision_before=tree.revision)
                if new:
                    db.add(change)
                await db.execute(update(Task).where(col(Task.id) == task_id).values(change_id=change.id))

        await self.insist(write)

    async def started(self, conversation: str = "", heard: bool = True) -> None:
        """Move the session from pending to running; one that runs already stays as it is.

        Args:
            conversation: What OpenCode calls the conversation; a follow-up goes on with it.
            heard: Whether it has the message: its comments are sent.

        Raises:
            LeaseLost: The lease does not hold any more.
        """

        async def write() -> None:
            async with self._database.transaction() as db:
                status = await db.scalar(select(col(Session.status)).where(fence(self.lease)))
                if status is None:
                    raise LeaseLost(_LOST)
                if conversation:
                    await self._write(db, conversation_id=conversation)
                    of_card = update(Task).where(col(Task.id) == self._session.task_id)
                    await db.execute(of_card.values(conversation_id=conversation))
                if heard:
                    await change_queries.comments_sent(db, self.lease.session_id)
                if status == SessionStatus.RUNNING:
                    return
                await session_queries.move_session(
                    db,
                    self.lease.session_id,
                    SessionStatus.RUNNING,
                    fence(self.lease),
                    started_at=now(),
                    phase="",
                )
                db.announce(*self._topics, "projects")

        await self.insist(write)

    async def progress(self, steps: Steps) -> None:
        """Note how far the agent is on its own list.

        Raises:
            LeaseLost: The lease does not hold any more.
        """

        async def write() -> None:
            async with self._database.transaction() as db:
                await self._write(db, steps=steps.model_dump())
                db.announce(*self._topics)

        await self.insist(write)

    async def _write(self, db: Transaction, **values: Any) -> None:
        """Write columns of the session's row.

        Raises:
            LeaseLost: The lease does not hold any more.
        """
        done = await db.execute(
            update(Session)
            .where(fence(self.lease))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        if rows_changed(done) != 1:
            raise LeaseLost(_LOST)

    async def take(self, events: list[Event]) -> None:
        """Write consecutive events of the sidecar and move the cursor behind them.

        Raises:
            LeaseLost: The lease does not hold any more.
        """
        entries = [Entry(event.type, self._hide(clean_text(event.text)), event.timestamp) for event in events]
        taken = Taken(self.cursor, events[-1].seq)
        await self.insist(lambda: self._event_log.append(self.lease, entries, taken))
        self.cursor = taken.upto

    async def repeat(self, delay: float, reason: str, failure: str, usage: Usage | None) -> None:
        """Give the run up and have it claimed again after `delay` seconds, as the next attempt.

        Raises:
            LeaseLost: The lease does not hold any more.
        """
        self.closing = True
        attempt = self._session.attempt
        words = self._hide(plain_text(reason))[:REASON_CHARS].rstrip(" .")
        sentence = f"Attempt {attempt} failed: {words}. Trying again in {max(1, round(delay))} s."
        entry = Entry(EventType.STATUS, sentence, now())

        async def write() -> None:
            async with self._database.transaction() as db:
                await self._event_log.append_in(db, self.lease, [entry])
                await self._put_back(db, delay, usage, failure=failure)

        await self.insist(write)

    async def wait(self, delay: float, reason: str, usage: Usage | None) -> None:
        """Give the run and its place up until its provider can be asked again, as the next attempt.

        Args:
            delay: Seconds until then.
            reason: What the provider said, in a sentence.
            usage: What this attempt consumed.

        Raises:
            LeaseLost: The lease does not hold any more.
        """
        self.closing = True
        words = self._hide(plain_text(reason))[:REASON_CHARS].rstrip()
        sentence = f"{words} The run starts anew then; its place is free for others meanwhile."
        waits = (self._session.waits or 0) + 1

        async def write() -> None:
            async with self._database.transaction() as db:
                await self._event_log.append_in(db, self.lease, [Entry(EventType.STATUS, sentence, now())])
                failure = Failure.PROVIDER_WAIT.value
                await self._put_back(db, delay, usage, failure=failure, waits=waits, wait_from=db_clock())

        await self.insist(write)

    async def _put_back(self, db: Transaction, delay: float, usage: Usage | None, **values: Any) -> None:
        """Have the session claimed again after `delay` seconds, as the next attempt.

        Args:
            db: The transaction to do it in.
            delay: Seconds until then.
            usage: What this attempt consumed.
            values: More columns to set.
        """
        await db.execute(
            update(Session)
            .where(fence(self.lease))
            .values(
                owner=None,
                lease_until=0.0,
                not_before=db_clock() + delay,
                attempt=self._session.attempt + 1,
                cursor=0,
                **values,
                **await self._spent(db, usage),
            )
            .execution_options(synchronize_session=False)
        )
        db.announce("queue", *self._topics)

    async def end(self, ending: Ending) -> None:
        """End the session, write its last line and move its card, in one transaction.

        Args:
            ending: How it ends.

        Raises:
            LeaseLost: The lease does not hold any more.
        """
        self.closing = True
        error = self._hide(plain_text(ending.reason))[:REASON_CHARS] if ending.reason else None
        words = {
            SessionStatus.COMPLETED: "Session completed",
            SessionStatus.CANCELLED: "Session cancelled",
            SessionStatus.FAILED: f"Session failed: {error}",
        }

        async def write() -> None:
            output = await self._event_log.output_text(self.lease.session_id)
            async with self._database.transaction() as db:
                if ending.remark:
                    await self._event_log.append_in(
                        db, self.lease, [Entry(EventType.ERROR, self._hide(ending.remark), now())]
                    )
                session = await db.scalar(select(Session).where(fence(self.lease)))
                if session is None:
                    raise LeaseLost(_LOST)
                if ending.state is not None and ending.state.heard:
                    await change_queries.comments_sent(db, self.lease.session_id)
                await end_session(
                    db,
                    session,
                    ending.target,
                    fence(self.lease),
                    error=error,
                    final_text=words[ending.target],
                    failure=ending.failure,
                    output=output,
                    unsettled=ending.unsettled,
                    **ending.of_session(self._hide),
                    **await self._spent(db, ending.usage),
                )
                if session.change_id is not None:
                    await self._write_change(db, session.change_id, ending)

        await self.insist(write)

    async def _write_change(self, db: Transaction, change_id: UUID, ending: Ending) -> None:
        if values := ending.of_change():
            await change_queries.write(db, change_id, **values)
        if ending.unkept:
            waits = col(Change.intent).is_(None)
            await change_queries.write(db, change_id, waits, intent="keep", intent_at=now())
            db.announce(change_queries.CHANGES)

    async def settle(self, told: change_queries.Told) -> None:
        """Note of the session, which is over, whether the agent had what it was to say."""

        async def write() -> None:
            async with self._database.transaction() as db:
                await change_queries.settle(db, self.lease.session_id, told)
                db.announce(*self._topics)

        await self.insist(write)

    def _hide(self, text: str) -> str:
        return hide(text, self.hidden)

    @property
    def _topics(self) -> tuple[str, ...]:
        of_card = card_topics(self.lease.project_id, self._session.task_id)
        return f"session:{self.lease.session_id}", *of_card

    async def _spent(self, db: Transaction, usage: Usage | None) -> dict[str, int]:
        """Return what the session has spent, as columns.

        Where its requests were counted it is their sum, whichever attempt made them; else what OpenCode
        says of this attempt, and what it said of those before.
        """
        if counted := await spending_queries.sums(db, self.lease.session_id):
            return counted
        if usage is None or not (usage.tokens_input or usage.tokens_output or usage.cost > 0):
            return {}
        said = {"tokens_input": usage.tokens_input, "tokens_output": usage.tokens_output}
        if usage.cost > 0:
            # 0 stands for a price that OpenCode does not know.
            said["cost_nano"] = nano(min(usage.cost, MOST_USD))
        return {name: value + (getattr(self._session, name) or 0) for name, value in said.items()}

    async def insist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return what `work` returns, trying again for as long as the database is away.

        The sidecar's journal keeps what comes meanwhile, and the fence tells
        whether it is still this run's business.
        """
        pause = 0.2
        while True:
            try:
                return await work()
            except Unavailable as error:
                log.warning("session %s waits for the database: %s", self.lease.session_id, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
