"""Several replicas on one PostgreSQL: a session has one owner, and whoever dies, the logged is exact.

Replicas that only cooperate are two engines in this process, each with its own
connections and its own name; those that die or freeze are processes.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from tests.conftest import POSTGRESQL
from tests.fakes import FakeRuntime
from tests.postgres import Server
from tests.runs.rig import Rig, lines, rigged, texts
from tests.runs.test_restart import assert_exact, crashes, process
from tests.scripted import Request, Script, ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.runs import event_log, supervisor
from vibe_app.runs.queue import Queue
from vibe_app.settings import Settings


@pytest.fixture
def database_kind() -> str:
    """SQLite serves one process."""
    return POSTGRESQL


@pytest.fixture
def only_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself before the test is over: what is known came over the bus."""
    monkeypatch.setattr(supervisor, "POLL", 60.0)
    monkeypatch.setattr(event_log, "LOOK_AGAIN", 60.0)


@pytest.fixture
async def here(settings: Settings, sidecar: ScriptedSidecar) -> AsyncIterator[Rig]:
    """The replica that people use. It runs nothing itself."""
    async with rigged(settings, FakeRuntime(sidecar), opened=False) as rig:
        yield rig


@pytest.fixture
async def there(settings: Settings, sidecar: ScriptedSidecar, here: Rig) -> AsyncIterator[Rig]:
    """The replica that runs their sessions."""
    slow_pulse = settings.model_copy(update={"heartbeat": 60.0, "lease": 120.0})
    async with rigged(slow_pulse, FakeRuntime(sidecar), actor=here.actor) as rig:
        yield rig


@pytest.fixture
async def sidecar() -> AsyncIterator[ScriptedSidecar]:
    async with ScriptedSidecar(Script.lines(1000, rate=400), trusting=True) as sidecar:
        yield sidecar


@pytest.mark.usefixtures("only_notified", "there")
async def test_executed_and_followed_on_the_replica_that_does_not_run_it(here: Rig) -> None:
    session = await here.execute()
    said = [text async for batch in here.event_log.follow(session.id) for text in texts(batch.events)]
    assert said == lines(1000)
    assert (await here.read(session)).status == "completed"
    assert here.supervisor.running == 0


@pytest.mark.usefixtures("only_notified", "there")
async def test_stopped_on_the_replica_that_does_not_run_it(here: Rig, sidecar: ScriptedSidecar) -> None:
    sidecar.script = Script.endless()
    session = await here.running()
    assert (await here.stop(session)).stop_requested
    assert (await here.over(session)).status == "cancelled"
    assert sidecar.session(session.id).status == "cancelled"
    assert (await here.task(session)).status == "TODO"


