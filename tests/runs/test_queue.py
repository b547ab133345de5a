"""The lease queue by itself: who may claim what, in which order, and what an old lease is still worth."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.conftest import BOTH
from tests.fakes import FakeRuntime
from tests.runs.rig import Rig, rigged
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.db import db_clock
from vibe_app.errors import LeaseLost
from vibe_app.runs.ending import Ending
from vibe_app.runs.event_log import Entry, Lease, Taken
from vibe_app.runs.queue import Queue
from vibe_app.runs.record import Record
from vibe_app.settings import Settings
from vibe_app.wire import EventType, now


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    """Everything but an engine that claims."""
    async with rigged(settings, FakeRuntime(), opened=False) as rig:
        yield rig


def queue(rig: Rig, owner: str = "one", limit: int = 100, lease: float = 60.0) -> Queue:
    return Queue(rig.database, owner, lease, limit)


async def claimed_ids(queue: Queue, at_most: int = 1000) -> list[UUID]:
    return [lease.session_id for lease, _ in await queue.claim(at_most)]


async def change(rig: Rig, session: UUID, **values: object) -> None:
    async with rig.database.transaction() as db:
        await db.execute(update(Session).where(col(Session.id) == session).values(**values))


async def finish(rig: Rig, lease: Lease, row: Session) -> None:
    await Record(lease, row, rig.database, rig.event_log).end(Ending(SessionStatus.CANCELLED))


async def test_the_order_is_priority_then_age(rig: Rig) -> None:
    project = await rig.project(limit=10)
    made = [
        (priority, (await rig.execute(await rig.card(project, priority))).id)
        for priority in ("low", "normal", "urgent", "normal", "high", "urgent")
    ]
    wanted = [made[index][1] for index in (2, 5, 4, 1, 3, 0)]
    assert await claimed_ids(queue(rig)) == wanted


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
async def test_the_hosts_clock_jumps_by_an_hour(rig: Rig, jump: float) -> None:
    """The rows then look as if they had been written an hour earlier or later."""
    project = await rig.project(limit=10)
    owned, waiting = [(await rig.execute(await rig.card(project))).id for _ in range(2)]
    line = queue(rig)
    assert await claimed_ids(line, 1) == [owned]
    await change(rig, owned, lease_until=db_clock() + 60.0 - jump)
    await change(rig, waiting, not_before=db_clock() + 8.0 - jump)
    # Its owner goes on: renewing does not ask what the lease was.
    assert set(await line.renew([owned])) == {owned}
    due = await line.due([owned])
    assert due is not None
    assert due <= 0
    await change(rig, owned, lease_until=db_clock() + 60.0 - jump)
    assert set(await claimed_ids(queue(rig, "two"))) == {owned, waiting}


class Clock:
    """Tells the times that `queue` asks for; both go on together."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


async def test_after_an_outage_an_owner_gets_the_time_of_a_lease_to_come_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("vibe_app.runs.queue.time", clock)
    session, waiting = (await rig.execute()).id, (await rig.execute()).id
    assert await claimed_ids(queue(rig, lease=9.0), 1) == [session]
    other = queue(rig, "two", lease=9.0)
    await other.due()
    clock.now += 20.0
    await change(rig, session, lease_until=db_clock() - 11.0)
    assert await other.due() is not None
    assert await claimed_ids(other) == [waiting], "what nobody owns is not held up"
    assert await other.due([waiting]) == pytest.approx(9.0, abs=0.5)
    assert await queue(rig, lease=9.0).renew([session])
    await change(rig, session, lease_until=db_clock() - 1.0)
    for _ in range(3):
        clock.now += 3.0
        await other.due([waiting])
    assert await claimed_ids(other) == [session]


async def test_a_wait_of_seconds_is_kept(rig: Rig) -> None:
    waiting = (await rig.execute()).id
    await change(rig, waiting, not_before=db_clock() + 50.0)
    assert await claimed_ids(queue(rig)) == []


async def test_one_claim_at_a_time_keeps_the_order(rig: Rig) -> None:
    project = await rig.project(limit=10)
    made = [(await rig.execute(await rig.card(project))).id for _ in range(4)]
    line = queue(rig)
    assert [(await claimed_ids(line, 1))[0] for _ in range(4)] == made
    assert await claimed_ids(line) == []


