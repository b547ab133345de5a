"""The engine ended in mid-run, with and without a goodbye: the next one goes on, and the logged is exact."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests import fakes
from tests.runs.rig import Rig, assert_whole, lines, rigged, texts
from tests.scripted import Script, ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.settings import Settings

ROOT = Path(__file__).parent.parent.parent


async def crashes(rig: Rig, session: SessionView) -> int:
    async with rig.database.read() as db:
        return await db.scalar(select(col(Session.crashes)).where(col(Session.id) == session.id)) or 0


async def assert_exact(rig: Rig, sidecar: ScriptedSidecar, session: SessionView, count: int) -> None:
    ended = await rig.over(session, 30)
    assert (ended.status, ended.attempt) == ("completed", 1)
    logged = await rig.logged(session)
    assert_whole(logged)
    assert texts(logged) == lines(count)
    assert ended.output == "".join(lines(count))
    assert (await rig.task(session)).status == "AI_REVIEW"
    assert len(sidecar.started) == 1, "the agent was started once"


async def test_handed_over_again_and_again(settings: Settings) -> None:
    async with (
        ScriptedSidecar(Script.lines(400, rate=400), trusting=True) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar)) as rig,
    ):
        session = await rig.running()
        following = asyncio.create_task(_follow(rig, session))
        for seq in (50, 120, 250):
            await sidecar.reached(session.id, seq)
            await rig.restart()
        await assert_exact(rig, sidecar, session, 400)
        assert await crashes(rig, session) == 0
        assert await following == lines(400)


async def _follow(rig: Rig, session: SessionView) -> list[str]:
    return [text async for batch in rig.event_log.follow(session.id) for text in texts(batch.events)]


async def test_handed_over_while_the_workspace_starts(settings: Settings) -> None:
    runtime = fakes.SlowRuntime()
    async with rigged(settings, runtime) as rig:
        session = await rig.execute()
        await runtime.waiting.wait()
        await rig.supervisor.close()
        assert (await rig.read(session)).status == "pending"
        runtime.may_start.set()
        await rig.supervisor.open()
        assert (await rig.over(session)).status == "completed"


async def test_finished_while_nobody_was_there(settings: Settings) -> None:
    async with (
        ScriptedSidecar(Script.lines(30, rate=100), trusting=True) as sidecar,
        rigged(settings, fakes.FakeRuntime(sidecar)) as rig,
    ):
        session = await rig.running()
        await rig.supervisor.close()
        await sidecar.reached(session.id, 31)
        await rig.supervisor.open()
        await assert_exact(rig, sidecar, session, 30)


async def test_closing_ends_everything_that_was_started(settings: Settings) -> None:
    async with rigged(settings, fakes.FakeRuntime(Script.endless())) as rig:
        before = asyncio.all_tasks()
        await rig.supervisor.close()
        await rig.supervisor.open()
        session = await rig.running()
        await rig.supervisor.close()
        assert rig.supervisor.running == 0
        await rig.runtime.destroy()
        left = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in left if "session" in name or str(session.id) in name], left


@asynccontextmanager
async def process(settings: Settings, sidecar: ScriptedSidecar, *more: str) -> AsyncIterator[Process]:
    """An engine in a process of its own, ready; killed at the end if it still runs."""
    endpoint = sidecar.endpoint
    arguments = ["--data", str(settings.data), "--database", settings.database]
    arguments += ["--lease", str(settings.lease), "--heartbeat", str(settings.heartbeat)]
    arguments += ["--url", endpoint.url, "--token", endpoint.token, "--key", settings.secret_key, *more]
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.runs.engine_process", *arguments, cwd=ROOT, stdout=PIPE
    )
    try:
        assert engine.stdout is not None
        assert await engine.stdout.readline() == b"ready\n"
        yield engine
    finally:
        if engine.returncode is None:
            engine.kill()
        await engine.wait()


@pytest.fixture
async def sidecar() -> AsyncIterator[ScriptedSidecar]:
    async with ScriptedSidecar(Script.lines(1500, rate=500), trusting=True) as sidecar:
        yield sidecar


async def test_killed_twice_in_mid_run(settings: Settings, sidecar: ScriptedSidecar) -> None:
    async with rigged(settings, fakes.FakeRuntime(sidecar), opened=False) as rig:
        session = await rig.execute()
        for seq in (200, 700):
            async with process(settings, sidecar) as engine:
                await sidecar.reached(session.id, seq)
                await _until_stored(rig, session, seq // 2)
                await _until_owned(rig, session, engine)
                engine.kill()
                await engine.wait()
        async with process(settings, sidecar):
            await assert_exact(rig, sidecar, session, 1500)
        assert await crashes(rig, session) == 2


async def test_terminated_in_mid_run(settings: Settings, sidecar: ScriptedSidecar) -> None:
    async with rigged(settings, fakes.FakeRuntime(sidecar), opened=False) as rig:
        session = await rig.execute()
        async with process(settings, sidecar) as engine:
            await _until_stored(rig, session, 100)
            engine.terminate()
            assert await engine.wait() == 0
        await rig.supervisor.open()
        await assert_exact(rig, sidecar, session, 1500)
        assert await crashes(rig, session) == 0


async def test_stopped_before_anybody_took_what_it_had_said(settings: Settings) -> None:
    sidecar = ScriptedSidecar(Script.endless(), trusting=True)
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar), opened=False) as rig:
        session = await rig.execute()
        async with process(settings, sidecar, "--poison") as engine:
            assert await engine.wait() == -9
        assert (await rig.stop(session)).stop_requested
        await rig.supervisor.open()
        assert (await rig.over(session)).status == "cancelled"
        logged = await rig.logged(session)
        assert_whole(logged)
        assert texts(logged) == ["Hello\n"]
        assert sidecar.session(session.id).status == "cancelled"
        assert len(sidecar.started) == 1


async def _until_owned(rig: Rig, session: SessionView, engine: Process) -> None:
    """Return once a process has claimed the session."""

    async def owned() -> bool:
        async with rig.database.read() as db:
            owner = await db.scalar(select(col(Session.owner)).where(col(Session.id) == session.id))
        return f"-{engine.pid}-" in (owner or "")

    await eventually(owned, 20)


async def _until_stored(rig: Rig, session: SessionView, seq: int) -> None:
    """Return once the logged holds event number `seq`; another process writes it, so no wake-up comes."""

    async def stored() -> bool:
        return (await rig.read(session)).last_seq >= seq

    await eventually(stored, 20)


async def test_a_run_that_kills_its_process_is_not_tried_for_ever(settings: Settings) -> None:
    sidecar = ScriptedSidecar(Script.endless(), trusting=True)
    async with sidecar, rigged(settings, fakes.FakeRuntime(sidecar), opened=False) as rig:
        session = await rig.execute()
        for _ in range(3):
            async with process(settings, sidecar, "--poison") as engine:
                assert await engine.wait() == -9
        await rig.supervisor.open()
        ended = await rig.over(session)
        assert (ended.status, ended.failure) == ("failed", "broken")
        assert ended.error == "It was broken off by a crash 3 times and is not tried again."
        assert (await rig.task(session)).status == "TODO"
        assert_whole(await rig.logged(session))
        assert sidecar.calls["POST /sessions"] == 3
        await rig.orphans.end_all()
        await rig.orphans.end_all()
        assert str(session.id) not in sidecar.sessions, "it was ended there, and let go of"
