"""A run that breaks in the middle: taken up again where that is worth while, else ended with its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests import fakes
from tests.runs.rig import QUICK, Rig, assert_whole, lines, rigged, texts
from tests.scripted import Request, Script, ScriptedSidecar, send
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.errors import DiskFull
from vibe_app.settings import Settings
from vibe_app.wire import EventType, Failure, StartSession, Usage


def in_order(*scripts: Script) -> ScriptedSidecar:
    """A sidecar that plays one script after the other, one for each session it starts."""
    left = list(scripts)
    return ScriptedSidecar(lambda _: left.pop(0))


async def attempts(rig: Rig, session: SessionView) -> list[str]:
    """What the logged says of failed attempts."""
    return [text for text in texts(await rig.logged(session), EventType.STATUS) if "Attempt" in text]


async def test_a_forgotten_session_is_tried_three_more_times(settings: Settings) -> None:
    sidecar = fakes.SidecarThatForgets()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute(), 20)
        assert (session.status, session.failure, session.attempt) == ("failed", "agent_lost", 4)
        assert session.error == "The workspace does not know the session any more."
        assert [start.session_id for start in sidecar.started] == [
            f"{session.id}{suffix}" for suffix in ("", "-2", "-3", "-4")
        ]
        assert [text.partition(":")[0] for text in await attempts(rig, session)] == [
            f"Attempt {number} failed" for number in (1, 2, 3)
        ]
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == ["Hello\n"] * 4
        assert (await rig.task(session)).status == "TODO"


async def test_a_workspace_that_dies_once(settings: Settings) -> None:
    runtime = fakes.RuntimeDyingMidRun(after=3, script=Script.lines(10, rate=200))
    async with rigged(settings, runtime) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt, runtime.deaths) == ("completed", 2, 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(10)[:3] + lines(10)
        assert len(await attempts(rig, session)) == 1
        assert (await rig.task(session)).status == "AI_REVIEW"


async def test_a_workspace_that_dies_every_time(settings: Settings) -> None:
    async with rigged(settings, fakes.RuntimeDyingMidRun(times=99)) as rig:
        session = await rig.over(await rig.execute(), 20)
        assert (session.status, session.failure, session.attempt) == ("failed", "agent_lost", 4)


async def test_a_full_disk_is_told_once_and_not_run_into_again(settings: Settings) -> None:
    runtime = fakes.RuntimeWithoutRoom()
    async with rigged(settings, runtime) as rig:
        card = await rig.card()
        ended = await rig.over(await rig.execute(card))
        assert (ended.status, ended.failure, ended.attempt) == ("failed", "disk_full", 1)
        with pytest.raises(DiskFull, match=r"The disk is full: free some space\."):
            await rig.sessions.wait_for_outcome(ended.id)
        runtime.full = False
        session = await rig.over(await rig.execute(card))
        assert session.status == "completed"
    assert runtime.starts[card.project_id] == 2, "one for each Execute"


async def test_a_workspace_that_fills_its_disk_in_mid_run_gets_no_second_attempt(settings: Settings) -> None:
    script = Script.failing("The workspace's disk is full.", Failure.DISK_FULL)
    async with rigged(settings, fakes.FakeRuntime(script)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure, session.attempt) == ("failed", "disk_full", 1)
        assert (await rig.task(session)).status == "TODO"


async def test_a_workspace_that_died_and_finds_no_room_to_start_again(settings: Settings) -> None:
    runtime = fakes.RuntimeWithoutRoom(Script.endless())
    runtime.full = False
    async with rigged(settings, runtime) as rig:
        session = await rig.running()
        runtime.full = True
        await runtime.sidecars[session.project_id].die()
        ended = await rig.over(session)
        assert (ended.status, ended.failure, ended.attempt) == ("failed", "disk_full", 1)
        logged = await rig.logged(session)
        told = [event.text for event in logged if "disk is full" in event.text]
        assert told == [f"Session failed: {ended.error}"]


async def test_why_a_workspace_ended_is_said_with_the_loss_that_it_caused(settings: Settings) -> None:
    runtime = fakes.FakeRuntime(Script.endless())
    sentence = "OpenCode used up its memory (its limit is 2Gi) and was ended."
    async with rigged(settings, runtime) as rig:
        session = await rig.execute()
        await rig.until(session, lambda view: view.status == "running")
        rig.reconciler.troubled(session.project_id, sentence, final=False)
        await rig.told(session.project_id, sentence)
        for name, attempt in ((str(session.id), 2), (f"{session.id}-2", 3)):
            sidecar = runtime.sidecars[session.project_id]
            await sidecar.reached(name, 1)
            await sidecar.die(lose_sessions=True)
            await rig.until(session, lambda view, attempt=attempt: view.attempt == attempt)
        first, second = await attempts(rig, session)
        assert f"The workspace does not know the session any more. {sentence} Trying" in first
        assert sentence not in second


async def test_a_wait_between_attempts_is_shown(settings: Settings) -> None:
    sidecar = fakes.SidecarThatForgets()
    async with (
        sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar), retry_policy=replace(QUICK, repeat=20)) as rig,
    ):
        session = await rig.execute()
        waiting = await rig.until(session, lambda view: view.attempt == 2)
        assert (waiting.status, waiting.failure) == ("running", None)
        assert waiting.waiting_for is not None
        number, unit = waiting.waiting_for.removeprefix("retry in ").split()
        assert 19 <= int(number) <= 30
        assert unit == "s"
        (said,) = await attempts(rig, session)
        assert said.startswith("Attempt 1 failed: The workspace does not know the session any more. Trying")
        assert (await rig.task(session)).status == "IN_PROGRESS"


async def test_an_overloaded_provider_is_tried_again_and_every_attempt_is_paid_for(
    settings: Settings,
) -> None:
    overloaded = replace(
        Script.failing("The provider is overloaded.", Failure.PROVIDER_BUSY),
        usage=Usage(tokens_input=10, tokens_output=1, cost=0.25),
    )
    good = Script(usage=Usage(tokens_input=20, tokens_output=2, cost=0.5))
    sidecar = in_order(overloaded, overloaded, good)
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt, session.failure) == ("completed", 3, None)
        assert (session.tokens_input, session.tokens_output, session.cost) == (40, 4, 1.0)
        assert_whole(await rig.logged(session))


@pytest.mark.parametrize("failure", [Failure.PROVIDER_REFUSED, Failure.BROKEN, None])
async def test_what_is_not_worth_repeating(settings: Settings, failure: Failure | None) -> None:
    sidecar = ScriptedSidecar(replace(Script.failing("No."), failure=failure))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure, session.attempt) == ("failed", failure or "broken", 1)
        assert len(sidecar.started) == 1


async def test_the_agent_of_a_lost_attempt_is_ended_before_the_next(settings: Settings) -> None:
    """The workspace was away for too long, but its agent was at work all the time."""
    sidecar = SidecarAwayInTheMiddle(Script.endless())
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.until(session, lambda view: view.last_seq > 0)
        sidecar.leave()
        await rig.until(session, lambda view: view.attempt == 2)
        sidecar.away = False
        await sidecar.reached(f"{session.id}-2", 1)
        assert sidecar.session(session.id).status == "cancelled"
        assert sidecar.session(f"{session.id}-2").status == "running"


class SidecarAwayInTheMiddle(ScriptedSidecar):
    """Behaves, but while it is `away` everything that it is asked gets a web page."""

    away = False

    def leave(self) -> None:
        """Be away from now on; streams that are open break."""
        self.away = True
        for connection in list(self._connections):
            connection.cancel()

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.away:
            return await send(writer, 200, "text/html", b"<!doctype html><title>Bad gateway</title>")
        return await super().answer(request, writer)


async def test_a_short_absence_is_no_loss(settings: Settings) -> None:
    sidecar = SidecarAwayInTheMiddle(Script.lines(300, rate=400))
    async with (
        sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar), retry_policy=replace(QUICK, lost=30)) as rig,
    ):
        session = await rig.running()
        await sidecar.reached(session.id, 50)
        sidecar.leave()
        await sidecar.reached(session.id, 200)
        sidecar.away = False
        session = await rig.over(session)
        assert (session.status, session.attempt) == ("completed", 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(300)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: fakes.SidecarThatCutsStreams(every=7, script=Script.lines(100)),
        lambda: fakes.SidecarThatCutsStreams(every=40, script=Script.lines(400, rate=2000)),
        lambda: fakes.SidecarThatStutters(Script.lines(100)),
        lambda: fakes.SidecarThatEndsWithoutDone(Script.lines(20)),
    ],
    ids=["cut", "cut while it speaks", "stutters", "without done"],
)
async def test_the_log_is_exact_over_a_bad_line(
    settings: Settings, bad: Callable[[], ScriptedSidecar]
) -> None:
    async with bad() as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt) == ("completed", 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(len(logged) - 1)
        assert len(sidecar.started) == 1


async def test_an_event_that_is_withheld_for_ever(settings: Settings) -> None:
    sidecar = fakes.SidecarThatSkips(missing=4, script=Script.lines(10))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(10)[: len(logged) - 1], "nothing of what comes after the gap"
        assert len(logged) <= 4
        assert (session.status, session.failure, session.attempt) == ("failed", "broken", 1)
        assert (
            session.error == f"The workspace does not give out number {len(logged)} of the session's output."
        )
        assert sidecar.calls["GET /sessions/stream"] < 12


async def test_a_sidecar_that_falls_silent_with_more_to_say(settings: Settings) -> None:
    sidecar = fakes.SidecarThatFallsSilent(after=2, script=Script.lines(5, outcome=None))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute(), 20)
        assert (session.status, session.failure) == ("failed", "broken")
        assert "number 3" in (session.error or "")
        assert texts(await rig.logged(session)) == lines(5)[:2]


async def test_an_agent_that_only_thinks_is_waited_for(settings: Settings) -> None:
    """A stream that breaks in a long silence, again and again, is no failure while nothing is withheld."""
    thinking = Script(events=[("output", "one\n", 0), ("output", "two\n", 2.5)])
    async with rigged(settings, fakes.FakeRuntime(thinking)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt) == ("completed", 1)
        assert texts(await rig.logged(session)) == ["one\n", "two\n"]
        assert rig.runtime.sidecars[session.project_id].calls["GET /sessions/stream"] > 2


async def test_a_session_found_forgotten_after_a_restart_is_not_mixed_with_a_new_one(
    settings: Settings,
) -> None:
    """Started anew under its old id, its events would count from 1 again and the first would be left out."""

    def script(start: StartSession) -> Script:
        return Script.endless() if not start.session_id.endswith("-2") else Script.lines(3)

    async with ScriptedSidecar(script) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        await rig.until(session, lambda view: view.last_seq == 1)
        await rig.supervisor.close()
        sidecar.forget()
        await rig.supervisor.open()
        session = await rig.over(session)
        assert (session.status, session.attempt) == ("completed", 2)
        assert texts(await rig.logged(session)) == ["Hello\n", *lines(3)]
        assert [start.session_id for start in sidecar.started] == [str(session.id), f"{session.id}-2"]