async def test_the_limit_of_a_project(rig: Rig) -> None:
    narrow, wide = await rig.project(limit=1), await rig.project(limit=2)
    for _ in range(3):
        await rig.execute(await rig.card(narrow))
        await rig.execute(await rig.card(wide))
    line = queue(rig)
    taken = await line.claim(1000)
    assert Counter(lease.project_id for lease, _ in taken) == {narrow: 1, wide: 2}
    assert await line.claim(1000) == []
    await finish(rig, *next(item for item in taken if item[0].project_id == narrow))
    assert [lease.project_id for lease, _ in await line.claim(1000)] == [narrow]


async def test_the_limit_of_the_installation(rig: Rig) -> None:
    for _ in range(5):
        await rig.execute()
    line = queue(rig, limit=3)
    assert len(await line.claim(1000)) == 3
    assert await line.claim(1000) == []
    assert len(await queue(rig, "two", limit=4).claim(1000)) == 1


async def test_a_full_project_with_a_long_line_does_not_hold_up_another(rig: Rig) -> None:
    crowded, other = await rig.project(limit=1), await rig.project(limit=1)
    for _ in range(30):
        await rig.execute(await rig.card(crowded, "urgent"))
    waiting = await rig.execute(await rig.card(other, "low"))
    line = queue(rig)
    first = await line.claim(1)
    assert [lease.project_id for lease, _ in first] == [crowded]
    assert await claimed_ids(line, 1) == [waiting.id]


async def test_no_limit_is_ever_exceeded_by_two_owners_in_a_storm(rig: Rig) -> None:
    projects = [await rig.project(limit=1 + number % 3) for number in range(8)]
    limits = {project: 1 + number % 3 for number, project in enumerate(projects)}
    cards = [await rig.card(projects[number % 8]) for number in range(200)]
    replicas = [queue(rig, owner, limit=7) for owner in ("one", "two")]
    done: list[UUID] = []
    excesses: list[dict[UUID, int]] = []

    async def replica(line: Queue) -> None:
        with rig.database.bus.subscribe("queue") as changes:
            while len(done) < len(cards):
                await serve(line)
                await changes.wait(0.1)

    async def serve(line: Queue) -> None:
        while taken := await line.claim(3):
            async with rig.database.read() as db:
                held = await db.execute(
                    select(col(Session.project_id), func.count())
                    .where(session_queries.holds_place)
                    .group_by(col(Session.project_id))
                )
                counts: dict[UUID, int] = dict(held.all())
            if sum(counts.values()) > 7 or any(count > limits[key] for key, count in counts.items()):
                excesses.append(counts)
            for lease, row in taken:
                await finish(rig, lease, row)
                done.append(lease.session_id)

    async with asyncio.timeout(90):
        await asyncio.gather(*(rig.execute(card) for card in cards), *map(replica, replicas))
    assert excesses == []
    assert len(done) == len(set(done)) == 200


async def test_two_executes_at_once_make_one_session(rig: Rig) -> None:
    card = await rig.card()
    answers = await asyncio.gather(*(rig.execute(card) for _ in range(10)), return_exceptions=True)
    made = [answer for answer in answers if isinstance(answer, SessionCard)]
    assert len(made) == 1
    assert {getattr(answer, "code", None) for answer in answers if answer not in made} == {"already_active"}


async def test_an_expired_lease_is_taken_over_before_the_line(rig: Rig) -> None:
    project = await rig.project(limit=1)
    first = await rig.execute(await rig.card(project))
    await rig.execute(await rig.card(project, "urgent"))
    other = await rig.execute(await rig.card(priority="urgent"))
    assert (await claimed_ids(queue(rig, lease=-1.0), 1)) != [first.id]
    async with rig.database.transaction() as db:
        await db.execute(update(Session).values(owner=None, epoch=0, lease_until=0.0))
    await change(rig, first.id, owner="dead", epoch=1, lease_until=1.0)
    taken = await queue(rig, "two").claim(1000)
    assert [lease.session_id for lease, _ in taken] == [first.id, other.id]
    assert (taken[0][0].epoch, taken[0][1].crashes) == (2, 1)
    assert (taken[1][0].epoch, taken[1][1].crashes) == (1, 0)


async def test_a_valid_lease_is_left_alone(rig: Rig) -> None:
    await rig.execute()
    assert len(await queue(rig, "one").claim(1000)) == 1
    assert await queue(rig, "two").claim(1000) == []
    due = await queue(rig, "two").due()
    assert due is not None
    assert 55 < due <= 60


