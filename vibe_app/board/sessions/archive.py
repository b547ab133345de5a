"""Old output, compressed: its form, and how it is read back. When it is written is `runs/archive.py`.

A part holds the events of one portion as lines of JSON behind zlib. On real diffs zstd packs as
tight (3.6 to 1) in a fifth of the time; zlib comes with Python, and a daily job is in no hurry.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.sessions.models import SessionArchive
from vibe_app.wire import Event, EventType

CODEC = "zlib"
BEGINNING = 1000
"""Characters of an archived session's output that stay in its row: what lists show of it."""

_LEVEL = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# What zlib, UTF-8, JSON, the shape of a line, an event's type and a moment can be wrong about.
_FAULTS = (zlib.error, ValueError, TypeError, OverflowError)


class Damaged(Exception):
    """An archive that cannot be read back."""


def pack(events: Iterable[Event]) -> bytes:
    """Compress events so that `unpack` gives back the same."""
    lines = (
        json.dumps(
            [event.seq, event.type.value, (event.timestamp - _EPOCH) // _TICK, event.text],
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for event in events
    )
    return pack_text("\n".join(lines))


def pack_text(text: str) -> bytes:
    """Compress a text so that `unpack_text` gives back the same."""
    return zlib.compress(text.encode(), _LEVEL)


def unpack(part: SessionArchive) -> list[Event]:
    """Return the events of a part.

    Raises:
        Damaged: They cannot be read.
    """
    try:
        return [
            Event.model_construct(
                seq=int(seq), type=EventType(kind), text=str(text), timestamp=_EPOCH + ticks * _TICK
            )
            for seq, kind, ticks, text in map(json.loads, unpack_text(part).split("\n"))
        ]
    except _FAULTS as error:
        raise Damaged(str(error)) from error


def unpack_text(part: SessionArchive) -> str:
    """Return the text of a part.

    Raises:
        Damaged: It cannot be read.
    """
    if part.codec != CODEC:
        raise Damaged(f"unknown codec {part.codec}")
    try:
        return zlib.decompress(part.data).decode()
    except _FAULTS as error:
        raise Damaged(str(error)) from error


def damaged_words(part: SessionArchive) -> str:
    """Say that a part cannot be read."""
    return (
        f"The output of this run up to event {part.last_seq} cannot be read any more: its archive in the "
        "database is damaged. Restore the database from a backup to get it back."
    )


def output_of(parts: Sequence[SessionArchive]) -> str:
    """Return the plain output of an archived session; a damaged part is replaced by a sentence.

    Args:
        parts: All of them, in order.
    """
    if parts and parts[0].last_seq == 0:
        try:
            return unpack_text(parts[0])
        except Damaged:
            parts = parts[1:]
    # Joined before the colours are taken out, since a sequence may begin in one event and end in the next.
    return _COLOUR.sub("", "".join(map(_raw_output, parts)))


def _raw_output(part: SessionArchive) -> str:
    try:
        events = unpack(part)
    except Damaged:
        return f"[{damaged_words(part)}]\n"
    return "".join(event.text for event in events if event.type is EventType.OUTPUT)


async def part_after(db: AsyncSession, session_id: UUID, after: int) -> SessionArchive | None:
    """Return the part that holds the next event after number `after`, if that is archived."""
    return await db.scalar(
        select(SessionArchive)
        .where(col(SessionArchive.session_id) == session_id, col(SessionArchive.last_seq) > after)
        .order_by(col(SessionArchive.last_seq))
        .limit(1)
    )


async def outputs(db: AsyncSession, session_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the plain output of each of these archived sessions."""
    parts: dict[UUID, list[SessionArchive]] = {session_id: [] for session_id in session_ids}
    rows = await db.scalars(
        select(SessionArchive)
        .where(col(SessionArchive.session_id).in_(parts))
        .order_by(col(SessionArchive.session_id), col(SessionArchive.last_seq))
    )
    for part in rows:
        parts[part.session_id].append(part)
    return await asyncio.to_thread(lambda: {key: output_of(found) for key, found in parts.items()})
