"""What many runs say goes into the logged together, and each of them gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import insert

from tests.conftest import BOTH, POSTGRESQL
from tests.runs.databases import DatabaseThatDoesNotSayWhetherItCommitted
from tests.runs.rig import Rig, rigged, texts
from tests.waiting import eventually
from vibe_app.board.sessions.models import SessionEvent
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.db import Transaction
from vibe_app.errors import LeaseLost, Unavailable
from vibe_app.runs.queue import Queue
from vibe_app.runs.writer import Entry, Lease, Taken
from vibe_app.settings import Settings
from vibe_app.wire import EventType, now

RUNS = 12


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


class CommittingDatabase(DatabaseThatDoesNotSayWhetherItCommitted):
    """Counts its commits, and holds them back while `may_commit` is not set."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun, self.may_commit = asyncio.Event(), asyncio.Event()
        self.may_commit.set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with super().transaction() as db:
            yield db
            self.begun.set()
            await self.may_commit.wait()


class Book:
    """A rig without an engine, whose claimed sessions the test writes to by itself."""

    def __init__(self, rig: Rig, database: CommittingDatabase, held: list[tuple[SessionView, Lease]]) -> None:
        self.rig = rig
        self.database = database
        self.sessions = [session for session, _ in held]
        self.leases = [lease for _, lease in held]

    async def write(self, index: int, words: str, taken: Taken | None = None) -> int:
        return await self.rig.event_log.append(
            self.leases[index], [Entry(EventType.OUTPUT, words, now())], taken
        )

    async def texts(self, index: int) -> list[str]:
        events = await self.rig.logged(self.sessions[index])
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        return texts(events)


@pytest.fixture
async def logged(settings: Settings) -> AsyncIterator[Book]:
    database = CommittingDatabase(settings.database)
    async with rigged(settings, database=database, opened=False, looked_after=False) as rig:
        project = await rig.project(RUNS)
        sessions = [await rig.execute(await rig.card(project)) for _ in range(RUNS)]
        claims = {lease.session_id: lease for lease, _ in await Queue(database, "test", 60, RUNS).claim(RUNS)}
        database.commits = 0
        yield Book(rig, database, [(session, claims[session.id]) for session in sessions])


async def test_what_comes_together_is_one_transaction(logged: Book) -> None:
    answers = await asyncio.gather(*(logged.write(index, f"{index}\n") for index in range(RUNS)))
    assert answers == [1] * RUNS
    assert logged.database.commits == 1
    for index in range(RUNS):
        assert await logged.texts(index) == [f"{index}\n"]


async def test_what_comes_while_one_is_written_is_the_next(logged: Book) -> None:
    logged.database.begun.clear()
    logged.database.may_commit.clear()
    first = asyncio.create_task(logged.write(0, "first\n"))
    await logged.database.begun.wait()
    rest = [asyncio.create_task(logged.write(index, "then\n")) for index in range(RUNS)]
    logged.database.may_commit.set()
    assert await first == 1
    assert await asyncio.gather(*rest) == [2] + [1] * (RUNS - 1)
    assert logged.database.commits == 2
    assert await logged.texts(0) == ["first\n", "then\n"]


async def test_two_pieces_of_one_session_keep_their_order(logged: Book) -> None:
    assert await asyncio.gather(*(logged.write(0, f"{number}\n") for number in range(5))) == [1, 2, 3, 4, 5]
    assert await logged.texts(0) == [f"{number}\n" for number in range(5)]


async def test_a_lost_lease_is_nobody_elses_loss(logged: Book) -> None:
    logged.leases[3] = replace(logged.leases[3], epoch=logged.leases[3].epoch - 1)
    logged.leases[5] = replace(logged.leases[5], owner="somebody else")
    answers = await asyncio.gather(
        *(logged.write(index, "Hello\n") for index in range(RUNS)), return_exceptions=True
    )
    assert [index for index, answer in enumerate(answers) if isinstance(answer, LeaseLost)] == [3, 5]
    assert [answer for answer in answers if not isinstance(answer, LeaseLost)] == [1] * (RUNS - 2)
    assert await logged.texts(3) == []
    assert await logged.texts(4) == ["Hello\n"]


async def test_what_the_database_refuses_is_nobody_elses_fault(logged: Book) -> None:
    stray = {"session_id": logged.sessions[2].id, "seq": 1, "type": "output", "text": "", "created_at": now()}
    async with logged.database.transaction() as db:
        await db.execute(insert(SessionEvent), [stray])
    answers = await asyncio.gather(
        *(logged.write(index, "Hello\n") for index in range(RUNS)), return_exceptions=True
    )
    assert isinstance(answers[2], IntegrityError)
    assert [answer for index, answer in enumerate(answers) if index != 2] == [1] * (RUNS - 1)
    assert await logged.texts(1) == ["Hello\n"]


async def test_nobody_knows_whether_it_was_written(logged: Book) -> None:
    """All of the transaction hear so, and all of them may say it again."""
    logged.database.every = 1
    writes = [Taken(0, 1)] * RUNS
    told = await asyncio.gather(
        *(logged.write(index, "Hello\n", taken) for index, taken in enumerate(writes)), return_exceptions=True
    )
    assert all(isinstance(answer, Unavailable) for answer in told)
    logged.database.every = 0
    again = await asyncio.gather(
        *(logged.write(index, "Hello\n", taken) for index, taken in enumerate(writes))
    )
    assert again == [1] * RUNS
    assert await logged.texts(7) == ["Hello\n"]


async def test_whoever_leaves_the_line_is_not_written(logged: Book) -> None:
    logged.database.begun.clear()
    logged.database.may_commit.clear()
    under_way, waiting = (asyncio.create_task(logged.write(index, "Hello\n")) for index in (0, 1))
    await logged.database.begun.wait()
    late = asyncio.create_task(logged.write(2, "Hello\n"))
    await asyncio.sleep(0)
    late.cancel()
    under_way.cancel()
    await asyncio.wait({late})
    assert late.cancelled()
    assert not under_way.done(), "its transaction is under way: it leaves when that is over"
    logged.database.may_commit.set()
    assert await waiting == 1
    await asyncio.wait({under_way})
    assert under_way.cancelled()
    assert await logged.texts(0) == ["Hello\n"]
    assert await logged.texts(2) == []


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
@pytest.mark.parametrize("taker", ["writes", "renews"])
async def test_whoever_takes_many_sessions_takes_them_in_one_order(logged: Book, taker: str) -> None:
    """Nobody who holds some of them waits for one who holds others: PostgreSQL would end one of the two."""
    ids = sorted(lease.session_id for lease in logged.leases)
    renewals = Queue(logged.database, "test", 60, RUNS)
    async with logged.database.transaction() as db:
        await db.execute(_LOCK, {"id": ids[0]})
        if taker == "writes":
            taking = asyncio.gather(*(logged.write(index, "Hello\n") for index in range(RUNS)))
        else:
            taking = asyncio.ensure_future(renewals.renew(ids))

        async def waits() -> bool:
            return bool(await db.scalar(_WAITING))

        await eventually(waits)
        for other in ids[1:]:
            await db.execute(_LOCK, {"id": other})
    assert len(await taking) == RUNS


_LOCK = text("SELECT id FROM sessions WHERE id = :id FOR UPDATE NOWAIT")
_WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND datname = current_database()"
)
