"""The database away, full or unsure in mid-run: the run waits and goes on, and the logged is exact."""

from __future__ import annotations

import asyncio

import pytest

from tests import fakes
from tests.conftest import BOTH
from tests.runs.databases import (
    CountedDatabase,
    DatabaseAwayForAWhile,
    DatabaseOnASmallDisk,
    DatabaseThatDoesNotSayWhetherItCommitted,
)
from tests.runs.rig import assert_whole, lines, rigged, texts
from tests.scripted import Script, ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.errors import Unavailable
from vibe_app.runs.event_log import Entry, Taken
from vibe_app.runs.queue import Queue
from vibe_app.settings import Settings
from vibe_app.wire import EventType, Failure, now


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.mark.parametrize("after", [0, 1, 30])
async def test_away_for_a_while(settings: Settings, after: int) -> None:
    """Before the session is accepted, at its first line, and in the middle."""
    database = DatabaseAwayForAWhile(settings.database)
    runtime = fakes.SlowRuntime(Script.lines(60, rate=200))
    async with rigged(settings, runtime, database) as rig:
        session = await rig.execute()
        await runtime.waiting.wait()
        if after == 0:
            database.times = 6
        runtime.may_start.set()
        if after:
            await runtime.sidecars[session.project_id].reached(session.id, after)
            database.times = 6
        await eventually(lambda: database.refused == 6)
        session = await rig.over(session)
        assert (session.status, session.attempt) == ("completed", 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(60)


async def test_away_for_longer_than_a_lease(settings: Settings) -> None:
    """The run keeps its session: nobody has claimed it meanwhile, least of all its own process."""
    database = DatabaseAwayForAWhile(settings.database)
    settings = settings.model_copy(update={"lease": 0.5})
    async with (
        ScriptedSidecar(Script.lines(40, rate=100)) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar), database) as rig,
    ):
        session = await rig.running()
        database.times = 1_000_000
        await sidecar.reached(session.id, 41)
        await eventually(lambda: database.refused >= 8)
        database.times = 0
        session = await rig.over(session)
        assert (session.status, session.attempt) == ("completed", 1)
        assert texts(await rig.logged(session)) == lines(40)
        assert sidecar.most_readers[str(session.id)] == 1


@pytest.mark.parametrize("every", [2, 3])
async def test_commits_of_which_nobody_knows(settings: Settings, every: int) -> None:
    database = DatabaseThatDoesNotSayWhetherItCommitted(settings.database)
    overloaded = Script.failing("The provider is overloaded.", Failure.PROVIDER_BUSY)
    scripts = [overloaded, Script.lines(50, rate=400)]
    async with (
        ScriptedSidecar(lambda _: scripts.pop(0)) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar), database) as rig,
    ):
        card = await rig.card()
        await rig.workspaces.ensure(card.project_id)
        # What looks after workspaces commits as regularly as the engine: in step, it would have the answers.
        await rig.jobs.close()
        session = await rig.execute(card)
        database.every = every
        await rig.until(session, lambda view: view.status == "completed", 30)
        database.every = 0
        session = await rig.read(session)
        assert session.attempt == 2
        assert database.unanswered > 3
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == ["Hello\n", *lines(50)]
        assert len(texts(logged, EventType.STATUS)) == 1
        assert (await rig.task(session)).status == "AI_REVIEW"
        assert len(sidecar.started) == 2


async def test_a_claim_of_which_nobody_knows_is_taken_again_at_once(settings: Settings) -> None:
    """It waits for no lease, and is no crash."""
    database = DatabaseThatDoesNotSayWhetherItCommitted(settings.database)
    async with rigged(settings, database=database, opened=False) as rig:
        session = await rig.execute()
        queue = Queue(database, "one", 60, 9)
        database.every = 1
        with pytest.raises(Unavailable):
            await queue.claim(1)
        database.every = 0
        other = await Queue(database, "two", 60, 9).due()
        assert other is not None
        assert other > 50
        due = await queue.due()
        assert due is not None
        assert due <= 0
        ((lease, row),) = await queue.claim(1)
        assert (lease.session_id, lease.epoch, row.crashes) == (session.id, 2, 0)
        assert await queue.claim(1) == []


async def test_a_batch_written_already_is_not_written_again(settings: Settings) -> None:
    database = DatabaseThatDoesNotSayWhetherItCommitted(settings.database)
    async with rigged(settings, database=database, opened=False) as rig:
        session = await rig.execute()
        ((lease, _),) = await Queue(database, "one", 60, 9).claim(1)
        batch = [Entry(EventType.OUTPUT, f"{number}\n", now()) for number in (1, 2, 3)]
        database.every = 1
        with pytest.raises(Unavailable):
            await rig.event_log.append(lease, batch, Taken(0, 3))
        database.every = 0
        assert await rig.event_log.append(lease, batch, Taken(0, 3)) == 3
        assert await rig.event_log.append(lease, batch[:1], Taken(3, 4)) == 4
        assert texts(await rig.logged(session)) == ["1\n", "2\n", "3\n", "1\n"]


async def test_a_full_disk(settings: Settings) -> None:
    database = DatabaseOnASmallDisk(settings.database)
    script = Script(events=[("output", f"{number} " + "x" * 4000 + "\n", 0.005) for number in range(100)])
    async with rigged(settings, fakes.FakeRuntime(script), database) as rig:
        card = await rig.card()
        session = await rig.running(card)
        await database.fill(20)
        await rig.runtime.sidecars[card.project_id].reached(session.id, 101)
        written = len(await rig.logged(session))
        assert written < 100
        cards = [
            rig.tasks.create(rig.actor, card.project_id, NewTask(title="Too much", description="x" * 60_000))
            for _ in range(10)
        ]
        with pytest.raises(Unavailable, match=r"The disk is full.*Free some space"):
            await asyncio.gather(*cards)
        await database.free()
        session = await rig.over(session, 20)
        assert (session.status, session.attempt) == ("completed", 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == [text for _, text, _ in script.events]


async def test_an_idle_engine_asks_for_little(settings: Settings) -> None:
    database = CountedDatabase(settings.database)
    usual = settings.model_copy(update={"lease": 9.0, "heartbeat": 2.0})
    async with rigged(usual, database=database) as rig:
        await rig.over(await rig.execute())
        await eventually(lambda: rig.supervisor.running == 0)
        database.statements.clear()
        # Not a wait for something: this is the stretch of time over which statements are counted.
        await asyncio.sleep(4)
        assert 1 <= len(database.statements) <= 3 * 4, database.statements
