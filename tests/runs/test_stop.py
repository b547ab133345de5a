"""Stop, whenever it comes: in line, at the start, in mid-run, twice, too late, with nobody there to obey."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from tests import fakes
from tests.runs.rig import QUICK, Rig, assert_whole, lines, rigged, texts
from tests.scripted import Request, Script, ScriptedSession, ScriptedSidecar, send_chunk
from tests.waiting import eventually
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.errors import InvalidRequest
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.settings import Settings
from vibe_app.wire import EventType, Failure, SidecarStatus
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, WorkspaceSpec


class RuntimeOnItsLastLegs(fakes.FakeRuntime):
    """Says of a workspace that it is ready, also once it has died."""

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        if sidecar := self.sidecars.get(spec.project_id):
            return sidecar.endpoint
        return await super().ensure(spec, progress)


class SidecarThatFreezes(ScriptedSidecar):
    """Accepts connections and answers nothing any more once it is `frozen`; streams stay open."""

    frozen = False

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        await super().answer(request, writer)


class SidecarThatDribbles(ScriptedSidecar):
    """Gives out five events of a session that runs, and the others a few at a time once it is over."""

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        sent = after
        while not (session.final and sent == len(session.frames)):
            news = session.news
            if batch := session.frames[sent : sent + 3 if session.final else 5]:
                await send_chunk(writer, b"".join(batch))
                sent += len(batch)
                await asyncio.sleep(0.1)
            else:
                await news.wait()


class SidecarThatStartsUnheard(ScriptedSidecar):
    """Starts every session and hangs up before it has said so."""

    def __init__(self) -> None:
        super().__init__(Script.endless())
        self.heard = asyncio.Event()

    async def on_start(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        try:
            await super().on_start(request, writer)
        finally:
            self.heard.set()


async def assert_cancelled(rig: Rig, session: SessionView, seconds: float = 10.0) -> SessionView:
    ended = await rig.over(session, seconds)
    assert (ended.status, ended.stop_requested) == ("cancelled", True)
    assert (await rig.task(session)).status == "TODO"
    logged = await rig.logged(session)
    assert_whole(logged)
    assert logged[-1].text == "Session cancelled"
    return ended


async def test_in_line_it_is_cancelled_at_once(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        project = await rig.project(limit=1)
        await rig.running(await rig.card(project))
        waiting = await rig.execute(await rig.card(project))
        assert (await rig.stop(waiting)).status == "cancelled"
        await assert_cancelled(rig, waiting)
        assert len(rig.runtime.sidecars[project].started) == 1


async def test_while_the_workspace_starts(settings: Settings) -> None:
    runtime = fakes.SlowRuntime()
    async with rigged(settings, runtime) as rig:
        session = await rig.execute()
        await runtime.waiting.wait()
        await rig.stop(session)
        await assert_cancelled(rig, session, 2)
        assert runtime.sidecars[session.project_id].started == []
        runtime.may_start.set()


async def test_in_mid_run(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        stopping = await rig.stop(session)
        assert (stopping.status, stopping.stop_requested) == ("running", True)
        await assert_cancelled(rig, session)
        sidecar = rig.runtime.sidecars[session.project_id]
        assert sidecar.session(session.id).status is SidecarStatus.CANCELLED
        assert texts(await rig.logged(session)) == ["Hello\n"]


async def test_it_is_heard_at_once_and_not_only_with_the_heartbeat(settings: Settings) -> None:
    settings = settings.model_copy(update={"lease": 60.0, "heartbeat": 30.0})
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        await rig.stop(session)
        await assert_cancelled(rig, session, 5)


async def test_twice_is_once(settings: Settings) -> None:
    sidecar = fakes.SidecarThatStopsSlowly()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.stop(session)
        again = await rig.stop(session)
        assert (again.status, again.stop_requested) == ("running", True)
        sidecar.may_stop.set()
        await assert_cancelled(rig, session)


async def test_after_the_end_it_is_refused(rig: Rig) -> None:
    session = await rig.over(await rig.execute())
    with pytest.raises(InvalidRequest, match="no running session"):
        await rig.stop(session)
    assert (await rig.read(session)).status == "completed"


async def test_a_sidecar_that_takes_its_time(settings: Settings) -> None:
    sidecar = fakes.SidecarThatStopsSlowly()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.stop(session)
        # Longer than one call may take: the engine has to ask again.
        await asyncio.sleep(rig.retry_policy.stop * 1.5)
        assert (await rig.read(session)).status == "running"
        sidecar.may_stop.set()
        await assert_cancelled(rig, session)
        assert texts(await rig.logged(session), EventType.ERROR) == []


async def test_a_sidecar_that_never_stops_is_not_waited_for_for_ever(settings: Settings) -> None:
    sidecar = fakes.SidecarThatStopsSlowly()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.stop(session)
        await assert_cancelled(rig, session, 2 * rig.retry_policy.stopping + 3)
        assert texts(await rig.logged(session), EventType.ERROR) == [
            "The workspace did not confirm the stop: the agent may still be at work there."
        ]


@pytest.mark.alone
async def test_a_sidecar_that_is_dead(settings: Settings) -> None:
    """The runtime cannot bring it back either; with the waiting times of real life."""
    runtime = RuntimeOnItsLastLegs(Script.endless())
    async with rigged(settings, runtime, retry_policy=RetryPolicy()) as rig:
        session = await rig.running()
        await runtime.sidecars[session.project_id].die()
        began = time.monotonic()
        await rig.stop(session)
        await assert_cancelled(rig, session)
        assert time.monotonic() - began < 7


@pytest.mark.alone
async def test_a_sidecar_that_hangs(settings: Settings) -> None:
    sidecar = SidecarThatFreezes(Script.endless())
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar), retry_policy=RetryPolicy()) as rig:
        session = await rig.running()
        sidecar.frozen = True
        began = time.monotonic()
        await rig.stop(session)
        await assert_cancelled(rig, session)
        assert time.monotonic() - began < 7


async def test_a_workspace_that_answers_elsewhere_by_now(settings: Settings) -> None:
    """Its old address takes connections and says nothing, as that of a node that was lost."""
    old = SidecarThatFreezes(Script.endless())
    async with old, ScriptedSidecar() as new, rigged(settings, fakes.FakeRuntime(old)) as rig:
        session = await rig.running()
        old.frozen = True
        new.sessions = old.sessions
        rig.runtime.sidecars[session.project_id] = new
        await rig.stop(session)
        await assert_cancelled(rig, session)
        assert new.calls["POST /sessions/stop"] == 1
        assert texts(await rig.logged(session), EventType.ERROR) == []


async def test_a_workspace_that_died_and_was_started_again(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.running()
        await rig.stop(session)
        await rig.runtime.sidecars[session.project_id].die()
        await assert_cancelled(rig, session)


@pytest.mark.alone
async def test_what_was_said_before_it_comes_slowly(settings: Settings) -> None:
    """For longer than a silent sidecar is waited for: all of it stands in the logged."""
    script = Script.lines(30, rate=1000, outcome=None)
    async with SidecarThatDribbles(script) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await sidecar.reached(session.id, 30)
        await rig.stop(session)
        await assert_cancelled(rig, session)
        logged = await rig.logged(session)
        assert texts(logged) == lines(30)
        assert texts(logged, EventType.ERROR) == []


async def test_while_nobody_runs_it(settings: Settings) -> None:
    """Pressed between two processes of the app: the next one ends the agent and keeps all that it said."""
    script = Script.lines(200, rate=200, outcome=None)
    async with ScriptedSidecar(script) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.until(session, lambda view: view.last_seq > 0)
        await rig.supervisor.close()
        assert (await rig.stop(session)).status == "running"
        await sidecar.reached(session.id, 150)
        await rig.supervisor.open()
        await assert_cancelled(rig, session)
        journal = sidecar.session(session.id)
        assert journal.status is SidecarStatus.CANCELLED
        assert texts(await rig.logged(session)) == lines(200)[: len(journal.frames) - 1]


async def test_while_nobody_runs_it_and_its_workspace_does_not_start(settings: Settings) -> None:
    runtime = fakes.SlowRuntime(Script.endless())
    runtime.may_start.set()
    async with rigged(settings, runtime) as rig:
        session = await rig.running()
        await rig.until(session, lambda view: view.last_seq > 0)
        await rig.supervisor.close()
        await runtime.stop(session.project_id)
        runtime.may_start.clear()
        await rig.stop(session)
        await rig.supervisor.open()
        await assert_cancelled(rig, session, 3)


async def test_while_it_waits_for_its_next_attempt(settings: Settings) -> None:
    retry_policy = replace(QUICK, repeat=60.0)
    script = Script.failing("The provider is overloaded.", Failure.PROVIDER_BUSY)
    async with rigged(settings, fakes.FakeRuntime(script), retry_policy=retry_policy) as rig:
        session = await rig.execute()
        await rig.until(session, lambda view: view.attempt == 2)
        await rig.stop(session)
        await assert_cancelled(rig, session, 3)
        assert len(rig.runtime.sidecars[session.project_id].started) == 1


@pytest.mark.parametrize("count", [1, 40, 400])
async def test_racing_with_the_end(settings: Settings, count: int) -> None:
    """Whichever wins, the session, its card and what the sidecar says agree."""
    async with (
        ScriptedSidecar(Script.lines(count, rate=2000)) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar)) as rig,
    ):
        outcomes = set()
        for _ in range(8):
            session = await rig.execute()
            await sidecar.reached(session.id, count)
            with suppress(InvalidRequest):
                await rig.stop(session)
            ended = await rig.over(session)
            outcomes.add(ended.status)
            assert ended.status == sidecar.session(session.id).status
            assert (await rig.task(session)).status == (
                "TODO" if ended.status == "cancelled" else "AI_REVIEW"
            )
            logged = await rig.logged(session)
            assert_whole(logged)
            assert texts(logged) == lines(count)
        assert outcomes <= {"completed", "cancelled"}


async def test_while_the_sidecar_is_asked_to_start(settings: Settings) -> None:
    """The request may have been heard: the agent must not go on behind a cancelled session."""
    sidecar = SidecarThatStartsUnheard()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.execute()
        await sidecar.heard.wait()
        await rig.stop(session)
        await assert_cancelled(rig, session)
        assert sidecar.session(session.id).status is SidecarStatus.CANCELLED


async def test_an_agent_that_started_unheard_is_ended(settings: Settings) -> None:
    """No Stop here: the session fails as unreachable, and nothing goes on behind it."""
    sidecar = SidecarThatStartsUnheard()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure) == ("failed", "unreachable")
        await eventually(lambda: sidecar.session(session.id).status is SidecarStatus.CANCELLED)
