"""The database by itself: one commit, announced after it and never else; faults in a sentence.

Both kinds must do the same; what only one of them can do wrong is named after it.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import threading
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.conftest import BOTH, SQLITE
from tests.waiting import eventually
from vibe_app.db import Database, UtcDateTime, db_clock
from vibe_app.errors import Conflict, Unavailable

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("at", UtcDateTime))


sqlite_only = pytest.mark.parametrize("database_kind", [SQLITE])


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.fixture
async def database(empty_database: str) -> AsyncIterator[Database]:
    database = Database(empty_database)
    async with database.transaction() as db:
        await (await db.connection()).run_sync(notes.metadata.create_all)
    yield database
    await database.close()


async def ids(database: Database) -> list[int]:
    async with database.read() as db:
        return list(await db.scalars(select(notes.c.id).order_by(notes.c.id)))


async def add(database: Database, number: int, *topics: str, error: Exception | None = None) -> None:
    """Insert a row; raise `error` instead of letting that be committed."""
    async with database.transaction() as db:
        await db.execute(insert(notes).values(id=number))
        db.announce(*topics)
        if error:
            raise error


async def test_a_transaction_is_done_whole_and_announced_after_it_is_done(database: Database) -> None:
    seen_early: list[set[str]] = []
    with database.bus.subscribe("one", "two", "three") as changes:
        async with database.transaction() as db:
            await db.execute(insert(notes).values(id=1))
            db.announce("one", "two")
            db.announce("one")
            seen_early.append(await changes.wait(0))
        assert await changes.wait(0) == {"one", "two"}
    assert seen_early == [set()]
    assert await ids(database) == [1]


async def test_a_transaction_that_fails_changes_and_announces_nothing(database: Database) -> None:
    with database.bus.subscribe("one") as changes:
        with pytest.raises(Conflict):
            await add(database, 1, "one", error=Conflict("No."))
        assert await changes.wait(0) == set()
    assert await ids(database) == []
    await add(database, 2)
    assert await ids(database) == [2]


async def test_faults_of_ours_stay_what_they_are(database: Database) -> None:
    await add(database, 1)
    with pytest.raises(IntegrityError):
        await add(database, 1)
    with pytest.raises(ProgrammingError):
        async with database.read() as db:
            await (await db.connection()).exec_driver_sql("SELECT ?", ())


@sqlite_only
async def test_sqlite_waits_for_a_writer_of_another_process(tmp_path: Path, database: Database) -> None:
    other = sqlite3.connect(tmp_path / "empty.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(add(database, 1))
    assert await ids(database) == [], "readers are not kept waiting"
    other.execute("INSERT INTO notes (id) VALUES (7)")
    other.execute("COMMIT")
    other.close()
    await waiting
    assert await ids(database) == [1, 7]


@sqlite_only
async def test_sqlite_that_is_busy_says_so(tmp_path: Path, database: Database) -> None:
    other = sqlite3.connect(tmp_path / "empty.db", isolation_level=None)
    async with database.transaction() as db:
        await db.execute(text("PRAGMA busy_timeout = 20"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="busy: nothing was changed") as raised:
        await add(database, 1)
    assert raised.value.code == "database_unavailable"
    other.execute("ROLLBACK")
    other.close()
    await add(database, 1)


@sqlite_only
async def test_sqlite_on_a_full_disk_says_so(database: Database) -> None:
    async with database.transaction() as db:
        used = await db.scalar(text("PRAGMA page_count"))
        await db.execute(text(f"PRAGMA max_page_count = {used}"))
    with database.bus.subscribe("one") as changes:
        with pytest.raises(Unavailable, match="disk is full: nothing was changed"):
            await fill(database)
        assert await changes.wait(0) == set()
    await add(database, 1)
    assert await ids(database) == [1], "what fits is still written"


async def fill(database: Database) -> None:
    async with database.transaction() as db:
        db.announce("one")
        await db.execute(text("CREATE TABLE more (x)"))


async def test_sqlite_that_is_not_there(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    for use in (database.transaction, database.read):
        with pytest.raises(Unavailable, match="does not answer"):
            async with use() as db:
                await db.execute(text("SELECT 1"))
    with pytest.raises(Unavailable):
        await database.ping()
    await database.close()
    # The driver ends its threads in the background after a failed connection, and they need this loop.
    await eventually(lambda: set(threading.enumerate()) <= before)


async def test_readers_see_one_moment(database: Database) -> None:
    await add(database, 1)
    async with database.read() as db:
        first = list(await db.scalars(select(notes.c.id)))
        await add(database, 2)
        assert list(await db.scalars(select(notes.c.id))) == first == [1]


async def test_writers_who_ask_for_it_take_turns(database: Database) -> None:
    async def increase() -> None:
        async with database.transaction() as db:
            await database.lock_queue(db)
            highest = await db.scalar(text("SELECT max(id) FROM notes")) or 0
            await asyncio.sleep(0)
            await db.execute(insert(notes).values(id=highest + 1))

    await asyncio.gather(*(increase() for _ in range(30)))
    assert await ids(database) == list(range(1, 31))


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_point_it_is_done_or_not_and_the_next_one_goes_on(
    database: Database, steps: int
) -> None:
    """One more turn of the loop each time, from before the first statement to after the commit."""
    adding = asyncio.create_task(add(database, 1, "one"))
    for _ in range(steps):
        await asyncio.sleep(0.0005)
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    async with asyncio.timeout(5):
        await add(database, 2)
    assert await ids(database) in ([2], [1, 2])


async def test_whoever_is_cancelled_gives_the_lock_back(database: Database) -> None:
    """At once, and not when the garbage is collected: readers who leave cancel their requests all day."""
    chance = random.Random(7)

    async def write() -> None:
        while True:
            async with database.transaction() as db:
                await db.execute(update(notes).where(notes.c.id == 0).values(at=None))
                await db.execute(insert(notes), [{"at": None} for _ in range(5)])
            await asyncio.sleep(chance.random() * 0.002)

    gc.disable()
    try:
        for _ in range(80):
            writers = [asyncio.create_task(write()) for _ in range(3)]
            await asyncio.sleep(chance.random() * 0.03)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            async with asyncio.timeout(5), database.transaction() as db:
                await db.execute(update(notes).values(at=None))
    finally:
        gc.enable()


async def test_a_connection_that_came_back_amid_a_statement_is_replaced(
    database: Database,
) -> None:
    """So it is left by who is cancelled, where the server does not hear of that in time."""
    async with database.transaction() as db:
        raw = await (await db.connection()).get_raw_connection()
        driver: Any = raw.driver_connection
    if not database.sqlite:
        driver.pgconn.send_query(b"SELECT pg_sleep(60)")
    async with asyncio.timeout(10), database.transaction() as db:
        await db.execute(update(notes).values(at=None))
    if not database.sqlite:
        assert driver.closed


async def test_whoever_is_cancelled_while_a_connection_is_made_leaves_none_open(database: Database) -> None:
    """A connection that is forgotten open stays so until the garbage is collected, which warns of it."""
    gc.collect()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for number in range(100):
            other = Database(database.url)
            reading = asyncio.create_task(ids(other))
            await asyncio.sleep(number * 0.0001)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await other.close()
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


async def test_who_still_reads_when_it_is_closed_leaves_nothing_open(database: Database) -> None:
    other = Database(database.url)
    gc.collect()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with other.read() as db:
            await db.execute(select(notes))
            await other.close()
            await db.execute(select(notes))
        with pytest.raises(Unavailable, match="being stopped"):
            await ids(other)
        del other, db
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


@pytest.mark.parametrize("turns", range(6))
def test_whoever_is_cancelled_just_before_it_is_closed_leaves_nothing_open(
    empty_database: str, turns: int
) -> None:
    """The loop ends with what closes it, as a test's does: nobody would give the connection back."""

    async def end() -> None:
        other = Database(empty_database)
        inside = asyncio.Event()

        async def use() -> None:
            async with other.read() as db:
                await db.execute(text("SELECT 1"))
                inside.set()
                await asyncio.Event().wait()

        using = asyncio.create_task(use())
        if turns:
            for _ in range(turns):
                await asyncio.sleep(0)  # so many steps into making a connection
        else:
            await inside.wait()
        using.cancel()
        await other.close()

    gc.collect()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(end())
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


