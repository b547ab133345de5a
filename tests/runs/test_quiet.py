"""A run that says nothing for long is known as quiet, and left alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.fakes import FakeRuntime
from tests.runs.rig import PEOPLE, Rig
from tests.scripted import Script
from tests.waiting import eventually
from vibe_app.board.sessions import endings
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions import service as verbs
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.sessions.service import Sessions
from vibe_app.board.tasks.service import Tasks
from vibe_app.board.tasks.showing import Showing
from vibe_app.runs import writer
from vibe_app.runs.event_log import Entry
from vibe_app.wire import EventType, now

NOTICE = 0.4


@pytest.fixture
def runtime() -> FakeRuntime:
    """Workspaces whose sessions say one line and go on until they are stopped."""
    return FakeRuntime(Script.endless())


async def view(rig: Rig, session: SessionView, notice: float = NOTICE) -> SessionView:
    """The session as an installation with this notice shows it."""
    sessions = Sessions(rig.database, 9, quiet_notice=notice)
    return await sessions.read(rig.actor, session.project_id, session.task_id, session.id)


async def everywhere(rig: Rig, session: SessionView, notice: float = NOTICE) -> set[datetime | None]:
    """Since when it is quiet, on its card and wherever else it is shown."""
    sessions = Sessions(rig.database, 9, quiet_notice=notice)
    place = (rig.actor, session.project_id, session.task_id)
    shown = [
        await sessions.read(*place, session.id),
        await sessions.glance(*place, session.id),
        *(await sessions.history(*place)).items,
        *(await sessions.of_project(*place[:2], active=True)).items,
        (await Tasks(rig.database, PEOPLE, Showing(PEOPLE, 9, notice)).read(*place)).session,
    ]
    return {each.quiet_since for each in shown if each}


async def is_quiet(rig: Rig, session: SessionView) -> bool:
    return (await view(rig, session)).quiet_since is not None


async def say(rig: Rig, session: SessionView, words: str = "Still here\n") -> None:
    """Have the session's sidecar say something."""
    played = rig.runtime.sidecars[session.project_id].sessions[str(session.id)]
    before = (await rig.read(session)).last_seq
    played.append("output", words)
    played.knock()
    await rig.until(session, lambda view: view.last_seq > before)


async def test_a_silent_run_becomes_quiet_until_its_next_word(rig: Rig) -> None:
    session = await rig.running()
    await rig.until(session, lambda view: view.last_seq == 1)
    assert await everywhere(rig, session, 300.0) == {None}
    await eventually(lambda: is_quiet(rig, session))
    shown = await view(rig, session)
    assert shown.status == "running"
    assert shown.quiet_since
    assert abs(shown.quiet_since - now()) < timedelta(seconds=30)
    assert await everywhere(rig, session) == {shown.quiet_since}
    await say(rig, session)
    assert not await is_quiet(rig, session)
    await eventually(lambda: is_quiet(rig, session))
    await rig.stop(session)
    await rig.over(session)
    assert (await rig.read(session)).quiet_since is None


async def test_one_that_never_said_a_word_is_quiet_since_it_started(rig: Rig, runtime: FakeRuntime) -> None:
    runtime._given = Script(events=(), outcome=None)
    session = await rig.running()
    await eventually(lambda: is_quiet(rig, session))
    assert (await rig.read(session)).last_seq == 0


async def test_one_that_waits_for_something_else_is_not_quiet(rig: Rig) -> None:
    await rig.supervisor.close()
    session = await rig.execute()
    old = now().timestamp() - 1000

    async def change(**values: object) -> None:
        async with rig.database.transaction() as db:
            await db.execute(update(Session).where(col(Session.id) == session.id).values(**values))

    await change(heard_at=old)
    assert not await is_quiet(rig, session)  # it stands in line
    await change(status="running", not_before=now().timestamp() + 1000)
    assert await everywhere(rig, session) == {None}  # it is tried again later
    await change(owner="somebody")
    assert await is_quiet(rig, session)
    await change(heard_at=None)
    assert not await is_quiet(rig, session)  # an older version of the app has started it


async def test_no_hosts_clock_makes_it_quiet(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the sidecar's, which stamps the events, nor this one's, which may jump."""
    session = await rig.running()

    def hours_ago(hours: float) -> datetime:
        return now() - timedelta(hours=hours)

    for hours in (1, -1):
        for module in (writer, session_queries, endings, verbs):
            monkeypatch.setattr(module, "now", lambda hours=hours: hours_ago(hours))
        lease = rig.supervisor._runs[session.id].run.record.lease
        await rig.event_log.append(lease, [Entry(EventType.OUTPUT, "A word\n", hours_ago(-hours))])
        shown = await view(rig, session, 30.0)
        assert shown.last_event_at
        assert abs(shown.last_event_at - now()) > timedelta(minutes=59)
        assert shown.quiet_since is None
