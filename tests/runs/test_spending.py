"""What sessions may spend and have spent: a real gateway, a scripted provider, the test as OpenCode."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.conftest import BOTH, POSTGRESQL
from tests.fakes import FakeRuntime
from tests.runs.rig import KEYRING, Rig, rigged
from tests.runs.test_restart import process
from tests.scripted import Script, ScriptedSidecar
from tests.waiting import eventually
from tests.workspace_services.gateway.gate import Gate, Reply, Upstream, gateway, openai, provider
from tests.workspace_services.sidecar.stack import free_port
from vibe_app.board.projects.schemas import ProjectPatch
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.spending.limits import LimitsPatch
from vibe_app.board.spending.models import ModelRequest, ModelTotal
from vibe_app.configuration.providers import Providers
from vibe_app.db import Database
from vibe_app.errors import LeaseLost
from vibe_app.runs.model_access import ModelAccess
from vibe_app.runs.run import WHO_MAY
from vibe_app.runs.spending import Spending
from vibe_app.runs.writer import Lease
from vibe_app.settings import Settings
from vibe_app.wire import Failure, SidecarStatus, now
from vibe_app.wire.gateway import Provider
from vibe_app.workspaces.runtimes.base import Endpoint

MILLION = 1_000_000
CENTS_21 = openai(MILLION, 100_000)
"""A million tokens read at 15 cents and 100,000 written at 60 cents a million, by gpt-4o-mini."""


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """What is counted is held true by the database: both kinds, one after the other."""
    return request.param


class Access(ModelAccess):
    """Hands out the scripted provider."""

    def __init__(self, given: Provider, database: Database, settings: Settings) -> None:
        super().__init__(Providers(database, KEYRING, settings), settings)
        self.given = given

    async def providers(self, endpoint: Endpoint) -> tuple[Provider, ...]:
        """The scripted one."""
        return (self.given,)


@dataclass
class Till:
    """An engine with one project whose workspace has a gateway."""

    rig: Rig
    gate: Gate
    upstream: Upstream
    project: UUID
    access: Access

    async def limit(self, **limits: Any) -> None:
        """Set the project's limits."""
        patch = ProjectPatch(limits=LimitsPatch(**limits))
        await self.rig.projects.change(self.rig.actor, self.project, patch)

    async def running(self) -> SessionView:
        """A session that runs, whose conversation is `ses_1`."""
        session = await self.begun()
        await self.gate.talk("ses_1", str(session.id))
        return session

    async def begun(self) -> SessionView:
        """A session that runs, however busy the machine is."""
        session = await self.rig.execute(await self.rig.card(self.project))
        return await self.rig.until(session, lambda view: view.started_at is not None, 40)

    async def cost(self, session: SessionView, cost: float | None) -> SessionView:
        """The session once it is said to have cost so much."""
        return await self.rig.until(session, lambda view: view.cost == cost, 30)

    async def stopped(self, session: SessionView) -> SessionView:
        """The session, stopped."""
        await self.rig.stop(session)
        return await self.rig.over(session)

    async def rows(self) -> list[tuple[UUID | None, int | None]]:
        """Every request that is kept: its session and its cost."""
        async with self.rig.database.read() as db:
            found = await db.execute(
                select(col(ModelRequest.session_id), col(ModelRequest.cost_nano)).order_by(
                    col(ModelRequest.journal), col(ModelRequest.number)
                )
            )
            return [(row[0], row[1]) for row in found]

    async def total(self) -> tuple[int, int]:
        """Requests and nano-dollars of the sums by model."""
        async with self.rig.database.read() as db:
            row = (
                await db.execute(
                    select(func.sum(col(ModelTotal.requests)), func.sum(col(ModelTotal.cost_nano)))
                )
            ).one()
            return int(row[0] or 0), int(row[1] or 0)


@asynccontextmanager
async def tills(settings: Settings, folder: Path, script: Script | None = None) -> AsyncIterator[Till]:
    """Set one up; its sessions go on until they are stopped, unless told otherwise."""
    async with Upstream() as upstream:
        upstream.script = lambda _: Reply(CENTS_21)
        database = Database(settings.database)
        access = Access(provider(upstream), database, settings)
        runtime = FakeRuntime(script or Script.endless())
        async with rigged(settings, runtime, database, access=access) as rig:
            project = await rig.project(limit=3)
            token = rig.workspaces.keys(project, 1).token
            async with gateway(folder, control=token) as gate:
                runtime.gateway_url = f"http://127.0.0.1:{gate.control_port}"
                yield Till(rig, gate, upstream, project, access)


@pytest.fixture
async def till(settings: Settings, tmp_path: Path) -> AsyncIterator[Till]:
    """One for each test."""
    async with tills(settings, tmp_path) as found:
        yield found