class CountingSidecar(ScriptedSidecar):
    """Knows how many sessions have been under way in it at one time."""

    most = 0

    async def on_start(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await super().on_start(request, writer)
        self.most = max(self.most, self.under_way)

    @property
    def under_way(self) -> int:
        return sum(not session.final for session in self.sessions.values())


async def test_limits_hold_over_all_replicas(settings: Settings) -> None:
    settings = settings.model_copy(update={"installation_limit": 5})
    most = 0

    def workspace(_: UUID) -> ScriptedSidecar:
        return CountingSidecar(counted)

    def counted(_: object) -> Script:
        nonlocal most
        most = max(most, 1 + sum(sidecar.under_way for sidecar in runtime.sidecars.values()))
        return Script.lines(5, rate=25)

    runtime = FakeRuntime(workspace)
    async with (
        rigged(settings, runtime) as one,
        rigged(settings, runtime, actor=one.actor) as two,
        rigged(settings, runtime, actor=one.actor) as three,
    ):
        limits = {await one.project(limit): limit for limit in (1, 2, 3)}
        cards = [await one.card(project) for project in limits for _ in range(8)]
        replicas = (one, two, three)
        sessions = await asyncio.gather(
            *(replicas[number % 3].execute(card) for number, card in enumerate(cards))
        )
        ended = [await one.over(session, 60) for session in sessions]
    assert Counter(session.status for session in ended) == {"completed": 24}
    for project, limit in limits.items():
        assert runtime.sidecars[project].most <= limit
    assert 3 <= most <= 5
    assert sum(len(sidecar.started) for sidecar in runtime.sidecars.values()) == 24, "each ran once"


async def owner(rig: Rig, session: SessionView) -> str:
    async with rig.database.read() as db:
        return await db.scalar(select(col(Session.owner)).where(col(Session.id) == session.id)) or ""


async def owner_among(rig: Rig, session: SessionView, processes: list[Process]) -> Process:
    """The process that runs the session, once one does and has written a good part of its output."""

    async def under_way() -> bool:
        return (await rig.read(session)).last_seq >= 100

    await eventually(under_way, 20)
    pid = int((await owner(rig, session)).rsplit("-", 2)[1])
    return next(process for process in processes if process.pid == pid)


async def test_another_replica_goes_on_when_one_is_killed(
    settings: Settings, here: Rig, sidecar: ScriptedSidecar
) -> None:
    async with process(settings, sidecar) as one, process(settings, sidecar) as two:
        session = await here.execute()
        (await owner_among(here, session, [one, two])).kill()
        await assert_exact(here, sidecar, session, 1000)
        assert await crashes(here, session) == 1


@pytest.mark.usefixtures("only_notified")
async def test_the_leases_of_a_dead_replica_end_one_by_one(
    settings: Settings, here: Rig, sidecar: ScriptedSidecar
) -> None:
    """Each run is taken over when its own lease ends, not when the queue is next looked at."""
    sidecar.script = Script.endless()
    sessions = [await here.execute() for _ in range(3)]
    for seconds in (0.4, 0.8, 1.2):
        assert len(await Queue(here.database, "dead", seconds, 9).claim(1)) == 1
    async with rigged(settings, FakeRuntime(sidecar), actor=here.actor):
        for session in sessions:
            await here.until(session, lambda view: view.status == "running")


async def test_a_replica_that_wakes_up_too_late_writes_nothing(
    settings: Settings, here: Rig, sidecar: ScriptedSidecar
) -> None:
    sidecar.script = Script.lines(2000, rate=300)
    async with process(settings, sidecar) as one, process(settings, sidecar) as two:
        session = await here.execute()
        frozen = await owner_among(here, session, [one, two])
        first = await owner(here, session)
        frozen.send_signal(signal.SIGSTOP)

        async def taken_over() -> bool:
            return await owner(here, session) not in ("", first)

        try:
            await eventually(taken_over, 20)
        finally:
            frozen.send_signal(signal.SIGCONT)
        await assert_exact(here, sidecar, session, 2000)
        assert one.returncode is None
        assert two.returncode is None


async def test_the_server_started_again_in_mid_run(
    settings: Settings, here: Rig, sidecar: ScriptedSidecar, postgres_server: Server
) -> None:
    async with rigged(settings, FakeRuntime(sidecar), actor=here.actor):
        session = await here.running()
        for seq in (100, 500):
            await sidecar.reached(session.id, seq)
            await asyncio.to_thread(postgres_server.control, "restart", "-m", "immediate")
        await assert_exact(here, sidecar, session, 1000)
        assert await crashes(here, session) == 0, "nobody has taken it for dead"


async def test_connections_cut_again_and_again(
    settings: Settings, here: Rig, sidecar: ScriptedSidecar
) -> None:
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    async with rigged(settings, FakeRuntime(sidecar), actor=here.actor):
        session = await here.running()
        for seq in range(100, 900, 100):
            await sidecar.reached(session.id, seq)
            async with here.database.transaction() as db:
                await db.execute(
                    text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
                )
        await assert_exact(here, sidecar, session, 1000)
