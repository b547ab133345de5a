"""The writing side of the event log: what all runs of this replica say goes into it together.

A transaction for each line of each of many agents is more than SQLite's one
writer can take, or the processor on any database. So whatever has come while one
transaction was under way makes up the next. Each piece keeps its own fence,
cursor and answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, insert, select, update
from sqlmodel import SQLModel, col

from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.db import Database, Transaction, db_clock
from vibe_app.errors import LeaseLost, Unavailable
from vibe_app.wire import EventType, now, plain_text

GATHER = 0.02
"""Least seconds between the beginnings of two transactions."""
MOST = 5000
"""Events after which a transaction takes no further piece."""
LAST_LINE_CHARS = 300


@dataclass(frozen=True)
class Lease:
    """The right to write to one session: valid while owner and epoch stand in its row."""

    session_id: UUID
    project_id: UUID
    owner: str
    epoch: int


@dataclass(frozen=True)
class Entry:
    """Something to write into the event log; its number is given when it is written."""

    type: EventType
    text: str
    timestamp: datetime


@dataclass(frozen=True)
class Taken:
    """Which events of the sidecar a batch is: those after number `after`, up to number `upto`."""

    after: int
    upto: int


@dataclass(frozen=True)
class Piece:
    """What one run wants written: at least one entry."""

    lease: Lease
    entries: Sequence[Entry]
    taken: Taken | None = None


def fence(lease: Lease) -> ColumnElement[bool]:
    """Return the condition that every write of a run carries: the lease still holds."""
    return (
        (col(Session.id) == lease.session_id)
        & (col(Session.owner) == lease.owner)
        & (col(Session.epoch) == lease.epoch)
        & session_queries.live
    )


@dataclass(frozen=True, eq=False)
class _Waiting:
    piece: Piece
    answer: asyncio.Future[int]


class Writer:
    """Writes pieces of the runs of this replica, those that come at the same time in one transaction.

    Args:
        database: Where the event log is kept.
        lease_seconds: How far each piece extends its run's lease.
        on_written: Called after the commit, before anybody runs whom it woke, with each piece that was
            written now and the number of its last event.
    """

    def __init__(
        self, database: Database, lease_seconds: float, on_written: Callable[[Piece, int], None]
    ) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._on_written = on_written
        self._queue: list[_Waiting] = []
        self._rounds: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[list[int | None]] | None = None

    async def write(self, piece: Piece) -> int:
        """Write a piece, move its cursor and renew its lease; return the number of its last event.

        Whoever is cancelled here leaves nothing behind that would still write.

        Raises:
            LeaseLost: Somebody else owns the run, or it is over; nothing was written.
            Unavailable: The database does not answer; `transaction` tells what that leaves open.
        """
        waiting = _Waiting(piece, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._write_rounds(), name="write events")
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            elif self._writing is not None:
                await asyncio.wait({self._writing})
            raise

    async def write_in(self, db: Transaction, piece: Piece) -> int:
        """Do what `write` does inside a transaction that does more.

        Raises:
            LeaseLost: Somebody else owns the run, or it is over.
        """
        (last,) = await self._write(db, [piece], [])
        if last is None:
            raise _lost()
        return last

    async def _write_rounds(self) -> None:
        """Write what waits until nothing does."""
        clock = asyncio.get_running_loop().time
        while self._queue:
            began = clock()
            await self._answer(self._next())
            await asyncio.sleep(max(0.0, GATHER - (clock() - began)))

    def _next(self) -> list[_Waiting]:
        """Take what makes up the next transaction: of each session one piece."""
        chosen: dict[UUID, _Waiting] = {}
        left: list[_Waiting] = []
        events = 0
        for waiting in self._queue:
            session_id = waiting.piece.lease.session_id
            if events < MOST and session_id not in chosen:
                chosen[session_id] = waiting
                events += len(waiting.piece.entries)
            else:
                left.append(waiting)
        self._queue = left
        return list(chosen.values())

    async def _answer(self, group: list[_Waiting]) -> None:
        """Write a group and tell everybody in it how that went."""
        self._writing = asyncio.create_task(self._commit([waiting.piece for waiting in group]))
        try:
            await asyncio.wait({self._writing})
        finally:
            self._writing.cancel()
        error = None if self._writing.cancelled() else self._writing.exception()
        if error is not None and not isinstance(error, Unavailable) and len(group) > 1:
            # One of them is at fault; the others need not suffer for it.
            for waiting in group:
                await self._answer([waiting])
            return
        for index, waiting in enumerate(group):
            if waiting.answer.done():
                continue
            if error is not None:
                waiting.answer.set_exception(error)
            elif (last := self._writing.result()[index]) is not None:
                waiting.answer.set_result(last)
            else:
                waiting.answer.set_exception(_lost())

    async def _commit(self, pieces: list[Piece]) -> list[int | None]:
        written: list[tuple[Piece, int]] = []
        async with self._database.transaction() as db:
            answers = await self._write(db, pieces, written)
        # Nothing is awaited between the commit and this, so whoever it woke finds the events.
        for piece, last in written:
            self._on_written(piece, last)
        return answers

    async def _write(
        self, db: Transaction, pieces: list[Piece], written: list[tuple[Piece, int]]
    ) -> list[int | None]:
        """Write the pieces whose fence and cursor allow it, and note these in `written`.

        Returns:
            For each the number of its last event; None where its lease does not hold any more.
        """
        rows = {
            row.id: row for row in await db.execute(_locked([piece.lease.session_id for piece in pieces]))
        }
        answers: list[int | None] = []
        moves: list[dict[str, object]] = []
        events: list[dict[str, object]] = []
        for piece in pieces:
            lease, entries, taken = piece.lease, piece.entries, piece.taken
            row = rows.get(lease.session_id)
            if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
                answers.append(None)
                continue
            if taken is not None and row.cursor != taken.after:
                # An earlier try whose outcome nobody knew has written it after all, or else another cursor.
                answers.append(row.last_seq if row.cursor == taken.upto else None)
                continue
            moves.append(
                {
                    "the_session": lease.session_id,
                    "the_owner": lease.owner,
                    "the_epoch": lease.epoch,
                    "upto": row.last_seq + len(entries),
                    "taken": row.cursor if taken is None else taken.upto,
                    "line": _last_line(entries) or row.last_line,
                    "moment": entries[-1].timestamp,
                }
            )
            events += _rows(lease, entries, row.last_seq + 1)
            answers.append(row.last_seq + len(entries))
            written.append((piece, row.last_seq + len(entries)))
            db.announce(f"session:{lease.session_id}", f"activity:{lease.project_id}")
        if moves:
            same = {"updated": now(), "lease": self._lease_seconds}
            await db.execute(_MOVE, [move | same for move in moves])
            await db.execute(insert(SessionEvent), events)
        return answers


_sessions = SQLModel.metadata.tables["sessions"]
_MOVE = (
    update(_sessions)
    .where(
        _sessions.c.id == bindparam("the_session"),
        _sessions.c.owner == bindparam("the_owner"),
        _sessions.c.epoch == bindparam("the_epoch"),
    )
    .values(
        last_seq=bindparam("upto"),
        cursor=bindparam("taken"),
        last_line=bindparam("line"),
        last_event_at=bindparam("moment"),
        updated_at=bindparam("updated"),
        heard_at=db_clock(),
        lease_until=db_clock() + bindparam("lease"),
    )
)


def _locked(session_ids: Sequence[UUID]):
    """Select live sessions, locked until the end of the transaction, always in one order: so nobody waits for
    somebody who waits for him."""
    return (
        select(
            col(Session.id),
            col(Session.owner),
            col(Session.epoch),
            col(Session.cursor),
            col(Session.last_seq),
            col(Session.last_line),
        )
        .where(col(Session.id).in_(session_ids), session_queries.live)
        .order_by(col(Session.id))
        .with_for_update(key_share=True)
    )


def _rows(lease: Lease, entries: Sequence[Entry], first: int) -> list[dict[str, object]]:
    return [
        {
            "session_id": lease.session_id,
            "seq": seq,
            "type": entry.type.value,
            "text": entry.text,
            "created_at": entry.timestamp,
        }
        for seq, entry in enumerate(entries, first)
    ]


def _lost() -> LeaseLost:
    return LeaseLost("This run belongs to somebody else now, or is over.")


def _last_line(entries: Sequence[Entry]) -> str:
    """Return the last line with something on it, for the card."""
    for entry in reversed(entries):
        lines = plain_text(entry.text).splitlines()
        # What begins is named by its first line: a command may have several.
        for line in lines if entry.type is EventType.STATUS else reversed(lines):
            if line.strip():
                return line.strip()[:LAST_LINE_CHARS]
    return ""