async def test_what_a_session_spends_is_told_to_the_cent_while_it_runs_and_after(till: Till) -> None:
    session = await till.running()
    assert (session.cost, session.tokens_input, session.model_requests) == (None, None, None)
    await till.gate.ask()
    seen = await till.cost(session, 0.21)
    assert (seen.tokens_input, seen.tokens_output, seen.tokens_reasoning) == (MILLION, 100_000, 0)
    await till.gate.ask()
    await till.gate.ask("ses_2", parent="ses_1")
    await till.cost(session, 0.63)
    over = await till.stopped(session)
    assert (over.cost, over.cost_at_least, over.model_requests) == (0.63, 0.63, 3)
    assert await till.rows() == [(session.id, 210_000_000)] * 3
    assert await till.total() == (3, 630_000_000)


async def test_the_last_request_counts_although_nobody_looked_between_it_and_the_end(till: Till) -> None:
    session = await till.running()
    await till.gate.ask()
    assert (await till.stopped(session)).cost == 0.21


async def test_what_comes_after_the_end_is_counted_by_the_job_and_the_gateway_forgets_the_session(
    till: Till,
) -> None:
    session = await till.running()
    await till.stopped(session)
    await till.gate.ask()
    await till.rig.spending.look_after_all()
    assert (await till.rig.read(session)).cost == 0.21
    answer = await till.gate.control.get(f"/sessions/{session.id}")
    assert answer.status_code == 404


async def test_a_session_at_its_limit_is_refused_in_words(till: Till) -> None:
    await till.limit(usd=0.3)
    session = await till.running()
    assert session.limits.usd == 0.3
    assert [(await till.gate.ask()).status_code for _ in range(3)] == [200, 200, 402]
    refused = await till.gate.ask()
    assert refused.json()["code"] == Failure.BUDGET_EXHAUSTED
    assert "$0.42 of $0.30 spent" in refused.text
    assert (await till.stopped(session)).cost == 0.42


async def test_a_limit_of_the_project_counts_from_the_next_session_on(till: Till) -> None:
    session = await till.running()
    await till.limit(requests=1)
    assert [(await till.gate.ask()).status_code for _ in range(2)] == [200, 200]
    await till.stopped(session)
    await till.running()
    assert [(await till.gate.ask()).status_code for _ in range(2)] == [200, 402]


async def test_a_session_that_reached_its_limit_fails_and_is_not_repeated(
    settings: Settings, tmp_path: Path
) -> None:
    script = Script.failing("The limit of costs is reached: $0.42 of $0.30 spent.", Failure.BUDGET_EXHAUSTED)
    async with tills(settings, tmp_path, script) as till:
        over = await till.rig.over(await till.rig.execute(await till.rig.card(till.project)))
        assert (over.status, over.failure, over.attempt) == ("failed", "budget_exhausted", 1)
        assert over.error == f"The limit of costs is reached: $0.42 of $0.30 spent. {WHO_MAY}"


async def test_minutes_end_a_session_between_its_requests(till: Till) -> None:
    await till.limit(minutes=1)
    session = await till.running()
    async with till.rig.database.transaction() as db:
        earlier = now() - timedelta(seconds=61)
        await db.execute(update(Session).where(col(Session.id) == session.id).values(started_at=earlier))
    await till.rig.restart()
    over = await till.rig.over(session)
    assert (over.status, over.failure) == ("failed", "budget_exhausted")
    assert over.error is not None
    assert over.error.startswith("It has run for the 1 min that it may take.")


async def test_a_next_attempt_goes_on_with_what_the_session_has_spent(
    settings: Settings, tmp_path: Path
) -> None:
    async with tills(settings, tmp_path) as till:
        await till.limit(requests=3)
        session = await till.running()
        await till.gate.ask()
        await till.cost(session, 0.21)
        sidecar = till.rig.runtime.sidecars[till.project]
        first = sidecar.session(session.id)
        first.script = Script.failing("OpenCode went away.", Failure.AGENT_LOST)
        first.finish(SidecarStatus.FAILED)
        await till.rig.until(session, lambda view: view.attempt == 2 and view.last_seq > 2)
        await sidecar.reached(f"{session.id}-2", 1)
        assert [start.spends_for for start in sidecar.started] == [str(session.id)] * 2
        assert (await till.gate.spending(str(session.id))).spent.requests == 1
        assert [(await till.gate.ask()).status_code for _ in range(3)] == [200, 200, 402]
        assert (await till.stopped(session)).cost == 0.63


