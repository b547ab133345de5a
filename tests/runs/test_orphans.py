"""What a workspace works on although it is over here: found and ended there."""

from __future__ import annotations

import asyncio

import pytest

from tests import fakes
from tests.runs.rig import Rig, assert_whole, rigged, texts
from tests.scripted import Request, Script, ScriptedSidecar
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.jobs.registry import Jobs
from vibe_app.processes import process_name
from vibe_app.settings import Settings
from vibe_app.wire import EventType, StartSession


class SidecarWithoutAWord(ScriptedSidecar):
    """Does what it is asked, but while it is `mute` no answer arrives."""

    def __init__(self) -> None:
        super().__init__(Script.endless())
        self.mute = True

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if not self.mute:
            return await super().answer(request, writer)
        if request.method == "POST" and request.path == "/sessions":
            start = StartSession.model_validate_json(request.body)
            if start.session_id not in self.sessions:
                self.begin(start)
        raise ConnectionResetError


async def work_that_nobody_waits_for(rig: Rig, sidecar: SidecarWithoutAWord) -> str:
    """Have the sidecar start a session of which the app was told nothing; return its id."""
    session = await rig.over(await rig.execute())
    assert (session.status, session.failure) == ("failed", "unreachable")
    assert sidecar.session(session.id).status == "running"
    sidecar.mute = False
    return str(session.id)


@pytest.mark.alone
async def test_work_that_nobody_waits_for_is_ended(settings: Settings) -> None:
    sidecar = SidecarWithoutAWord()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session_id = await work_that_nobody_waits_for(rig, sidecar)
        # Once it is over, the sidecar may be told to forget it.
        orphan = sidecar.session(session_id)
        await rig.orphans.end_all()
        assert orphan.status == "cancelled"


@pytest.mark.alone
async def test_a_job_ends_it_without_being_asked(settings: Settings) -> None:
    sidecar = SidecarWithoutAWord()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session_id = await work_that_nobody_waits_for(rig, sidecar)
        jobs = Jobs(rig.database, process_name(), settings.lease)
        jobs.add(rig.orphans.job)
        await jobs.open()
        orphan = sidecar.session(session_id)
        async with asyncio.timeout(10):
            while not orphan.final:
                await orphan.news.wait()
        await jobs.close()
        assert orphan.status == "cancelled"


async def test_what_is_waited_for_goes_on(settings: Settings) -> None:
    sidecar = ScriptedSidecar(Script.endless())
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        # Not of this app: whoever started it knows why.
        sidecar.begin(StartSession(session_id="by-hand", prompt="Try something"))
        await rig.orphans.end_all()
        assert sidecar.session(session.id).status == "running"
        assert sidecar.session("by-hand").status == "running"


async def test_the_agent_of_an_earlier_attempt_is_ended(settings: Settings) -> None:
    sidecar = ScriptedSidecar(Script.endless())
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.running()
        sidecar.begin(StartSession(session_id=f"{session.id}-7", prompt="As after a lost answer"))
        await rig.orphans.end_all()
        assert sidecar.session(f"{session.id}-7").status == "cancelled"
        assert sidecar.session(session.id).status == "running"


async def test_journals_that_the_event_log_holds_are_let_go_of(settings: Settings) -> None:
    sidecar = ScriptedSidecar(lambda start: Script.endless() if "long" in start.prompt else Script.lines(3))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        over = await rig.over(await rig.execute())
        project = await rig.project()
        long = await rig.tasks.create(rig.actor, project, NewTask(title="A long one"))
        live = await rig.running(long)
        sidecar.begin(StartSession(session_id="by-hand", prompt="Try something"))
        await rig.orphans.end_all()
        assert sorted(sidecar.sessions) == sorted([str(live.id), "by-hand"])
        assert_whole(await rig.logged(over))


async def test_a_workspace_that_does_not_answer_is_left_for_the_next_time(settings: Settings) -> None:
    sidecar = SidecarWithoutAWord()
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session_id = await work_that_nobody_waits_for(rig, sidecar)
        sidecar.mute = True
        await rig.orphans.end_all()
        assert sidecar.session(session_id).status == "running"
        sidecar.mute = False
        await rig.orphans.end_all()
        assert sidecar.session(session_id).status == "cancelled"


class SidecarWhoseStreamStandsStill(ScriptedSidecar):
    """Sends `after` events on a session's first stream and then only comments; later streams are whole."""

    def __init__(self, after: int, script: Script) -> None:
        super().__init__(script, keep_alive=0.05)
        self.after = after
        self.streams = 0

    async def send_events(
        self, session: fakes.ScriptedSession, after: int, writer: asyncio.StreamWriter
    ) -> None:
        self.streams += 1
        if self.streams > 1:
            return await super().send_events(session, after, writer)
        await self.reached(session.start.session_id, self.after)
        await fakes.send_chunk(writer, b"".join(session.frames[after : self.after]))
        while True:
            await fakes.send_chunk(writer, b": keep-alive\n\n")
            await asyncio.sleep(self.keep_alive)


async def test_an_end_that_the_stream_keeps_to_itself_is_found_by_comparison(settings: Settings) -> None:
    sidecar = SidecarWhoseStreamStandsStill(3, Script.lines(8))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.over(await rig.execute())
        assert session.status == "completed"
        logged = await rig.logged(session)
        assert_whole(logged)
        assert len(texts(logged, EventType.OUTPUT)) == 8
        assert sidecar.streams == 2


async def test_a_session_that_is_forgotten_while_its_stream_stays_up_is_tried_again(
    settings: Settings,
) -> None:
    sidecar = SidecarWhoseStreamStandsStill(1, Script.lines(4))
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar)) as rig:
        session = await rig.execute()
        await sidecar.readers_are(session.id, 1)
        sidecar.forget()
        over = await rig.over(session)
        assert (over.status, over.attempt) == ("completed", 2)
