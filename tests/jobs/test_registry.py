"""What runs by itself: one at a time, each with its last run on record, and never silently over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update

from tests.conftest import POSTGRESQL
from tests.runs.databases import DatabaseThatDoesNotSayWhetherItCommitted
from tests.test_processes import name_of_an_ended_process
from tests.waiting import eventually
from vibe_app.aio import BROKEN
from vibe_app.db import Database, db_clock
from vibe_app.errors import Unavailable
from vibe_app.jobs.models import JobRow
from vibe_app.jobs.registry import Hold, Job, Jobs, JobView
from vibe_app.settings import Settings

LEASE = 1.0


@asynccontextmanager
async def process(database: Database, name: str, *jobs: Job, lease: float = LEASE) -> AsyncIterator[Jobs]:
    """A process that takes part, for as long as the block lasts."""
    registry = Jobs(database, name, lease)
    registry.add(*jobs)
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def view(jobs: Jobs, name: str) -> JobView:
    [found] = [job for job in await jobs.views() if job.name == name]
    return found


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.database)
    await database.open()
    yield database
    await database.close()


async def test_it_runs_again_after_its_period(database: Database) -> None:
    runs = asyncio.Semaphore(0)

    async def work(_: Hold) -> None:
        runs.release()

    async with process(database, "a", Job("tidy", work, period=0.05)) as jobs:
        async with asyncio.timeout(10):
            for _ in range(3):
                await runs.acquire()

        async def noted() -> bool:
            return (await view(jobs, "tidy")).finished_at is not None

        await eventually(noted)
        assert (await view(jobs, "tidy")).failure is None


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_one_process_at_a_time_runs_it_and_the_next_takes_over(database: Database) -> None:
    at_work: list[str] = []

    def lasting(name: str) -> Job:
        async def work(_: Hold) -> None:
            at_work.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                at_work.remove(name)

        return Job("watch", work, period=0.05)

    async with process(database, "first", lasting("first")):
        await eventually(lambda: at_work == ["first"])
        async with process(database, "second", lasting("second")) as second:
            assert (await view(second, "watch")).owner == "first"
            assert at_work == ["first"]
    async with process(database, "third", lasting("third")):
        await eventually(lambda: at_work == ["third"])


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_who_died_is_followed_when_its_lease_has_run_out(database: Database) -> None:
    done = asyncio.Event()

    async def work(_: Hold) -> None:
        done.set()

    job = Job("tidy", work, period=60)
    async with process(database, "a", Job("tidy", work, period=60, first=60)):
        async with database.transaction() as db:
            await db.execute(
                update(JobRow).values(owner="the dead", lease_until=db_clock() + LEASE, due=0.0, epoch=7)
            )
        async with process(database, "b", job) as jobs:
            assert (await view(jobs, "tidy")).owner == "the dead"
            await asyncio.wait_for(done.wait(), 20)


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_who_died_on_this_machine_is_followed_at_once(database: Database) -> None:
    taken = asyncio.Event()

    async def work(_: Hold) -> None:
        taken.set()

    async with process(database, "a", Job("watch", work, period=60, first=60)):
        dead = await asyncio.to_thread(name_of_an_ended_process)
        async with database.transaction() as db:
            await db.execute(update(JobRow).values(owner=dead, lease_until=db_clock() + 600, due=0.0))
        async with process(database, "b", Job("watch", work, period=60)):
            await asyncio.wait_for(taken.wait(), 20)


async def test_one_that_has_to_reach_something_first_says_so_from_its_claim(database: Database) -> None:
    said: asyncio.Queue[str | None] = asyncio.Queue()

    async def work(_: Hold) -> None:
        said.put_nowait((await view(jobs, "watch")).failure)

    job = Job("watch", work, period=0.05, opening="It is being opened.")
    async with process(database, "a", job) as jobs, asyncio.timeout(10):
        assert [await said.get() for _ in range(2)] == ["It is being opened."] * 2

        async def done() -> bool:
            return (await view(jobs, "watch")).finished_at is not None

        await eventually(done)


async def test_what_is_written_after_the_lease_was_lost_does_not_count(database: Database) -> None:
    holds: asyncio.Queue[Hold] = asyncio.Queue()

    async def work(hold: Hold) -> None:
        await holds.put(hold)
        await asyncio.Event().wait()

    async with process(database, "a", Job("watch", work, period=0.05)):
        hold = await asyncio.wait_for(holds.get(), 10)
        async with database.transaction() as db:
            await db.execute(update(JobRow).values(owner="another", epoch=hold.epoch + 1))
        async with database.transaction() as db:
            done = await db.execute(update(JobRow).where(hold.fence).values(failure="from the past"))
        assert done.rowcount == 0  # type: ignore[attr-defined]


def held_up(seconds: float) -> None:
    """Have this process stand still, as one does that is frozen or gets no processor."""
    time.sleep(seconds)


class Lasting:
    """Work that lasts; tells each time that it is begun."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.begun = asyncio.Semaphore(0)

    async def work(self, _: Hold) -> None:
        self.begun.release()
        await asyncio.Event().wait()

    async def begins(self) -> None:
        async with asyncio.timeout(10):
            await self.begun.acquire()

    @asynccontextmanager
    async def silent(self) -> AsyncIterator[None]:
        """A database that is written to by somebody else for as long as the block lasts."""
        async with self.database.transaction() as db:  # PostgreSQL: of this one row
            await db.execute(update(JobRow).values(epoch=JobRow.epoch))
            yield