async def test_many_rows_are_no_pipeline_which_postgresql_would_wait_for(
    database: Database, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It undoes the transaction of a frozen replica between two statements, and not in a pipeline."""
    if database_kind != SQLITE:
        monkeypatch.setattr("psycopg.AsyncCursor.executemany", None)
    async with database.transaction() as db:
        await db.execute(insert(notes), [{"id": number} for number in range(1, 6)])
        await db.execute(
            text("UPDATE notes SET id = :new WHERE id = :old"), [{"old": 1, "new": 10}, {"old": 2, "new": 20}]
        )
    assert await ids(database) == [3, 4, 5, 10, 20]


async def test_whoever_is_cancelled_after_the_commit_has_announced_it(database: Database) -> None:
    """The commit may have been done: a listener must not sleep through it."""
    with database.bus.subscribe("one") as changes:
        for number in range(40):
            adding = asyncio.create_task(add(database, number, "one"))
            await asyncio.sleep(number * 0.0001)
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)
            heard = await changes.wait(0)
            if number in await ids(database):
                assert heard == {"one"}


async def test_moments_come_back_as_they_went_in(database: Database) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 123456, timezone(timedelta(hours=5, minutes=30)))
    async with database.transaction() as db:
        await db.execute(insert(notes).values(id=1, at=moment))
        await db.execute(insert(notes).values(id=2, at=None))
    async with database.read() as db:
        known, unknown = await db.scalars(select(notes.c.at).order_by(notes.c.id))
    assert known == moment
    assert known.tzinfo is UTC
    assert unknown is None


async def test_the_clock_of_the_database(database: Database) -> None:
    async with database.read() as db:
        clock = await db.scalar(select(db_clock()))
    assert clock == pytest.approx(datetime.now(UTC).timestamp(), abs=2)
