"""One run from Execute to its end: what stands in the logged, in the row and on the card."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from tests import fakes
from tests.conftest import SQLITE
from tests.runs.rig import QUICK, Rig, assert_whole, lines, rigged, texts
from tests.scripted import Script, ScriptedSidecar
from vibe_app.errors import NotFound, Unavailable
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.settings import Settings
from vibe_app.wire import EventType, Failure, SidecarStatus, Usage

SCRIPT = Script(
    events=[
        ("status", "Reading the folder", 0),
        ("output", "Now I write ", 0),
        ("output", "the file.\n", 0),
        ("error", "No such tool: frobnicate", 0),
        ("output", "\x1b[32mAll done.\x1b[0m\n", 0),
    ],
    usage=Usage(tokens_input=12, tokens_output=34, cost=0.5),
)


async def test_a_completed_session(settings: Settings) -> None:
    async with ScriptedSidecar(SCRIPT) as sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        card = await rig.card()
        reviewed = await rig.over(await rig.execute(await rig.card(card.project_id)))
        session = await rig.over(await rig.execute(card))
        logged = await rig.logged(session)
        assert_whole(logged)
        assert [(event.type, event.text) for event in logged] == [
            *((EventType(kind), text) for kind, text, _ in SCRIPT.events),
            (EventType.DONE, "Session completed"),
        ]
        journal = [
            (e.type, e.text, e.timestamp) async for e in rig.agent.stream(sidecar.endpoint, session.id)
        ]
        assert [(e.type, e.text, e.timestamp) for e in logged[:-1]] == journal[:-1]
        assert (session.status, session.error, session.failure) == ("completed", None, None)
        assert session.output == "Now I write the file.\nAll done.\n"
        assert session.last_line == "All done."
        assert (session.tokens_input, session.tokens_output, session.cost) == (12, 34, 0.5)
        assert session.last_seq == len(logged)
        assert session.started_at is not None
        assert session.completed_at is not None
        assert session.duration_ms == round(
            (session.completed_at - session.started_at).total_seconds() * 1000
        )
        task = await rig.task(session)
        assert task.status == "AI_REVIEW"
        assert task.position < (await rig.task(reviewed)).position, "what came last stands on top"
        assert [start.prompt for start in sidecar.started] == [session.prompt] * 2


async def test_a_failed_session_says_why_and_goes_back(settings: Settings) -> None:
    script = Script.failing("The model refused the key.", Failure.PROVIDER_REFUSED)
    async with rigged(settings, fakes.FakeRuntime(script)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.error) == ("failed", "The model refused the key.")
        assert (session.failure, session.attempt) == ("provider_refused", 1)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert logged[-1].text == "Session failed: The model refused the key."
        assert (await rig.task(session)).status == "TODO"
        again = await rig.over(await rig.execute(await rig.task(session)))
        assert again.id != session.id


async def test_a_session_cancelled_by_its_own_sidecar(settings: Settings) -> None:
    script = Script(outcome=SidecarStatus.CANCELLED)
    async with rigged(settings, fakes.FakeRuntime(script)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, (await rig.task(session)).status) == ("cancelled", "TODO")
        assert_whole(await rig.logged(session))


async def test_a_long_run_is_written_whole_and_in_order(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.lines(12_000))) as rig:
        session = await rig.over(await rig.execute(), 60)
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == lines(12_000)
        assert session.output == "".join(lines(12_000))


async def test_what_a_workspace_says_is_made_safe_to_show(settings: Settings) -> None:
    nasty = "a\x00b\x1b]0;title\x07c\x1b[2Jd\x1b[31mred\x1b[0m </script>\ud800\n"
    async with rigged(settings, fakes.FakeRuntime(Script(events=[("output", nasty, 0)]))) as rig:
        session = await rig.over(await rig.execute())
        assert texts(await rig.logged(session)) == ["abcd\x1b[31mred\x1b[0m </script>?\n"]
        assert session.output == "abcdred </script>?\n"


# On a busy machine a workspace that is there at once may take longer than QUICK's notice, and pass for one
# that starts: then Execute answers `pending`, rightly.
UNHURRIED = replace(QUICK, notice=5.0)


async def test_execute_answers_running_once_the_sidecar_accepted(settings: Settings) -> None:
    async with rigged(settings, retry_policy=UNHURRIED) as rig:
        session = await rig.execute()
        outcome = await rig.sessions.wait_for_outcome(session.id)
        assert outcome.status in ("running", "completed")
        assert outcome.started_at is not None


async def test_execute_answers_pending_while_the_workspace_starts(settings: Settings) -> None:
    runtime = fakes.SlowRuntime()
    async with rigged(settings, runtime) as rig:
        session = await rig.execute()
        outcome = await rig.sessions.wait_for_outcome(session.id)
        assert (outcome.status, outcome.waiting_for) == ("pending", "workspace starting")
        runtime.may_start.set()
        assert (await rig.over(session)).status == "completed"


@pytest.mark.parametrize(
    ("away", "attempts"),
    [
        (fakes.SidecarThatHangsUp, "connection"),
        (lambda: fakes.SidecarAnsweringError(500), "refused"),
        (fakes.SidecarNotReady, "refused"),
        (fakes.SidecarThatNeverAnswers, "request"),
    ],
    ids=["hangs up", "error", "not ready", "never answers"],
)
async def test_a_sidecar_that_cannot_be_reached(
    settings: Settings, away: Callable[[], ScriptedSidecar], attempts: str
) -> None:
    async with away() as sidecar, rigged(settings, fakes.FakeRuntime(sidecar), retry_policy=UNHURRIED) as rig:
        session = await rig.execute()
        with pytest.raises(Unavailable) as raised:
            await rig.sessions.wait_for_outcome(session.id)
        ended = await rig.read(session)
        assert (ended.status, ended.failure, ended.error) == ("failed", "unreachable", raised.value.message)
        assert (await rig.task(session)).status == "TODO"
        assert sidecar.calls[attempts] >= 3
        logged = await rig.logged(session)
        assert_whole(logged)
        assert len(logged) == 1


@pytest.mark.alone
@pytest.mark.parametrize("database_kind", [SQLITE])  # eight seconds, none of them the database's
async def test_real_waiting_times_fit_into_the_ten_seconds_of_execute(settings: Settings) -> None:
    sidecar = fakes.SidecarThatNeverAnswers()
    # On a busy machine the second look at the workspace takes so long that Execute answers with that.
    policy = RetryPolicy(notice=10)
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar), retry_policy=policy) as rig:
        card = await rig.card()
        await rig.workspaces.ensure(card.project_id)
        began = time.monotonic()
        session = await rig.execute(card)
        with pytest.raises(Unavailable):
            await rig.sessions.wait_for_outcome(session.id)
        assert time.monotonic() - began < 9.5


async def test_a_workspace_that_cannot_start(settings: Settings) -> None:
    runtime = fakes.BrokenRuntime("OpenCode ended while starting: out of memory.")
    async with rigged(settings, runtime, retry_policy=UNHURRIED) as rig:
        session = await rig.execute()
        with pytest.raises(Unavailable, match="out of memory"):
            await rig.sessions.wait_for_outcome(session.id)
        assert (await rig.read(session)).failure == "unreachable"
        assert (await rig.task(session)).status == "TODO"
        assert runtime.ensured[session.project_id] == 3


async def test_a_workspace_that_starts_at_the_third_try(settings: Settings) -> None:
    async with rigged(settings, fakes.BrokenRuntime(times=2)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.attempt) == ("completed", 1)


async def test_a_sidecar_that_is_ready_at_the_third_try(settings: Settings) -> None:
    sidecar = fakes.SidecarNotReady(times=2)
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        assert (await rig.over(await rig.execute())).status == "completed"
        assert len(sidecar.started) == 1


async def test_a_sidecar_that_refuses_is_not_asked_again(settings: Settings) -> None:
    sidecar = fakes.SidecarAnsweringError(422, sentence="This prompt cannot be sent.")
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert (session.failure, session.error) == ("broken", "This prompt cannot be sent.")
        assert sidecar.calls["refused"] <= 2, "once to start, once to see that nothing runs"


async def test_a_session_whose_workspace_never_starts_fails_in_time(settings: Settings) -> None:
    settings = settings.model_copy(update={"start_timeout": 3})
    runtime = fakes.SlowRuntime()
    async with rigged(settings, runtime) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure) == ("failed", "unreachable")
        assert session.error == "It did not start within 3 s: starting the workspace."
        assert (await rig.task(session)).status == "TODO"
        runtime.may_start.set()


async def test_the_limit_of_a_start_names_why_the_last_try_failed(settings: Settings) -> None:
    limited = settings.model_copy(update={"start_timeout": 2})
    patient = replace(QUICK, pause=60.0)  # before the next try
    async with rigged(limited, fakes.BrokenRuntime("There is no room."), retry_policy=patient) as rig:
        session = await rig.over(await rig.execute())
        assert session.status == "failed"
        assert session.error == "It did not start within 2 s: there is no room."


async def test_a_session_that_runs_too_long_is_stopped(settings: Settings) -> None:
    settings = settings.model_copy(update={"session_timeout": 0.5})
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        session = await rig.over(await rig.execute())
        assert (session.status, session.failure) == ("failed", "broken")
        assert "longer than" in (session.error or "")
        assert rig.runtime.sidecars[session.project_id].session(session.id).status == "cancelled"
        assert_whole(await rig.logged(session))


async def test_ten_projects_run_side_by_side(settings: Settings) -> None:
    settings = settings.model_copy(update={"installation_limit": 10})
    async with rigged(settings, fakes.FakeRuntime(Script.lines(300, rate=1000))) as rig:
        sessions = [await rig.execute() for _ in range(10)]
        ended = await asyncio.gather(*(rig.over(session, 30) for session in sessions))
        assert {session.status for session in ended} == {"completed"}
        for session in ended:
            assert texts(await rig.logged(session)) == lines(300)


async def test_the_outcome_of_a_session_that_never_was(rig: Rig) -> None:
    with pytest.raises(NotFound):
        await rig.sessions.wait_for_outcome(uuid4())
