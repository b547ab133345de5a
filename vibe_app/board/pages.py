"""Pages of lists: bounded in rows and in bytes, by number or by cursor."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.errors import InvalidRequest
from vibe_app.wire import plain_text

Item = TypeVar("Item")

PAGE_BYTES = 1 << 20
"""How much text is on one page; a page has one item in any case."""
_CURSOR_CHARS = 2000


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list, how many there are in all, and the cursor for those that follow it."""

    items: list[Item]
    total_count: int
    next: str | None = None


async def window(
    db: AsyncSession,
    where: Sequence[ColumnElement[bool]],
    order: tuple[Any, Any],
    kind: type[str] | type[float],
    size: ColumnElement[int],
    page: int,
    page_size: int,
    after: str | None = None,
) -> tuple[list[UUID], str | None]:
    """Return the ids of a page, and its cursor where more follows; no text is read for it.

    Args:
        db: Where to look.
        where: Which rows there are.
        order: What they are ordered by: something, then the id.
        kind: What that something is.
        size: How many bytes of text each has. A page ends before it would have more than `PAGE_BYTES`.
        page: Which page, from 1, each of `page_size` rows.
        page_size: How many rows at most.
        after: A cursor in place of the page's number.

    Raises:
        InvalidRequest: It is no cursor.
    """
    key, row_id = order
    query = select(row_id, key, size).where(*where).order_by(key, row_id).limit(page_size + 1)
    if after is None:
        query = query.offset((page - 1) * page_size)
    else:
        last_key, last_id = _read(after, kind)
        query = query.where(tuple_(key, row_id) > tuple_(literal(last_key), literal(last_id, row_id.type)))
    rows = (await db.execute(query)).all()
    room, taken = PAGE_BYTES, 0
    for _, _, length in rows[:page_size]:
        room -= length
        if room < 0 and taken:
            break
        taken += 1
    cursor = _write(rows[taken - 1][1], rows[taken - 1][0]) if taken < len(rows) else None
    return [row[0] for row in rows[:taken]], cursor


def _write(key: str | float, row_id: UUID) -> str:
    return urlsafe_b64encode(json.dumps([key, row_id.hex]).encode()).decode()


def _read(cursor: str, kind: type[str] | type[float]) -> tuple[Any, UUID]:
    try:
        if len(cursor) > _CURSOR_CHARS:
            raise ValueError("too long")
        key, row_id = json.loads(urlsafe_b64decode(cursor.encode()))
        if not isinstance(key, kind):
            raise TypeError("another list's")
        return plain_text(key) if isinstance(key, str) else key, UUID(row_id)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidRequest(
            "This is no cursor of this list. Send `next` of the page before as it was answered.",
            "invalid_cursor",
        ) from None
