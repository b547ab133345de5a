"""the event log: appended once, followed by many.

Whoever wants a session's output, past or live, on whichever door, follows the
book; nobody else reads the events table. A wake-up is only a hint: a follower
looks again by itself when none has come for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.board.sessions import archive
from vibe_app.board.sessions.models import Session, SessionArchive, SessionEvent
from vibe_app.db import Database, Transaction
from vibe_app.errors import NotFound
from vibe_app.runs.writer import Entry, Lease, Piece, Taken, Writer
from vibe_app.wire import Event, EventType, plain_text

log = logging.getLogger(__name__)

PAGE = 2000
"""Events read at once; what is more comes with the next batch."""
LOOK_AGAIN = 5.0
"""Seconds after which a follower reads without having been woken."""
SETTLED = 0.25
"""Seconds of silence after which a follower that read from memory looks at the row: only it tells the end."""


@dataclass(frozen=True)
class Batch:
    """Consecutive events, and whether the session is over and these are its last.

    `more` says that the next ones are there already: nothing is to be waited for.
    """

    events: list[Event]
    final: bool
    more: bool = False


@dataclass
class _Tail:
    """The newest events of a session that this process has committed, for its followers here.

    It only saves them readings: what it does not hold, and whether the session is over, the rows tell.
    """

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=PAGE))
    followers: int = 0

    def add(self, events: Sequence[Event]) -> None:
        if self.events and events[0].seq != self.events[-1].seq + 1:
            self.events.clear()
        self.events.extend(events)

    def after(self, seq: int) -> list[Event]:
        """Return the events after number `seq`; none where the next one is not here."""
        if not self.events or not self.events[0].seq <= seq + 1 <= self.events[-1].seq:
            return []
        skipped = seq + 1 - self.events[0].seq
        return list(self.events)[skipped:]


class EventLog:
    """Appends to the event log and follows it.

    Args:
        database: Where the event log is kept.
        lease_seconds: How far each append extends its run's lease.
        pace: Least seconds between two batches to one follower: bounds what a reader costs.
    """

    def __init__(self, database: Database, lease_seconds: float = 9.0, pace: float = 0.05) -> None:
        self._database = database
        self._writer = Writer(database, lease_seconds, self._written)
        self._pace = pace
        self._tails: dict[UUID, _Tail] = {}
        self.written = 0
        """Events written by this process since its start."""

    async def append(self, lease: Lease, entries: Sequence[Entry], taken: Taken | None = None) -> int:
        """Write entries, move the cursor and renew the lease, in one transaction (`writer`).

        Entries with `taken` may be appended again after a commit whose outcome
        nobody knows: they are written once.

        Args:
            lease: The right to write.
            entries: What to write, in order; at least one.
            taken: Which of the sidecar's events they are, where they come from there.

        Returns:
            The number of the last event in the event log.

        Raises:
            LeaseLost: Somebody else owns the run, or it is over; nothing was written.
            Unavailable: The database does not answer; `transaction` tells what that leaves open.
        """
        return await self._writer.write(Piece(lease, entries, taken))

    async def append_in(
        self, db: Transaction, lease: Lease, entries: Sequence[Entry], taken: Taken | None = None
    ) -> int:
        """Do what `append` does inside a transaction that does more."""
        return await self._writer.write_in(db, Piece(lease, entries, taken))

    def _written(self, piece: Piece, last: int) -> None:
        """Keep what was committed for those who follow here."""
        self.written += len(piece.entries)
        if tail := self._tails.get(piece.lease.session_id):
            first = last - len(piece.entries) + 1
            tail.add(
                [
                    Event.model_construct(
                        seq=seq, type=entry.type, text=entry.text, timestamp=entry.timestamp
                    )
                    for seq, entry in enumerate(piece.entries, first)
                ]
            )

    async def follow(self, session_id: UUID, after: int = 0) -> AsyncGenerator[Batch]:
        """Yield every event after number `after`, in order, each once, until the session is over.

        The last batch has `final` set; it is empty where there was nothing more.
        No database handle is held while waiting or while the reader works.

        Raises:
            NotFound: The session was deleted.
            Unavailable: The database does not answer; follow again from the last number.
        """
        loop = asyncio.get_running_loop()
        with self._database.bus.subscribe(f"session:{session_id}") as changes, self._tail(session_id) as tail:
            while True:
                started = loop.time()
                events = tail.after(after)
                if events:
                    batch = Batch(events, final=False, more=len(events) == PAGE)
                else:
                    batch = await self.read(session_id, after)
                if batch.events:
                    after = batch.events[-1].seq
                if batch.events or batch.final:
                    yield batch
                if batch.final:
                    return
                if not batch.more:
                    await changes.wait(SETTLED if events else LOOK_AGAIN)
                rest = self._pace - (loop.time() - started)
                if rest > 0:
                    await asyncio.sleep(rest)

    @contextmanager
    def _tail(self, session_id: UUID) -> Generator[_Tail]:
        """Have the newest events kept for as long as somebody follows."""
        tail = self._tails.setdefault(session_id, _Tail())
        tail.followers += 1
        try:
            yield tail
        finally:
            tail.followers -= 1
            if not tail.followers:
                del self._tails[session_id]

    async def read(self, session_id: UUID, after: int = 0, limit: int = PAGE) -> Batch:
        """Return the next events after number `after`, at most `limit`.

        Raises:
            NotFound: There is no such session.
        """
        async with self._database.read() as db:
            row = (
                await db.execute(
                    select(col(Session.status), col(Session.last_seq), col(Session.updated_at)).where(
                        col(Session.id) == session_id, col(Session.deleted_at).is_(None)
                    )
                )
            ).one_or_none()
            if row is None:
                raise NotFound("The session was deleted.", "session_not_found")
            events: list[Event] = []
            part = None
            over = SessionStatus(row.status) not in LIVE
            if row.last_seq > after:
                rows = await db.execute(
                    select(
                        col(SessionEvent.seq),
                        col(SessionEvent.type),
                        col(SessionEvent.text),
                        col(SessionEvent.created_at),
                    )
                    .where(col(SessionEvent.session_id) == session_id, col(SessionEvent.seq) > after)
                    .order_by(col(SessionEvent.seq))
                    .limit(limit)
                )
                events = [
                    Event.model_construct(seq=seq, type=EventType(kind), text=text, timestamp=moment)
                    for seq, kind, text, moment in rows
                ]
                if over and (not events or events[0].seq != after + 1):
                    part = await archive.part_after(db, session_id, after)
        if part is not None:
            archived = await asyncio.to_thread(_archived, part, row.last_seq, row.updated_at)
            events = [event for event in archived if event.seq > after][:limit]
        last = events[-1].seq if events else after
        if over and last >= row.last_seq:
            return Batch(events, final=True)
        return Batch(events, final=False, more=len(events) == limit or (over and bool(events)))

    async def output_text(self, session_id: UUID) -> str:
        """Return the whole plain output of a session: its `output` texts joined."""
        async with self._database.read() as db:
            rows = await db.scalars(
                select(col(SessionEvent.text))
                .where(
                    col(SessionEvent.session_id) == session_id,
                    col(SessionEvent.type) == EventType.OUTPUT.value,
                )
                .order_by(col(SessionEvent.seq))
            )
            return plain_text("".join(rows))


def _archived(part: SessionArchive, last_seq: int, moment: datetime) -> list[Event]:
    """Return the events of a part; where it is damaged, one in their place that says so."""
    try:
        return archive.unpack(part)
    except archive.Damaged as error:
        log.error(
            "the archive of session %s up to event %s is damaged: %s", part.session_id, part.last_seq, error
        )
        # A reader is done with `done`, whatever else it missed.
        kind = EventType.DONE if part.last_seq >= last_seq else EventType.ERROR
        return [Event(seq=part.last_seq, type=kind, text=archive.damaged_words(part), timestamp=moment)]
