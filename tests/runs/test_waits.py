"""A run whose model's provider asks it to come back later: its place is free, and it comes back."""

from __future__ import annotations

from datetime import timedelta

from tests import fakes
from tests.runs.rig import Rig, assert_whole, rigged, texts
from tests.scripted import Script, ScriptedSidecar
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.settings import Settings
from vibe_app.wire import EventType, Failure, SidecarStatus, now


def busy(seconds: float) -> Script:
    """A run that is told to come back."""
    return Script(
        outcome=SidecarStatus.FAILED,
        error="The model's provider lets it wait.",
        failure=Failure.PROVIDER_WAIT,
        retry_at=now() + timedelta(seconds=seconds),
    )


def in_order(*scripts: Script) -> ScriptedSidecar:
    """A sidecar that plays one script after the other."""
    left = list(scripts)
    return ScriptedSidecar(lambda _: left.pop(0))


async def waiting(rig: Rig, session: SessionView) -> SessionView:
    """The session once it waits for its provider."""
    return await rig.until(session, lambda view: "provider until" in (view.waiting_for or ""))


async def test_a_wait_of_two_hours_holds_no_place(settings: Settings) -> None:
    async with in_order(busy(7200), Script()) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        project = await rig.project()
        session = await rig.execute(await rig.card(project))
        shown = await waiting(rig, session)
        until = now() + timedelta(seconds=7200)
        assert shown.waiting_for in {
            f"the provider until {until - timedelta(seconds=early):%H:%M} UTC" for early in (0, 30)
        }
        assert (shown.status, shown.attempt, shown.queue_position) == ("running", 2, None)
        assert (await rig.over(await rig.execute(await rig.card(project)))).status == "completed"
        assert "its place is free" in texts(await rig.logged(session), EventType.STATUS)[-1]
        await rig.restart()
        assert (await rig.read(session)).waiting_for == shown.waiting_for


async def test_it_comes_back_when_the_time_has_come_and_has_all_its_repeats_left(settings: Settings) -> None:
    lost = Script.failing("It went away.", Failure.AGENT_LOST)
    scripts = [busy(0.2), busy(0.2), busy(0.2), busy(0.2), lost, lost, lost, Script()]
    async with in_order(*scripts) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute(), 40)
        assert (session.status, session.attempt) == ("completed", 8)
        assert_whole(await rig.logged(session))


async def test_stop_ends_it_at_once_also_where_its_place_is_taken(settings: Settings) -> None:
    async with (
        in_order(busy(7200), Script.endless()) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar)) as rig,
    ):
        project = await rig.project()
        session = await rig.execute(await rig.card(project))
        await waiting(rig, session)
        other = await rig.running(await rig.card(project))
        assert (await rig.stop(session)).status == "cancelled"
        assert (await rig.task(session)).status == "TODO"
        assert (await rig.read(other)).status == "running"


async def test_when_the_time_has_come_it_stands_in_line_for_a_place(settings: Settings) -> None:
    async with (
        in_order(busy(1), Script.endless(), Script()) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar)) as rig,
    ):
        project = await rig.project()
        session = await rig.execute(await rig.card(project))
        await rig.until(session, lambda view: view.attempt == 2)
        other = await rig.running(await rig.card(project))
        line = await rig.until(session, lambda view: view.queue_position is not None)
        assert (line.queue_position, line.waiting_for) == (1, "project limit")
        await rig.stop(other)
        assert (await rig.over(session)).status == "completed"


async def test_no_run_waits_for_ever(settings: Settings) -> None:
    limited = settings.model_copy(update={"session_timeout": 600.0})
    async with in_order(busy(7500)) as sidecar, rigged(limited, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure) == ("failed", "provider_wait")
        assert "longer than the 2.0 h for which a run waits in all" in (session.error or "")