async def test_what_this_replica_runs_is_not_claimed_again_though_its_lease_ran_out(rig: Rig) -> None:
    session = await rig.execute()
    line = queue(rig, lease=-1.0)
    assert await claimed_ids(line) == [session.id]
    assert await line.due([session.id]) is None
    assert await line.claim(1000, [session.id]) == []
    assert await claimed_ids(line) == [session.id], "but a run that broke is taken up again"


async def test_an_old_lease_writes_nothing(rig: Rig) -> None:
    session = await rig.execute()
    ((old, row),) = await queue(rig, "one", lease=-1.0).claim(1)
    ((new, _),) = await queue(rig, "two").claim(1)
    entry = Entry(EventType.OUTPUT, "from the grave\n", now())
    record = Record(old, row, rig.database, rig.event_log)
    with pytest.raises(LeaseLost):
        await rig.event_log.append(old, [entry], Taken(0, 1))
    for write in (
        record.started(),
        record.repeat(1.0, "no", "agent_lost", None),
        record.end(Ending(SessionStatus.FAILED, "no")),
    ):
        with pytest.raises(LeaseLost):
            await write
    await record.workspace_starting()
    assert await rig.logged(session) == []
    view = await rig.read(session)
    assert (view.status, view.attempt, view.last_line) == ("pending", 1, "")
    assert (await rig.task(session)).status == "IN_PROGRESS"
    assert await rig.event_log.append(new, [entry], Taken(0, 1)) == 1


async def test_nobody_writes_to_a_session_that_is_over(rig: Rig) -> None:
    session = await rig.execute()
    ((lease, row),) = await queue(rig).claim(1)
    await finish(rig, lease, row)
    with pytest.raises(LeaseLost):
        await rig.event_log.append(lease, [Entry(EventType.OUTPUT, "late\n", now())])
    assert [event.text for event in await rig.logged(session)] == ["Session cancelled"]


async def test_renewing_tells_what_is_held_and_what_is_to_stop(rig: Rig) -> None:
    line = queue(rig)
    kept, stopped, lost, broken = [await rig.execute() for _ in range(4)]
    leases = {lease.session_id: lease for lease, _ in await line.claim(1000)}
    await rig.stop(stopped)
    await change(rig, lost.id, owner="two", epoch=2)
    await change(rig, broken.id, lease_until=5.0)
    renewed = await line.renew([kept.id, stopped.id, lost.id])
    assert {key: value.stop_requested for key, value in renewed.items()} == {kept.id: False, stopped.id: True}
    assert all(value.epoch == leases[key].epoch for key, value in renewed.items())
    assert await claimed_ids(queue(rig, "two")) == [broken.id], "what was not renewed has run out"


async def test_every_write_of_a_run_renews_its_lease(rig: Rig) -> None:
    await rig.execute()
    ((lease, _),) = await queue(rig, lease=0.1).claim(1)
    await rig.event_log.append(lease, [Entry(EventType.OUTPUT, "still here\n", now())])
    async with rig.database.read() as db:
        left = await db.scalar(select(col(Session.lease_until) - db_clock()))
    assert left is not None
    assert left > 1.0


async def test_handing_over_is_no_crash(rig: Rig) -> None:
    session = await rig.execute()
    one = queue(rig, "one")
    await one.claim(1)
    await one.release()
    ((lease, row),) = await queue(rig, "two").claim(1)
    assert (lease.session_id, lease.epoch, row.crashes) == (session.id, 2, 0)


async def test_the_next_attempt_waits_for_its_moment_unless_it_is_to_stop(rig: Rig) -> None:
    line = queue(rig)
    session = await rig.execute()
    ((lease, row),) = await line.claim(1)
    record = Record(lease, row, rig.database, rig.event_log)
    await record.started()
    await record.repeat(30.0, "The pod was evicted.", "agent_lost", None)
    due = await line.due()
    assert due is not None
    assert 29 < due <= 30
    assert await line.claim(1000) == []
    waiting = await rig.read(session)
    assert (waiting.status, waiting.attempt) == ("running", 2)
    assert waiting.waiting_for in ("retry in 30 s", "retry in 29 s")
    await rig.stop(session)
    assert await claimed_ids(line) == [session.id]


async def test_a_deleted_session_is_no_work(rig: Rig) -> None:
    session = await rig.execute()
    await change(rig, session.id, deleted_at=now())
    assert await queue(rig).due() is None
    assert await queue(rig).claim(1000) == []
