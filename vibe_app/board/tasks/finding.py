"""Cards of all of somebody's projects, found by a word of their title or by their number."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, select
from sqlmodel import col

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.keys import key_of, ref_of
from vibe_app.board.projects.models import Project
from vibe_app.board.projects.queries import visible_to
from vibe_app.board.tasks.models import Task, shown
from vibe_app.db import Database, contains
from vibe_app.schema import View
from vibe_app.wire import plain_text

_NUMBER = re.compile(r"(?:#|([A-Za-z]{2,5})-)?([0-9]{1,9})")
_CHARS = 200
"""Characters of a text that are looked for: no title has more."""


class FoundCard(View):
    """A card, and whose it is."""

    id: UUID
    project_id: UUID
    project: str
    ref: str
    title: str
    status: TaskStatus


class Finding:
    """Finds cards.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cards(
        self, actor: Actor, text: str, near: UUID | None = None, limit: int = 8
    ) -> list[FoundCard]:
        """Return cards whose title contains a text, or whose number it is, as `14`, `#14` or `CAL-14`.

        Args:
            actor: Who asks; only cards that they may see are found.
            text: Empty for any card.
            near: A project whose cards come first; in it, as elsewhere, the one that changed last.
            limit: How many at most.
        """
        words = plain_text(text).strip()[:_CHARS]
        query = (
            select(
                col(Task.id),
                col(Task.project_id),
                col(Project.name),
                col(Project.key),
                col(Task.number),
                col(Task.title),
                col(Task.status),
            )
            .join(Project, col(Project.id) == col(Task.project_id))
            .where(shown, *visible_to(actor))
        )
        if words:
            query = query.where(_named(words))
        first = case((col(Task.project_id) == near, 0), else_=1)
        query = query.order_by(first, col(Task.updated_at).desc(), col(Task.id)).limit(limit)
        async with self._database.read() as db:
            rows = await db.execute(query)
            return [_found(row) for row in rows]


def _named(words: str) -> ColumnElement[bool]:
    """Return whether a card's title contains the words, or they are its name."""
    found = contains(col(Task.title), words)
    number = _NUMBER.fullmatch(words)
    if number is None:
        return found
    named = col(Task.number) == int(number[2])
    if number[1]:
        # A project that an older server has made has no key of its own yet.
        named &= col(Project.key).is_(None) | (col(Project.key) == number[1].upper())
    return found | named


def _found(row: Any) -> FoundCard:
    ref = ref_of(row.key or key_of(row.name), row.number)
    return FoundCard(
        id=row.id, project_id=row.project_id, project=row.name, ref=ref, title=row.title, status=row.status
    )