async def test_a_killed_gateway_is_told_again_and_nothing_counts_twice(till: Till) -> None:
    await till.limit(usd=0.5)
    session = await till.running()
    await till.gate.ask()
    await till.cost(session, 0.21)
    till.gate.kill()
    await till.gate.start()
    await eventually(lambda: till.rig.gateway.ready(endpoint(till)))
    await till.gate.ask()
    await till.cost(session, 0.42)
    assert (await till.gate.spending(str(session.id))).spent.nanodollars == 420_000_000
    assert [(await till.gate.ask()).status_code for _ in range(2)] == [200, 402]
    assert (await till.stopped(session)).cost == 0.63
    assert await till.total() == (3, 630_000_000)


async def test_a_gateway_that_lost_its_journal_forgets_no_limit(till: Till, tmp_path: Path) -> None:
    await till.limit(usd=0.5)
    session = await till.running()
    await till.gate.ask()
    await till.cost(session, 0.21)
    till.gate.kill()
    shutil.rmtree(tmp_path / "journal")
    await till.gate.start()
    # Somebody else's telling it the providers does not hide that it knows no session any more.
    await till.rig.spending.look_after_all()
    await eventually(lambda: registered(till, session))
    await till.gate.talk("ses_1", str(session.id))
    assert [(await till.gate.ask()).status_code for _ in range(3)] == [200, 200, 402]
    assert (await till.stopped(session)).cost == 0.63


async def test_an_engine_that_takes_over_goes_on_counting(till: Till) -> None:
    session = await till.running()
    await till.gate.ask()
    await till.cost(session, 0.21)
    await till.rig.restart()
    await till.gate.ask()
    await till.cost(session, 0.42)
    assert (await till.stopped(session)).cost == 0.42
    assert await till.total() == (2, 420_000_000)


async def test_whoever_copies_at_the_same_time_counts_once(till: Till) -> None:
    session = await till.running()
    others = [another(till) for _ in range(3)]
    for _ in range(4):
        await till.gate.ask()
        await asyncio.gather(*(each.copy(endpoint(till), till.project) for each in others))
    await till.cost(session, 0.84)
    assert len(await till.rows()) == 4
    assert await till.total() == (4, 840_000_000)


async def test_whoever_lost_the_lease_writes_no_sum(till: Till) -> None:
    session = await till.running()
    await till.gate.ask()
    await till.cost(session, 0.21)
    with pytest.raises(LeaseLost):
        await till.rig.spending.settle(Lease(session.id, till.project, "somebody else", 1), {})


async def test_talks_count_to_the_project_and_may_spend_on_a_day_what_a_session_may(till: Till) -> None:
    await till.limit(requests=2)
    await till.stopped(await till.running())
    await till.rig.spending.look_after_all()
    await till.gate.live({})
    assert [(await till.gate.ask("a talk")).status_code for _ in range(3)] == [200, 200, 402]
    await till.rig.spending.look_after_all()
    assert await till.rows() == [(None, 210_000_000)] * 2
    till.gate.kill()
    shutil.rmtree(till.gate.folder / "journal")
    await till.gate.start()
    await till.rig.spending.look_after_all()
    await till.gate.live({})
    assert (await till.gate.ask("a talk")).status_code == 402


async def test_a_price_that_nobody_knows_stays_unknown(till: Till) -> None:
    session = await till.running()
    await till.gate.ask(model="a-model-of-tomorrow")
    seen = await till.rig.until(session, lambda view: view.model_requests == 1)
    assert (seen.cost, seen.cost_at_least, seen.tokens_input) == (None, 0.0, MILLION)
    await till.gate.ask()
    await till.rig.until(session, lambda view: view.cost_at_least == 0.21)
    assert (await till.stopped(session)).cost is None


async def test_what_is_broken_off_leaves_a_least_amount(till: Till) -> None:
    session = await till.running()
    await till.gate.ask()
    hang = asyncio.Event()
    till.upstream.script = lambda _: Reply([*CENTS_21[:1], hang])
    asking = till.gate.opencode.send(till.gate.asking(), stream=True)
    await (await asking).aclose()
    await till.rig.until(session, lambda view: view.model_requests == 2)
    over = await till.stopped(session)
    assert (over.cost, over.cost_at_least) == (None, 0.21)


async def test_nothing_begins_where_the_gateway_cannot_be_told(till: Till) -> None:
    till.rig.runtime.gateway_url = f"http://127.0.0.1:{free_port()}"
    over = await till.rig.over(await till.rig.execute(await till.rig.card(till.project)))
    assert (over.status, over.error) == ("failed", "The workspace's gateway cannot be reached.")
    assert till.rig.runtime.sidecars[till.project].started == []


async def test_without_a_gateway_a_session_goes_on_and_nobody_knows_what_it_spends(till: Till) -> None:
    till.rig.runtime.gateway_url = ""
    session = await till.rig.running(await till.rig.card(till.project))
    over = await till.stopped(session)
    assert (over.status, over.cost, over.tokens_input, over.model_requests) == ("cancelled", None, None, None)


