"""When workspaces start and stop: kept warm by whoever looks, stopped when idle, never with a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.fakes import BrokenRuntime, FakeRuntime, SlowRuntime
from tests.runs.databases import DatabaseAwayForAWhile
from tests.runs.rig import Rig, rigged
from tests.scripted import Script
from tests.waiting import eventually
from vibe_app.accounts.roles import Actor, UserRole
from vibe_app.board.models import Project, Session
from vibe_app.errors import Forbidden, TooMany, Unavailable
from vibe_app.settings import Settings
from vibe_app.wire import now
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.waking import AT_MOST, Waking


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    async with rigged(settings, FakeRuntime(Script.endless())) as rig:
        yield rig


async def opened(rig: Rig, project_id: UUID) -> None:
    """A board that somebody opened, with its workspace up."""
    await rig.workspaces.opened(rig.actor, project_id)
    await eventually(lambda: project_id in rig.runtime.running)


async def an_hour_passes(rig: Rig) -> None:
    """For everything that the database remembers."""
    hour = timedelta(hours=1)
    async with rig.database.transaction() as db:
        await db.execute(update(Project).values(workspace_used_at=now() - hour))
        over = col(Session.completed_at).is_not(None)
        await db.execute(update(Session).where(over).values(completed_at=now() - hour))


async def test_a_board_that_is_opened_warms_its_workspace(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    assert rig.runtime.starts[project] == 1


async def test_opening_says_at_once_who_may_not(rig: Rig) -> None:
    stranger = Actor(uuid4(), UserRole.MEMBER, "eve@example.org", "Eve")
    with pytest.raises(Forbidden):
        await rig.workspaces.opened(stranger, await rig.project())
    assert rig.runtime.ensured.total() == 0


async def test_opening_twice_during_a_slow_start_is_one_start(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        for _ in range(3):
            await rig.workspaces.opened(rig.actor, project)
        await runtime.waiting.wait()
        assert runtime.ensured[project] == 1
        runtime.may_start.set()
        await eventually(lambda: project in runtime.running)


async def test_a_workspace_that_cannot_start_leaves_the_board_open(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with rigged(settings, BrokenRuntime("There is no room.")) as rig:
        await rig.workspaces.opened(rig.actor, await rig.project())
        await eventually(lambda: "There is no room." in caplog.text)


async def test_an_idle_workspace_is_stopped_and_its_files_are_kept(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[project] == 0
    await an_hour_passes(rig)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[project] == 1
    assert rig.runtime.erased == []
    assert await rig.runtime.alive() == set()


async def test_whoever_looks_keeps_it_warm(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await an_hour_passes(rig)
    await rig.workspaces.opened(rig.actor, project)
    await eventually(lambda: rig.runtime.ensured[project] == 2)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[project] == 0


async def test_a_workspace_with_a_live_session_is_never_idle(rig: Rig) -> None:
    session = await rig.running()
    await an_hour_passes(rig)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[session.project_id] == 0


async def test_the_end_of_a_session_counts_as_use(rig: Rig) -> None:
    session = await rig.running()
    await an_hour_passes(rig)
    await rig.stop(session)
    await rig.over(session)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[session.project_id] == 0
    await an_hour_passes(rig)
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[session.project_id] == 1


async def test_a_workspace_of_no_project_is_stopped_but_not_erased(rig: Rig) -> None:
    """Its rows may be missing because this is another database than the one it was made with."""
    unknown = uuid4()
    await rig.runtime.ensure(WorkspaceSpec(unknown))
    await rig.workspaces.stop_idle()
    assert rig.runtime.stops[unknown] == 1
    assert rig.runtime.erased == []


async def test_one_that_does_not_stop_does_not_save_the_others(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class RuntimeThatCannotStopOne(FakeRuntime):
        stubborn: UUID

        async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
            if project_id == self.stubborn:
                raise Unavailable("Process 4711 cannot be ended.")
            await super().stop(project_id, erase=erase)

    runtime = RuntimeThatCannotStopOne()
    async with rigged(settings, runtime) as rig:
        projects = [await rig.project() for _ in range(3)]
        runtime.stubborn = projects[1]
        for project in projects:
            await opened(rig, project)
        await an_hour_passes(rig)
        await rig.workspaces.stop_idle()
        assert await runtime.alive() == {runtime.stubborn}
        assert "Process 4711 cannot be ended." in caplog.text


async def test_at_the_start_the_rows_are_made_to_agree(rig: Rig) -> None:
    up, down, broken = [await rig.project() for _ in range(3)]
    await rig.runtime.ensure(WorkspaceSpec(up))
    await rig.workspaces.note_status(up, "starting", "Cloning")
    await rig.workspaces.note_status(down, "ready", None)
    await rig.workspaces.note_status(broken, "failed", "The clone was refused.")
    await rig.workspaces.correct_statuses()
    views = [(await rig.projects.read(rig.actor, project)).workspace for project in (up, down, broken)]
    assert [(view.status, view.reason) for view in views] == [
        ("ready", None),
        ("stopped", None),
        ("failed", "The clone was refused."),
    ]


async def test_a_start_that_another_process_is_at_is_left_alone(rig: Rig) -> None:
    project = await rig.project()
    await rig.workspaces.note_status(project, "starting", "Cloning")
    await rig.workspaces.correct_statuses()
    view = (await rig.projects.read(rig.actor, project)).workspace
    assert (view.status, view.reason) == ("starting", "Cloning")


async def test_who_takes_charge_of_all_workspaces_knows_that_no_start_goes_on(rig: Rig) -> None:
    begun, up = [await rig.project() for _ in range(2)]
    for project in (begun, up):
        await rig.workspaces.note_status(project, "starting", "Cloning")
    await rig.workspaces.correct_statuses({up})
    views = [(await rig.projects.read(rig.actor, project)).workspace for project in (begun, up)]
    assert [(view.status, view.reason) for view in views] == [("stopped", None), ("ready", None)]


async def test_a_status_reaches_every_open_board(rig: Rig) -> None:
    project = await rig.project()
    with rig.database.bus.subscribe(f"project:{project}") as board:
        await rig.workspaces.note_status(project, "starting", "Cloning the repository: 42 %")
        assert await board.wait(5) == {f"project:{project}"}


async def test_deleting_a_project_erases_its_workspace(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await rig.projects.delete(rig.actor, project, "Engine room")
    assert rig.runtime.erased == [project]
    assert await rig.runtime.alive() == set()


async def test_a_database_that_is_away_keeps_no_workspace_from_starting(settings: Settings) -> None:
    database = DatabaseAwayForAWhile(settings.database)
    async with rigged(settings, database=database, opened=False) as rig:
        async with database.read() as db:
            project = await db.get(Project, await rig.project())
        assert project is not None
        database.times = 1
        endpoint = await rig.workspaces.ensure(project)
        assert endpoint == rig.runtime.sidecars[project.id].endpoint


async def test_closing_leaves_only_workspaces_with_a_session(rig: Rig) -> None:
    session = await rig.running()
    project = await rig.project()
    await opened(rig, project)
    await rig.supervisor.close()
    await rig.workspaces.close()
    assert rig.runtime.kept == {session.project_id}


async def test_closing_takes_no_longer_than_it_may(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class RuntimeThatStopsNothing(FakeRuntime):
        async def close(self, keep: Collection[UUID] | None = None) -> None:
            if keep is not None:
                await asyncio.Event().wait()
            await super().close(keep)

    monkeypatch.setattr("vibe_app.workspaces.service.CLOSE_SECONDS", 0.1)
    async with rigged(settings, RuntimeThatStopsNothing()) as rig:
        await opened(rig, await rig.project())
        async with asyncio.timeout(5):
            await rig.workspaces.close()
    assert "not every workspace was stopped" in caplog.text


async def test_closing_without_a_database_stops_nothing(settings: Settings) -> None:
    """Nobody can tell which workspace has a live session."""
    database = DatabaseAwayForAWhile(settings.database)
    async with rigged(settings, database=database) as rig:
        project = await rig.project()
        await opened(rig, project)
        await rig.supervisor.close()
        database.times = 1
        await rig.workspaces.close()
        assert await rig.runtime.alive() == {project}


async def test_closing_breaks_off_a_start(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        await rig.workspaces.opened(rig.actor, await rig.project())
        await runtime.waiting.wait()
        async with asyncio.timeout(5):
            await rig.workspaces.close()
        assert runtime.running == set()


async def test_one_person_wakes_only_so_many_by_looking(rig: Rig) -> None:
    projects = [await rig.project() for _ in range(AT_MOST + 1)]
    for project in projects[:-1]:
        await opened(rig, project)
    await rig.workspaces.opened(rig.actor, projects[-1])  # the board opens all the same
    for project in projects:
        await rig.workspaces.note_status(project, "ready" if project == projects[0] else "stopped", None)
        await rig.workspaces.opened(rig.actor, project)  # those woken before, and what is awake, are no more
    await eventually(lambda: len(rig.runtime.running) >= AT_MOST and not rig.workspaces._starting)
    assert set(rig.runtime.running) == set(projects[:-1])
    session = await rig.execute(await rig.card(projects[-1]))
    await rig.until(session, lambda view: view.started_at is not None)


async def test_what_could_not_be_woken_or_is_gone_does_not_count(settings: Settings) -> None:
    async with rigged(settings, BrokenRuntime()) as rig:
        for _ in range(AT_MOST + 1):
            await rig.workspaces.opened(rig.actor, await rig.project())
            await eventually(lambda: not rig.workspaces._starting)
        rig.workspaces.wake(rig.actor, Project(name="One more"))


async def test_what_a_workspace_says_of_itself_has_no_character_that_cannot_be_seen(rig: Rig) -> None:
    project = await rig.project()
    await rig.workspaces.note_status(project, "failed", "Its branches are b\u202e\n\x1b[31m1")
    found = await rig.projects.read(rig.actor, project)
    assert found.workspace.reason == "Its branches are b\\u202e\\n\\x1b[31m1"


def test_the_count_forgets_what_has_stopped_by_now() -> None:
    moment = now()
    waking = Waking(timedelta(minutes=30), lambda: moment)
    person, other, projects = uuid4(), uuid4(), [uuid4() for _ in range(AT_MOST + 1)]
    for project in projects[:-1]:
        waking.count(person, project)
        moment += timedelta(seconds=1)
    with pytest.raises(TooMany) as refused:
        waking.count(person, projects[-1])
    assert refused.value.retry_after == 30 * 60 - AT_MOST + 1
    waking.count(other, projects[-1])
    moment += timedelta(seconds=refused.value.retry_after)
    waking.count(person, projects[-1])
