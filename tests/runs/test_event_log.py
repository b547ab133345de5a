"""Following the logged: each event once and in order, whoever comes when."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from uuid import uuid4

import pytest
from sqlalchemy import delete
from sqlmodel import col

from tests import fakes
from tests.conftest import BOTH
from tests.runs.rig import Rig, assert_whole, lines, rigged, texts
from tests.scripted import Script
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.errors import NotFound
from vibe_app.runs import event_log as feed_module
from vibe_app.runs.ending import Ending
from vibe_app.runs.event_log import PAGE, Batch, Entry, EventLog, Lease
from vibe_app.runs.queue import Queue
from vibe_app.runs.record import Record
from vibe_app.settings import Settings
from vibe_app.wire import Event, EventType, now


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


async def everything(event_log: EventLog, session: SessionView, after: int = 0) -> list[Event]:
    """What a follower is given until the end; the last batch is the only final one."""
    batches: list[Batch] = [batch async for batch in event_log.follow(session.id, after)]
    assert [batch.final for batch in batches] == [False] * (len(batches) - 1) + [True]
    return [event for batch in batches for event in batch.events]


async def claimed(rig: Rig) -> tuple[SessionView, Lease]:
    """A session that this test writes to by itself."""
    session = await rig.execute()
    ((lease, _),) = await Queue(rig.database, "test", 60, 99).claim(1)
    return session, lease


def entries(count: int) -> list[Entry]:
    return [Entry(EventType.OUTPUT, f"{number}\n", now()) for number in range(1, count + 1)]


async def test_followers_and_latecomers_are_told_the_same(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.lines(500, rate=1000))) as rig:
        session = await rig.execute()
        early = [asyncio.create_task(everything(rig.event_log, session)) for _ in range(5)]
        await rig.until(session, lambda view: view.last_seq > 100)
        late = asyncio.create_task(everything(rig.event_log, session))
        from_the_middle = asyncio.create_task(everything(rig.event_log, session, after=250))
        told = await asyncio.gather(*early, late)
        afterwards = await everything(rig.event_log, session)
        assert texts(afterwards) == lines(500)
        assert_whole(afterwards)
        assert all(events == afterwards for events in told)
        assert await from_the_middle == afterwards[250:]


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
async def test_pages_have_no_seams(settings: Settings, count: int) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.lines(count))) as rig:
        session = await rig.over(await rig.execute())
        events = await everything(rig.event_log, session)
        assert_whole(events)
        assert texts(events) == lines(count)
        assert (await rig.event_log.read(session.id, 0, limit=count + 1)).final
        assert not (await rig.event_log.read(session.id, 0, limit=count)).final or count == 0


async def test_from_the_end_of_a_session_that_is_over(rig: Rig) -> None:
    session = await rig.over(await rig.execute())
    for after in (session.last_seq, session.last_seq + 7):
        assert [batch async for batch in rig.event_log.follow(session.id, after)] == [Batch([], True)]


async def test_a_follower_of_nothing(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await anext(rig.event_log.follow(uuid4()))


async def test_a_session_deleted_under_its_follower(rig: Rig) -> None:
    session, lease = await claimed_by_test(rig)
    await rig.event_log.append(lease, entries(1))
    async with aclosing(rig.event_log.follow(session.id)) as batches:
        assert len((await anext(batches)).events) == 1
        async with rig.database.transaction() as db:
            await db.execute(delete(Session).where(col(Session.id) == session.id))
            db.announce(f"session:{session.id}")
        with pytest.raises(NotFound):
            await anext(batches)


async def claimed_by_test(rig: Rig) -> tuple[SessionView, Lease]:
    """As `claimed`, on a rig whose engine is closed first."""
    await rig.supervisor.close()
    return await claimed(rig)


async def test_no_wake_up_is_lost_between_reading_and_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event is written while the follower is still busy with the one before."""
    monkeypatch.setattr(feed_module, "LOOK_AGAIN", 3600.0)
    session, lease = await claimed_by_test(rig)
    seen = 0
    async with asyncio.timeout(20), aclosing(rig.event_log.follow(session.id)) as batches:
        writing = asyncio.create_task(rig.event_log.append(lease, entries(1)))
        while seen < 200:
            seen += len((await anext(batches)).events)
            await writing
            writing = asyncio.create_task(rig.event_log.append(lease, entries(1)))
            if seen % 3:
                await writing
        await writing
    assert seen == 200


