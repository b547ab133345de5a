"""The bus across replicas on a real PostgreSQL: heard soon, once, after the commit, and found again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from tests.conftest import POSTGRESQL
from tests.postgres import Server
from tests.waiting import eventually
from vibe_app.db import Database
from vibe_app.errors import Conflict
from vibe_app.notify import CHANNEL, LONGEST, Replicas

SOON = 1.0
"""Seconds within which a change on one replica must be known on the other."""


@pytest.fixture
def database_kind() -> str:
    """SQLite has one process and nobody to tell."""
    return POSTGRESQL


async def opened(url: str) -> Database:
    """A replica's database that listens by now: with each connect it wakes everyone."""
    database = Database(url)
    with database.bus.subscribe("anything") as changes:
        await database.open()
        assert await changes.wait(10) == {"anything"}
    return database


@pytest.fixture
async def here(empty_database: str) -> AsyncIterator[Database]:
    """One replica."""
    database = await opened(empty_database)
    yield database
    await database.close()


@pytest.fixture
async def there(empty_database: str) -> AsyncIterator[Database]:
    """The other."""
    database = await opened(empty_database)
    yield database
    await database.close()


async def announce(database: Database, *topics: str, error: Exception | None = None) -> None:
    """Announce topics in a transaction of their own; raise `error` instead of letting that be committed."""
    async with database.transaction() as db:
        db.announce(*topics)
        if error:
            raise error


async def send(database: Database, payload: str) -> None:
    """Send a message that does not come from `announce`."""
    async with database.transaction() as db:
        await db.execute(text("SELECT pg_notify(:name, :payload)"), {"name": CHANNEL, "payload": payload})


async def listener(database: Database) -> int:
    """The process of the server that keeps the one listener's connection."""
    async with database.read() as db:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        (pid,) = await db.scalars(text(query))
    return pid


async def test_what_one_announces_the_other_hears(here: Database, there: Database) -> None:
    for speaker, hearer in ((here, there), (there, here)):
        with hearer.bus.subscribe("one", "two", "three") as changes:
            await announce(speaker, "one", "two", "four")
            assert await changes.wait(SOON) == {"one", "two"}


async def test_after_the_commit_and_not_before(here: Database, there: Database) -> None:
    with there.bus.subscribe("one", "marker") as changes:
        async with here.transaction() as db:
            db.announce("one")
            await db.execute(text("SELECT 1"))
            await announce(there, "marker")
            assert await changes.wait(SOON) == {"marker"}
        assert await changes.wait(SOON) == {"one"}


async def test_what_is_undone_is_not_announced(here: Database, there: Database) -> None:
    with there.bus.subscribe("one", "marker") as changes:
        with pytest.raises(Conflict):
            await announce(here, "one", error=Conflict("No."))
        await announce(here, "marker")
        assert await changes.wait(SOON) == {"marker"}


async def test_ones_own_messages_are_not_heard_twice(here: Database, there: Database) -> None:
    with here.bus.subscribe("one", "marker") as changes:
        await announce(here, "one")
        assert await changes.wait(0) == {"one"}, "at once, without a way round"
        await announce(there, "marker")
        # Messages come in the order of their commits: its own would have been here by now.
        assert await changes.wait(SOON) == {"marker"}


async def test_more_topics_than_one_message_carries(here: Database, there: Database) -> None:
    topics = {f"session:{number:036}" for number in range(1000)} | {"é" * 1000, '"' * 3000}
    assert sum(map(len, topics)) > 4 * LONGEST
    with there.bus.subscribe(*topics) as changes:
        await announce(here, *topics)
        heard: set[str] = set()
        async with asyncio.timeout(SOON):
            while heard != topics:
                heard |= await changes.wait()


async def test_rubbish_is_passed_over(here: Database, there: Database) -> None:
    with there.bus.subscribe("a", "b", "marker") as changes:
        for payload in (
            "",
            "rubbish",
            "{",
            "5",
            "null",
            "[]",
            "[[]]",
            '{"a": 1}',
            '["x", 5, ["b"]]',
            "[" * 7000,
        ):
            await send(here, payload)
        await announce(here, "marker")
        assert await changes.wait(SOON) == {"marker"}, "and nobody was woken by a new start of the listener"


async def test_a_server_that_is_started_again(
    here: Database, there: Database, postgres_server: Server
) -> None:
    with here.bus.subscribe("one") as mine, there.bus.subscribe("one") as theirs:
        await asyncio.to_thread(postgres_server.control, "restart", "-m", "immediate")
        assert await mine.wait(10) == {"one"}, "something may have been missed"
        assert await theirs.wait(10) == {"one"}
        await announce(here, "one")
        assert await theirs.wait(SOON) == {"one"}


async def test_a_server_that_stays_away_for_a_while(
    here: Database, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with here.bus.subscribe("one") as changes:
        await asyncio.to_thread(postgres_server.control, "stop", "-m", "fast")
        try:
            await eventually(lambda: caplog.text.count("not heard for a moment") >= 3)
            assert await changes.wait(0) == set()
        finally:
            await asyncio.to_thread(postgres_server.control, "start")
        assert await changes.wait(10) == {"one"}


async def test_a_connection_that_is_cut(here: Database) -> None:
    with here.bus.subscribe("one") as changes:
        async with here.transaction() as db:
            await db.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": await listener(here)})
        assert await changes.wait(10) == {"one"}


async def test_a_listener_that_breaks_is_started_again(
    here: Database, empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[set[str]] = []
    connects: list[None] = []

    def publish(topics: set[str]) -> None:
        if "poison" in topics:
            raise ZeroDivisionError("nobody thought of this")
        heard.append(topics)

    replicas = Replicas(empty_database, publish, lambda: connects.append(None))
    replicas.open()
    try:
        await eventually(lambda: len(connects) == 1)
        await announce(here, "poison")
        await eventually(lambda: len(connects) == 2)
        await announce(here, "one")
        await eventually(lambda: heard == [{"one"}])
    finally:
        await replicas.close()
    assert "nobody thought of this" in caplog.text
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


async def test_nothing_is_left_after_closing(empty_database: str, here: Database) -> None:
    tasks = asyncio.all_tasks()
    database = await opened(empty_database)
    await database.ping()
    await database.close()
    assert asyncio.all_tasks() == tasks

    async def gone() -> bool:
        async with here.read() as db:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return await db.scalar(text(query)) == 2  # the listener of `here`, and this question

    await eventually(gone)


async def test_closing_while_the_server_is_not_there() -> None:
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    tasks = asyncio.all_tasks()
    await database.open()
    await asyncio.sleep(0)
    await database.close()
    assert asyncio.all_tasks() == tasks
