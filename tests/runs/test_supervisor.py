"""The engine's loops: they go on whatever is thrown at them, and no session is left with nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests import fakes
from tests.runs.rig import assert_whole, rigged
from tests.scripted import Script, ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.sessions.models import Session
from vibe_app.db import db_clock
from vibe_app.runs import supervisor
from vibe_app.runs.queue import Queue, Renewal
from vibe_app.runs.record import Record
from vibe_app.settings import Settings


class Bug(Exception):
    """Something that nobody expected."""


async def test_loops_that_break_are_told_of_and_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    due, renew = Queue.due, Queue.renew
    bugs = {"due": 2, "renew": 2}

    async def buggy_due(self: Queue, held: Collection[UUID] = ()) -> float | None:
        if bugs["due"]:
            bugs["due"] -= 1
            raise Bug("in the claim loop")
        return await due(self, held)

    async def buggy_renew(self: Queue, ids: Collection[UUID]) -> dict[UUID, Renewal]:
        if bugs["renew"]:
            bugs["renew"] -= 1
            raise Bug("in the heartbeat")
        return await renew(self, ids)

    monkeypatch.setattr(Queue, "due", buggy_due)
    monkeypatch.setattr(Queue, "renew", buggy_renew)
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        await eventually(lambda: bugs == {"due": 0, "renew": 0})
        await rig.stop(session)
        assert (await rig.over(session)).status == "cancelled"
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in told] == [
        *["claim sessions: it broke and is started again"] * 2,
        *["renew leases: it broke and is started again"] * 2,
    ]
    assert all(record.exc_info and isinstance(record.exc_info[1], Bug) for record in told)


async def test_a_run_that_breaks_is_taken_up_again_when_its_lease_is_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where other runs of the same process keep the heartbeat going."""
    settings = settings.model_copy(update={"lease": 0.6})
    started, bugs = Record.started, 1

    async def buggy_started(self: Record, conversation: str = "", heard: bool = True) -> None:
        nonlocal bugs
        if bugs:
            bugs -= 1
            raise Bug("in a run")
        await started(self, conversation, heard)

    scripts = [Script.endless(), Script.lines(5)]
    sidecar = ScriptedSidecar(lambda _: scripts.pop(0))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        other = await rig.running()
        monkeypatch.setattr(Record, "started", buggy_started)
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt) == ("completed", 1)
        assert_whole(await rig.logged(session))
        assert (await rig.read(other)).status == "running"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        f"the run of session {session.id} broke"
    ]


async def test_a_run_that_always_breaks_ends_with_that_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def buggy_started(self: Record, conversation: str = "", heard: bool = True) -> None:
        raise Bug("in a run")

    monkeypatch.setattr(Record, "started", buggy_started)
    settings = settings.model_copy(update={"lease": 0.3, "heartbeat": 0.1})
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.over(await rig.execute(), 20)
        assert (session.status, session.failure) == ("failed", "broken")
        assert "broken off by a crash 3 times" in (session.error or "")


async def test_a_run_claimed_while_leases_are_being_renewed_is_not_taken_for_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    renew = Queue.renew
    renewing, claimed = asyncio.Event(), asyncio.Event()

    async def slow_renew(self: Queue, ids: Collection[UUID]) -> dict[UUID, Renewal]:
        answer = await renew(self, ids)
        renewing.set()
        await claimed.wait()
        return answer

    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        first = await rig.running()
        monkeypatch.setattr(Queue, "renew", slow_renew)
        await renewing.wait()
        second = await rig.running()
        claimed.set()
        for session in (first, second):
            await rig.stop(session)
            ended = await rig.over(session)
            assert (ended.status, ended.attempt) == ("cancelled", 1)
            assert_whole(await rig.logged(session))
    # A job's own lease is another matter: a disk that stands still costs it.
    told = [record for record in caplog.records if record.name != "vibe_app.jobs.registry"]
    assert not [record for record in told if "was lost" in record.getMessage()]


async def test_a_run_whose_lease_was_taken_lets_go(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        await rig.until(session, lambda view: view.last_seq == 1)
        async with rig.database.transaction() as db:
            await db.execute(
                update(Session).values(
                    owner="other", epoch=col(Session.epoch) + 1, lease_until=db_clock() + 60.0
                )
            )
        await eventually(lambda: rig.supervisor.running == 0)
        # A job's own lease is another matter: a disk that stands still costs it.
        told = [record for record in caplog.records if record.name != "vibe_app.jobs.registry"]
        assert [record.getMessage() for record in told if "was lost" in record.getMessage()] == [
            f"the lease of session {session.id} was lost"
        ]
        assert (await rig.read(session)).status == "running"
        assert len(await rig.logged(session)) == 1


@pytest.mark.alone
async def test_leases_are_kept_for_as_long_as_a_run_is_silent(settings: Settings) -> None:
    settings = settings.model_copy(update={"lease": 0.8})
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        async with rig.database.read() as db:
            before = await db.scalar(select(col(Session.lease_until)).where(col(Session.id) == session.id))
        assert before is not None

        async def has_gone_by() -> bool:
            async with rig.database.read() as db:
                return (await db.scalar(select(db_clock())) or 0) > before + 0.5

        await eventually(has_gone_by)
        assert await Queue(rig.database, "other", 9, 99).claim(9) == []


async def test_nothing_waits_for_the_poll_where_a_wake_up_comes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "POLL", 3600.0)
    async with rigged(settings, fakes.FakeRuntime(Script.lines(2))) as rig:
        project = await rig.project(limit=1)
        sessions = [await rig.execute(await rig.card(project)) for _ in range(5)]
        for session in sessions:
            assert (await rig.over(session)).status == "completed"


async def test_the_next_attempt_is_claimed_at_its_moment(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "POLL", 3600.0)
    async with rigged(settings, fakes.RuntimeDyingMidRun(script=Script.lines(3, rate=100))) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt) == ("completed", 2)


async def test_without_any_wake_up_the_poll_finds_everything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "POLL", 0.1)
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        monkeypatch.setattr(rig.database.bus, "publish", lambda topics: None)
        session = await rig.running()
        await rig.stop(session)
        assert (await rig.over(session)).status == "cancelled"
