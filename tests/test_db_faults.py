"""PostgreSQL cut off, away, full or in dispute in the middle of a use: a sentence, and then it goes on."""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from psycopg import AsyncConnection, IsolationLevel
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text, update
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.conftest import POSTGRESQL
from tests.postgres import Server
from tests.waiting import eventually
from vibe_app.db import Database
from vibe_app.errors import Conflict, Unavailable

notes = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", String(9)))


@pytest.fixture
def database_kind() -> str:
    """What SQLite can do wrong stands in `test_db`."""
    return POSTGRESQL


@pytest.fixture
async def database(empty_database: str) -> AsyncIterator[Database]:
    database = Database(empty_database)
    async with database.transaction() as db:
        await (await db.connection()).run_sync(notes.metadata.create_all)
        await db.execute(insert(notes), [{"id": 1}, {"id": 2}])
    yield database
    await database.close()


async def ids(database: Database) -> list[int]:
    async with database.read() as db:
        return list(await db.scalars(select(notes.c.id).order_by(notes.c.id)))


async def cut(database: Database, db: AsyncSession) -> None:
    """End the connection of `db` from the side of the server."""
    pid = await db.scalar(text("SELECT pg_backend_pid()"))
    async with database.transaction() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def cut_in_a_transaction(database: Database) -> None:
    async with database.transaction() as db:
        await db.execute(insert(notes).values(id=3))
        db.announce("one")
        await cut(database, db)
        await db.execute(insert(notes).values(id=4))


async def cut_before_the_commit(database: Database) -> None:
    async with database.transaction() as db:
        await db.execute(insert(notes).values(id=3))
        await cut(database, db)


async def cut_in_a_reading(database: Database) -> None:
    async with database.read() as db:
        await cut(database, db)
        await db.execute(select(notes))


@pytest.mark.parametrize("use", [cut_in_a_transaction, cut_before_the_commit, cut_in_a_reading])
async def test_a_connection_that_is_cut(
    database: Database, use: Callable[[Database], Awaitable[None]]
) -> None:
    with pytest.raises(Unavailable, match="does not answer") as raised:
        await use(database)
    assert raised.value.code == "database_unavailable"
    assert await ids(database) == [1, 2]


async def refused_on_a_cut_connection(database: Database) -> None:
    async with database.transaction() as db:
        await cut(database, db)
        raise Conflict("No.")


async def refused_in_a_cut_reading(database: Database) -> None:
    async with database.read() as db:
        await cut(database, db)
        raise Conflict("No.")


@pytest.mark.parametrize("use", [refused_on_a_cut_connection, refused_in_a_cut_reading])
async def test_what_was_refused_stays_refused(
    database: Database, use: Callable[[Database], Awaitable[None]]
) -> None:
    for _ in range(25):  # more often than there are connections: none of them is lost
        with pytest.raises(Conflict, match="No"):
            await use(database)
    assert await ids(database) == [1, 2]


async def test_connections_that_were_cut_while_nobody_used_them(database: Database) -> None:
    """Nobody notices: each is tried before it is given out."""
    await asyncio.gather(*(ids(database) for _ in range(5)))
    async with database.transaction() as db:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        await db.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"))
    assert await asyncio.gather(*(ids(database) for _ in range(5))) == [[1, 2]] * 5


async def test_a_server_that_is_away_and_comes_back(database: Database, postgres_server: Server) -> None:
    await ids(database)
    await asyncio.to_thread(postgres_server.control, "stop", "-m", "immediate")
    try:
        for use in (cut_in_a_transaction, cut_in_a_reading):
            with pytest.raises(Unavailable, match="does not answer"):
                await use(database)
        with pytest.raises(Unavailable):
            await database.ping()
    finally:
        await asyncio.to_thread(postgres_server.control, "start")
    assert await ids(database) == [1, 2]


async def test_a_server_that_is_not_there_at_all() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="does not answer"):
        await database.ping()
    await database.close()


