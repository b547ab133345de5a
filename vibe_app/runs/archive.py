"""Compresses the output of old sessions, a portion at a time. Its form is `board/archive.py`.

Nothing remembers when it was done last: what is old and has its rows is still to
do. So it may be broken off anywhere, and several replicas may do it. Each
portion changes places with its rows in one transaction, behind a lock on the
session's row; whoever reads meanwhile finds either. Deleted sessions are
compressed like all others: they are only marked as deleted, and that can be undone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlmodel import col

from vibe_app.board.lifecycle import LIVE
from vibe_app.board.sessions import archive
from vibe_app.board.sessions.models import Session, SessionArchive, SessionEvent
from vibe_app.db import Database, Transaction, octets
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import Event, EventType, now

log = logging.getLogger(__name__)

FIRST_LOOK = 600.0
"""Least seconds from the start to the first look: by then a redeploy has replaced every older version."""
DAY = 86_400.0
PORTION = 500
"""Events that change places with their part at once: bounds for how long others wait to write."""
REST = 0.05
"""Seconds between two portions."""

_FINAL: ColumnElement[bool] = col(Session.status).not_in([str(status) for status in sorted(LIVE)])


class Archive:
    """The daily job.

    Args:
        database: Where the sessions are.
        days: How long ago a session must have finished; 0 for never.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.compress_due()

        return Job("compress old output", work, period=DAY, first=FIRST_LOOK)

    async def compress_due(self) -> int:
        """Compress every session that finished long enough ago, and return how many those were.

        Raises:
            Unavailable: The database does not answer; what was done stays done.
        """
        before = now() - timedelta(days=self._days)
        async with self._database.read() as db:
            due = await db.scalars(
                select(col(Session.id))
                .where(col(Session.archived_at).is_(None), col(Session.completed_at) < before, _FINAL)
                .order_by(col(Session.completed_at))
            )
            session_ids = due.all()
        done = 0
        for session_id in session_ids:
            done += await self._compress(session_id)
        if done:
            log.info("the output of %d old sessions was compressed", done)
        return done

    async def _compress(self, session_id: UUID) -> bool:
        """Compress one session; tell whether it was finished here."""
        while events := await self._next_portion(session_id):
            data = await asyncio.to_thread(archive.pack, events)
            if not await self._replace(session_id, events, data):
                return False
            await asyncio.sleep(REST)
        async with self._database.read() as db:
            outputs = await archive.outputs(db, [session_id])
            # None where it was deleted meanwhile, with its task.
            output = await db.scalar(select(col(Session.output)).where(col(Session.id) == session_id))
        differs = None
        if output is not None and output != outputs[session_id]:
            differs = await asyncio.to_thread(archive.pack_text, output)
        return await self._finish(session_id, differs)

    async def _next_portion(self, session_id: UUID) -> list[Event]:
        async with self._database.read() as db:
            rows = await db.execute(
                select(
                    col(SessionEvent.seq),
                    col(SessionEvent.type),
                    col(SessionEvent.text),
                    col(SessionEvent.created_at),
                )
                .where(col(SessionEvent.session_id) == session_id)
                .order_by(col(SessionEvent.seq))
                .limit(PORTION)
            )
            return [
                Event.model_construct(seq=seq, type=EventType(kind), text=text, timestamp=moment)
                for seq, kind, text, moment in rows
            ]

    async def _replace(self, session_id: UUID, events: Sequence[Event], data: bytes) -> bool:
        """Put a part in the place of its rows; tell whether they were still there."""
        first, last = events[0].seq, events[-1].seq
        own = col(SessionEvent.session_id) == session_id
        async with self._database.transaction() as db:
            if not await _locked(db, session_id):
                return False
            if await db.scalar(select(func.min(col(SessionEvent.seq))).where(own)) != first:
                return False
            await db.execute(
                delete(SessionEvent)
                .where(own, col(SessionEvent.seq) <= last)
                .execution_options(synchronize_session=False)
            )
            await db.execute(
                insert(SessionArchive).values(
                    session_id=session_id, last_seq=last, codec=archive.CODEC, data=data
                )
            )
        return True

    async def _finish(self, session_id: UUID, differs: bytes | None) -> bool:
        """Leave only the beginning of the output in the row.

        Args:
            session_id: Which; all its events are archived.
            differs: The output, compressed, where its events say something else.
        """
        async with self._database.transaction() as db:
            if not await _locked(db, session_id):
                return False
            if differs is not None:
                await db.execute(
                    insert(SessionArchive).values(
                        session_id=session_id, last_seq=0, codec=archive.CODEC, data=differs
                    )
                )
            await db.execute(
                update(Session)
                .where(col(Session.id) == session_id)
                .values(
                    archived_at=now(),
                    output=func.substr(col(Session.output), 1, archive.BEGINNING),
                    output_size=octets(col(Session.output)),
                )
                .execution_options(synchronize_session=False)
            )
        return True


async def _locked(db: Transaction, session_id: UUID) -> bool:
    """Lock the session's row; tell whether it is still to do, and not locked by somebody else.

    It comes before the rows of its events, as in a deletion: else the two would wait for each other.
    """
    row = await db.scalar(
        select(col(Session.id))
        .where(col(Session.id) == session_id, col(Session.archived_at).is_(None), _FINAL)
        .with_for_update(skip_locked=True)
    )
    return row is not None