async def test_numbers_that_nobody_could_add_up_are_kept_within_bounds(till: Till) -> None:
    till.upstream.script = lambda _: Reply(openai(2**62, 2**62))
    session = await till.running()
    for _ in range(3):
        await till.gate.ask(model="m\u0000o" * 200)
    over = await till.rig.until(session, lambda view: view.model_requests == 3)
    assert over.tokens_output == 2**31 - 1
    assert len(await till.rows()) == 3


async def test_a_session_that_is_not_there_is_nobody_s(till: Till) -> None:
    await till.stopped(await till.running())
    await till.gate.session(str(uuid4()), "ses_9")
    await till.gate.ask("ses_9")
    await till.rig.spending.look_after_all()
    assert await till.rows() == [(None, 210_000_000)]


def endpoint(till: Till) -> Endpoint:
    """Where the engine finds the gateway."""
    return Endpoint("", till.gate.control_token, gateway_url=till.rig.runtime.gateway_url)


def another(till: Till) -> Spending:
    """What another process of the installation has."""
    return Spending(till.rig.database, till.rig.workspaces, till.rig.gateway, till.access)


async def registered(till: Till, session: SessionView) -> bool:
    """Whether the gateway knows the session."""
    answer = await till.gate.control.get(f"/sessions/{session.id}")
    return answer.status_code == 200


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_an_engine_that_is_killed_in_mid_run_counts_nothing_twice_and_forgets_no_limit(
    settings: Settings, tmp_path: Path
) -> None:
    sidecar = ScriptedSidecar(Script.endless(), trusting=True)
    runtime = FakeRuntime(sidecar)
    # Workspaces are looked after here, whatever happens to the engines beside.
    here = settings.model_copy(update={"lease": 60.0})
    async with sidecar, rigged(here, runtime, opened=False) as rig:
        project = await rig.project()
        await rig.projects.change(rig.actor, project, ProjectPatch(limits=LimitsPatch(requests=3)))
        async with gateway(tmp_path, control=rig.workspaces.keys(project, 1).token) as gate:
            runtime.gateway_url = f"http://127.0.0.1:{gate.control_port}"
            session = await rig.execute(await rig.card(project))
            for deaths in range(2):
                async with process(settings, sidecar, "--gateway", runtime.gateway_url) as engine:
                    await rig.until(session, lambda view: view.started_at is not None, 30)
                    await eventually(lambda deaths=deaths: claimed(rig, session, deaths + 1), 30)
                    if not deaths:
                        await gate.talk("ses_1", str(session.id))
                    # The rehearsal model that this engine hands out is a sidecar that has none: it refuses.
                    assert (await gate.ask(provider="rehearsal")).status_code == 404
                    await rig.until(session, lambda view, n=2 * deaths + 1: view.model_requests == n, 30)
                    refused = [404, 402][deaths]
                    assert (await gate.ask(provider="rehearsal")).status_code == refused
                    engine.kill()
                    await engine.wait()
            await rig.supervisor.open()
            await rig.until(session, lambda view: view.model_requests == 3, 30)
            assert (await gate.spending(str(session.id))).spent.requests == 3
            assert (await gate.ask(provider="rehearsal")).status_code == 402
            await rig.stop(session)
            over = await rig.over(session)
            assert (over.model_requests, over.cost) == (3, 0)


async def claimed(rig: Rig, session: SessionView, epoch: int) -> bool:
    """Whether the session was claimed so often."""
    async with rig.database.read() as db:
        return await db.scalar(select(col(Session.epoch)).where(col(Session.id) == session.id)) == epoch


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_two_replicas_copy_from_one_gateway_and_count_each_request_once(till: Till) -> None:
    first = await till.running()
    second_runtime = FakeRuntime(till.rig.runtime.sidecars[till.project])
    second_runtime.gateway_url = till.rig.runtime.gateway_url
    async with rigged(till.rig.settings, second_runtime, actor=till.rig.actor, access=till.access) as other:
        # What is executed now is claimed by whichever replica is first: both copy the same journal.
        rest = [await till.begun() for _ in range(2)]
        sessions = [first, *rest]
        for number, session in enumerate(sessions, 1):
            await till.gate.talk(f"ses_{number}", str(session.id))
        for _ in range(3):
            await asyncio.gather(*(till.gate.ask(f"ses_{number}") for number in (1, 2, 3)))
            copying = (other.spending, another(till))
            await asyncio.gather(*(each.copy(endpoint(till), till.project) for each in copying))
        for session in sessions:
            await till.cost(session, 0.63)
        assert await till.total() == (9, 9 * 210_000_000)
        for session in sessions:
            await till.stopped(session)
    assert len(await till.rows()) == 9
