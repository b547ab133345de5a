"""Databases that fail in one way each; everything else about them is the real thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.db import Database, Transaction
from vibe_app.errors import Unavailable


class DatabaseAwayForAWhile(Database):
    """Refuses its next `times` uses; `refused` counts them."""

    times = 0
    refused = 0

    def _refuse(self) -> None:
        if self.times > 0:
            self.times -= 1
            self.refused += 1
            raise Unavailable("The database does not answer. Try again in a moment.", "database_unavailable")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._refuse()
        async with super().transaction() as db:
            yield db

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        self._refuse()
        async with super().read() as db:
            yield db


class DatabaseThatDoesNotSayWhetherItCommitted(Database):
    """Commits and then fails, each `every`-th time: the connection broke before the answer came."""

    every = 0
    commits = 0
    unanswered = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with super().transaction() as db:
            yield db
        self.commits += 1
        if self.every and self.commits % self.every == 0:
            self.unanswered += 1
            raise Unavailable("The database does not answer. Try again in a moment.", "database_unavailable")


class DatabaseOnASmallDisk(Database):
    """Has room for little more once `fill` was called, until `free`.

    PostgreSQL cannot be given a small disk from within: there the first new row
    meets the error with which it reports a full one.
    """

    async def fill(self, pages: int) -> None:
        """Leave room for `pages` more pages on SQLite, for none on PostgreSQL."""
        async with self.transaction() as db:
            if self.sqlite:
                used = await db.scalar(text("PRAGMA page_count"))
                await db.execute(text(f"PRAGMA max_page_count = {(used or 0) + pages}"))
                return
            await db.execute(text(_NO_SPACE))
            for table in _GROWING:
                await db.execute(
                    text(f"CREATE TRIGGER disk BEFORE INSERT ON {table} EXECUTE FUNCTION no_space()")
                )

    async def free(self) -> None:
        """Make room again."""
        async with self.transaction() as db:
            if self.sqlite:
                await db.execute(text("PRAGMA max_page_count = 1000000"))
                return
            for table in _GROWING:
                await db.execute(text(f"DROP TRIGGER disk ON {table}"))


_GROWING = ("session_events", "tasks")
_NO_SPACE = """
CREATE OR REPLACE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$
"""


class CountedDatabase(Database):
    """Counts the statements that reach it, but for the ends of transactions."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.statements: list[str] = []
        for engine in {self._writer, self._reader}:
            event.listen(engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            self.statements.append(statement)