async def test_one_whose_lease_was_lost_has_not_ended_well_and_is_run_again_at_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    job = Lasting(database)
    async with process(database, "a", Job("once a day", job.work, period=86_400)) as jobs:
        await job.begins()
        async with job.silent():
            await eventually(lambda: "once a day: its lease was lost" in caplog.text)
        await job.begins()
        found = await view(jobs, "once a day")
        assert (found.finished_at, found.failed_at, found.owner) == (None, None, "a")


async def test_one_that_was_broken_off_by_a_stop_is_run_by_the_next_process_at_once(
    database: Database,
) -> None:
    job = Lasting(database)
    for name in ("a", "b"):
        async with process(database, name, Job("once a day", job.work, period=86_400)):
            await job.begins()


async def test_a_process_that_stops_just_when_a_run_ends_waits_until_that_is_noted(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    job = Lasting(database)
    async with process(database, "a", Job("once a day", job.work, period=86_400)) as jobs:
        await job.begins()
        async with job.silent():
            await eventually(lambda: "once a day: its lease was lost" in caplog.text)
            closing = asyncio.create_task(jobs.close())
            await asyncio.wait({closing}, timeout=0.1)
            assert not closing.done()
        await closing
        assert (await view(jobs, "once a day")).owner is None


async def test_the_log_says_whether_the_database_or_the_process_kept_a_lease_from_being_renewed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    job = Lasting(database)

    async def told(words: str) -> None:
        await eventually(lambda: f"watch: its lease was not renewed: {words}" in caplog.text)

    async with process(database, "a", Job("watch", job.work, period=0.0)):
        await job.begins()
        async with job.silent():
            await told("the database did not answer in time.")
        await job.begins()
        held_up(LEASE + 0.6)
        await told("this process could not go on for")


@pytest.mark.parametrize("error", [ZeroDivisionError("what nobody thought of"), Unavailable("Away.")])
async def test_a_failure_is_on_record_and_does_not_end_it(
    database: Database, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    tried = asyncio.Semaphore(0)
    faults = [error]

    async def work(_: Hold) -> None:
        if faults:
            raise faults.pop()
        tried.release()

    before = BROKEN["tidy"]
    async with process(database, "a", Job("tidy", work, period=0.05)) as jobs:
        await asyncio.wait_for(tried.acquire(), 10)

        async def mended() -> bool:
            found = await view(jobs, "tidy")
            return found.failed_at is not None and found.finished_at is not None and found.failure is None

        await eventually(mended)
    assert str(error) in caplog.text
    assert BROKEN["tidy"] == before + (not isinstance(error, Unavailable))


async def test_a_claim_of_whose_success_nobody_heard_is_made_again_at_once(settings: Settings) -> None:
    database = DatabaseThatDoesNotSayWhetherItCommitted(settings.database)
    await database.open()
    done = asyncio.Event()

    async def work(_: Hold) -> None:
        done.set()

    async with process(database, "a", Job("tidy", work, period=60), lease=60.0):
        async with asyncio.timeout(10):
            await done.wait()
    async with database.transaction() as db:
        await db.execute(update(JobRow).values(due=0.0))
    done.clear()
    jobs = Jobs(database, "b", 60.0)
    jobs.add(Job("tidy", work, period=60))
    await jobs.open()
    database.every = 1
    await eventually(lambda: database.unanswered >= 1)
    database.every = 0
    async with asyncio.timeout(10):
        await done.wait()
    await jobs.close()
    await database.close()