async def test_what_this_process_wrote_is_not_read_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session, lease = await claimed_by_test(rig)
    async with asyncio.timeout(10), aclosing(rig.event_log.follow(session.id)) as batches:
        await rig.event_log.append(lease, entries(1))
        told = (await anext(batches)).events
        with monkeypatch.context() as closed:
            closed.setattr(rig.database, "read", None)
            for count in (3, 1, 2):
                await rig.event_log.append(lease, entries(count))
                told += (await anext(batches)).events
        assert told == (await rig.event_log.read(session.id)).events
        assert len(told) == 7


async def test_what_another_process_wrote_is_read(rig: Rig) -> None:
    session, lease = await claimed_by_test(rig)
    elsewhere = EventLog(rig.database)
    told: list[Event] = []
    async with asyncio.timeout(10), aclosing(rig.event_log.follow(session.id)) as batches:
        for writer in (
            rig.event_log,
            rig.event_log,
            elsewhere,
            rig.event_log,
            elsewhere,
            elsewhere,
            rig.event_log,
        ):
            await writer.append(lease, entries(2))
            while len(told) < (await rig.event_log.read(session.id)).events[-1].seq:
                told += (await anext(batches)).events
    assert told == (await rig.event_log.read(session.id)).events


async def test_the_end_is_seen_behind_what_was_in_memory(rig: Rig) -> None:
    """One wake-up may stand for the last output and for the end."""
    await rig.supervisor.close()
    session = await rig.execute()
    ((lease, row),) = await Queue(rig.database, "test", 60, 99).claim(1)
    await rig.event_log.append(lease, entries(1))
    async with asyncio.timeout(2), aclosing(rig.event_log.follow(session.id)) as batches:
        await anext(batches)
        await rig.event_log.append(lease, entries(2))
        await Record(lease, row, rig.database, rig.event_log).end(Ending(SessionStatus.CANCELLED))
        assert not (await anext(batches)).final
        last = await anext(batches)
    assert last.final
    assert [event.type for event in last.events] == [EventType.DONE]


async def test_a_wake_up_is_only_a_hint(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "LOOK_AGAIN", 0.05)
    monkeypatch.setattr(rig.database.bus, "publish", lambda topics: None)
    session, lease = await claimed_by_test(rig)
    async with asyncio.timeout(10), aclosing(rig.event_log.follow(session.id)) as batches:
        await rig.event_log.append(lease, entries(2))
        assert len((await anext(batches)).events) == 2
        await rig.event_log.append(lease, entries(3))
        assert len((await anext(batches)).events) == 3


async def test_a_follower_is_not_woken_more_often_than_its_pace(rig: Rig) -> None:
    session, lease = await claimed_by_test(rig)
    loop = asyncio.get_running_loop()
    paced = EventLog(rig.database, pace=0.2)
    batches_seen = 0
    written = asyncio.Event()

    async def write() -> None:
        for _ in range(60):
            await rig.event_log.append(lease, entries(1))
        written.set()

    writing = asyncio.create_task(write())
    total = 0
    began = loop.time()
    async with aclosing(paced.follow(session.id)) as batches:
        while total < 60:
            total += len((await anext(batches)).events)
            batches_seen += 1
    await writing
    # A bound that a slow machine can only loosen: one batch at once, then one for each pace.
    assert batches_seen <= (loop.time() - began) / 0.2 + 1


async def test_a_follower_ends_with_its_session(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        following = asyncio.create_task(everything(rig.event_log, session))
        await rig.stop(session)
        await rig.over(session)
        async with asyncio.timeout(2):
            assert (await following)[-1].text == "Session cancelled"


async def test_a_follower_that_leaves_is_forgotten(rig: Rig) -> None:
    session, lease = await claimed_by_test(rig)
    listeners = len(rig.database.bus._listeners)
    following = asyncio.create_task(everything(rig.event_log, session))
    await rig.event_log.append(lease, entries(1))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert len(rig.database.bus._listeners) == listeners
    assert not rig.event_log._tails


async def test_the_last_line_is_what_a_card_shows(rig: Rig) -> None:
    session, lease = await claimed_by_test(rig)
    for text, shown in (
        ("first\n\x1b[31msecond\x1b[0m\n\n", "second"),
        ("\n  \n", "second"),
        ("x" * 1000, "x" * 300),
    ):
        await rig.event_log.append(lease, [Entry(EventType.OUTPUT, text, now())])
        assert (await rig.read(session)).last_line == shown