async def test_of_two_who_wait_for_each_other_one_is_told(database: Database) -> None:
    met = asyncio.Barrier(2)

    async def both(first: int, second: int) -> None:
        async with database.transaction() as db:
            await db.execute(update(notes).where(notes.c.id == first).values(text=f"{first}"))
            await met.wait()
            await db.execute(update(notes).where(notes.c.id == second).values(text=f"{first}"))

    outcomes = await asyncio.gather(both(1, 2), both(2, 1), return_exceptions=True)
    (error,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(error, Unavailable)
    assert "busy: nothing was changed" in error.message
    async with database.read() as db:
        assert len(set(await db.scalars(select(notes.c.text)))) == 1, "the other one did both"


async def test_a_full_disk_says_so(database: Database) -> None:
    raising = "DO $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$"
    with pytest.raises(Unavailable, match="disk is full: nothing was changed"):
        async with database.transaction() as db:
            await db.execute(text(raising))


@pytest.mark.parametrize("value", ["a\0b", "0123456789"])
async def test_what_the_database_cannot_keep_is_a_fault_of_ours(database: Database, value: str) -> None:
    """Rooms clean what they are given; were one to forget, nobody would be told to try again."""
    with pytest.raises(DataError):
        async with database.transaction() as db:
            await db.execute(insert(notes).values(id=3, text=value))


async def test_a_reading_writes_nothing(database: Database) -> None:
    with pytest.raises(Exception, match="read-only transaction"):
        async with database.read() as db:
            await db.execute(insert(notes).values(id=3))
    async with database.transaction() as db:
        await db.execute(insert(notes).values(id=3))


async def test_whoever_is_cancelled_leaves_no_transaction_open(database: Database) -> None:
    chance = random.Random(7)

    async def write() -> None:
        while True:
            async with database.transaction() as db:
                await db.execute(update(notes).where(notes.c.id == 1).values(text="x"))
                await db.execute(text("SELECT pg_sleep(0.002)"))

    gc.disable()
    try:
        for _ in range(20):
            writers = [asyncio.create_task(write()) for _ in range(3)]
            await asyncio.sleep(chance.random() * 0.03)
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)
            async with asyncio.timeout(5), database.transaction() as db:
                await db.execute(update(notes).values(text="y"))
    finally:
        gc.enable()

    async def none_open() -> bool:
        async with database.read() as db:
            query = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
            return await db.scalar(text(query)) == 0

    await eventually(none_open)


async def test_whoever_reads_has_a_connection_before_another_can_take_it(tmp_path: Path) -> None:
    """Else one would be made at the first statement, and forgotten where its user is cancelled meanwhile."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/notes.db")
    asked: list[str] = []
    connect = aiosqlite.core.Connection._connect  # pyright: ignore[reportPrivateUsage]

    async def counted(self: aiosqlite.Connection) -> aiosqlite.Connection:
        asked.append("connect")
        return await connect(self)

    try:
        await database.ping()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aiosqlite.core.Connection, "_connect", counted)
            async with database.read() as first:
                assert asked == []
                async with database.read() as second:
                    assert asked == ["connect"]
                    await second.execute(text("SELECT 1"))
                    await first.execute(text("SELECT 1"))
            assert asked == ["connect"]
    finally:
        await database.close()


async def test_whoever_is_cancelled_while_a_connection_is_prepared_gives_it_back(
    database: Database, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a busy process the driver lets others go first (`psycopg.waiting`), though it waits for nothing."""
    preparing = asyncio.Event()
    prepare = AsyncConnection[Any].set_isolation_level

    async def let_others_go_first(self: AsyncConnection[Any], value: IsolationLevel | None) -> None:
        preparing.set()
        await asyncio.sleep(0)
        await prepare(self, value)

    other = Database(empty_database)
    await ids(other)
    gc.collect()
    monkeypatch.setattr(AsyncConnection, "set_isolation_level", let_others_go_first)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        reading = asyncio.create_task(ids(other))
        await preparing.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert reading.cancelled()
        await other.close()
        del reading
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


async def test_who_falls_silent_in_mid_transaction_does_not_hold_the_others_up(
    database: Database, empty_database: str
) -> None:
    other = Database(empty_database)
    change = update(notes).where(notes.c.id == 1)

    async def fall_silent() -> None:
        async with database.transaction() as silent:
            await silent.execute(change.values(text="silent"))
            # A replica that is frozen here says nothing more until it wakes up.
            async with asyncio.timeout(20), other.transaction() as db:
                await db.execute(change.values(text="other"))

    try:
        with pytest.raises(Unavailable):
            await fall_silent()
        async with database.read() as db:
            assert await db.scalar(select(notes.c.text).where(notes.c.id == 1)) == "other"
    finally:
        await other.close()
