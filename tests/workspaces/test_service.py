"""What is wanted of workspaces: written by whoever asks, and answered once it is so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.fakes import BrokenRuntime, FakeRuntime, SlowRuntime
from tests.runs.rig import Rig, rigged
from tests.scripted import Script
from tests.waiting import eventually
from tests.workspaces.looking import opened, row_of, settled
from vibe_app.accounts.roles import Actor, UserRole
from vibe_app.errors import CannotStart, Conflict, DiskFull, Forbidden, TooMany, Unavailable
from vibe_app.settings import Settings
from vibe_app.wire import now
from vibe_app.workspaces import service, waking
from vibe_app.workspaces.runtimes.base import Progress, WorkspaceSpec
from vibe_app.workspaces.states import WorkspaceStatus
from vibe_app.workspaces.waking import AT_MOST, Waking


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    async with rigged(settings, FakeRuntime(Script.endless())) as rig:
        yield rig


async def test_a_board_that_is_opened_warms_its_workspace(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    assert rig.runtime.starts[project] == 1


async def test_opening_says_at_once_who_may_not(rig: Rig) -> None:
    stranger = Actor(uuid4(), UserRole.MEMBER, "eve@example.org", "Eve")
    project = await rig.project()
    with pytest.raises(Forbidden):
        await rig.workspaces.opened(stranger, project)
    assert await row_of(rig, project) is None


async def test_opening_twice_during_a_slow_start_is_one_start(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        for _ in range(3):
            await rig.workspaces.opened(rig.actor, project)
        await runtime.waiting.wait()
        assert runtime.ensured[project] == 1
        runtime.may_start.set()
        await settled(rig, project, "ready")
        assert runtime.starts[project] == 1


async def test_a_workspace_that_cannot_start_leaves_the_board_open(settings: Settings) -> None:
    async with rigged(settings, BrokenRuntime("There is no room.")) as rig:
        project = await rig.project()
        await rig.workspaces.opened(rig.actor, project)
        row = await settled(rig, project, "failed")
        assert row.reason == "There is no room."


async def test_a_start_that_has_failed_since_is_the_answer_and_not_made_again(settings: Settings) -> None:
    runtime = BrokenRuntime("There is no room.")
    async with rigged(settings, runtime) as rig:
        project, began = await rig.project(), now()
        await rig.workspaces.opened(rig.actor, project)
        await settled(rig, project, "failed")
        with pytest.raises(Unavailable, match="no room"):
            await rig.workspaces.ensure(project, since=began)
        assert runtime.ensured[project] == 1
        with pytest.raises(Unavailable, match="no room"):
            await rig.workspaces.ensure(project, since=now())
        assert runtime.ensured[project] == 2


async def test_who_waits_is_told_each_step_and_where_it_answers(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        project, said = await rig.project(), asyncio.Queue[str]()
        waiting = asyncio.create_task(rig.workspaces.ensure(project, said.put))
        await runtime.waiting.wait()
        assert await asyncio.wait_for(said.get(), 5) == "Starting the workspace"
        runtime.may_start.set()
        endpoint = await asyncio.wait_for(waiting, 5)
        assert endpoint.url == runtime.sidecars[project].endpoint.url
        row = await row_of(rig, project)
        assert row is not None
        assert endpoint.token == rig.workspaces.keys(project, row.epoch).token


async def test_where_it_answered_is_asked_for_without_a_start(rig: Rig) -> None:
    project = await rig.project()
    first = await rig.workspaces.ensure(project)
    assert await rig.workspaces.ensure(project) == first
    assert rig.runtime.ensured[project] == 1
    assert await rig.workspaces.ready() == {project: first}


async def test_one_that_does_not_answer_any_more_is_mended(rig: Rig) -> None:
    project = await rig.project()
    first = await rig.workspaces.ensure(project)
    await rig.runtime.sidecars[project].die()
    await rig.workspaces.ensure(project, doubted=first)
    assert rig.runtime.starts[project] == 2
    assert rig.runtime.sidecars[project].up


async def test_one_that_answers_after_all_keeps_its_epoch(rig: Rig) -> None:
    project = await rig.project()
    first = await rig.workspaces.ensure(project)
    assert await rig.workspaces.ensure(project, doubted=first) == first
    assert (rig.runtime.ensured[project], rig.runtime.starts[project]) == (2, 1)


@pytest.mark.parametrize("kind", [Unavailable, DiskFull, CannotStart])
async def test_a_failure_keeps_its_kind_on_its_way_through_the_row(
    settings: Settings, kind: type[Unavailable]
) -> None:
    class RuntimeThatFails(FakeRuntime):
        async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
            raise kind("It does not start: no room.", "no_room")

    async with rigged(settings, RuntimeThatFails()) as rig:
        project = await rig.project()
        for _ in range(2):  # asked again, it is tried again
            with pytest.raises(kind, match="no room") as caught:
                await rig.workspaces.ensure(project)
            assert type(caught.value) is kind
            assert caught.value.code == "no_room"
        assert rig.runtime.ensured[project] == 2


async def test_a_process_without_an_engine_says_that_nobody_starts_anything(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "NOBODY", 0.0)
    monkeypatch.setattr(service, "LOOK", 0.05)
    async with rigged(settings, looked_after=False, opened=False) as rig:
        with pytest.raises(Unavailable, match="Nobody starts workspaces at the moment"):
            await rig.workspaces.ensure(await rig.project())


async def test_once_the_engine_is_gone_nobody_is_said_to_start_anything(rig: Rig) -> None:
    await opened(rig, await rig.project())
    await rig.workspaces.check()
    await rig.jobs.close()
    with pytest.raises(Unavailable, match="Nobody starts workspaces at the moment"):
        await rig.workspaces.check()


async def test_the_workspace_of_a_project_that_is_gone_is_not_started(rig: Rig) -> None:
    with pytest.raises(Unavailable, match="The project was deleted"):
        await rig.workspaces.ensure(uuid4())


async def test_a_person_restarts_a_workspace(rig: Rig) -> None:
    project = await rig.project()
    first = await rig.workspaces.ensure(project)
    await rig.workspaces.restart(rig.actor, project)
    await settled(rig, project, "ready")
    assert (rig.runtime.stops[project], rig.runtime.starts[project]) == (1, 2)
    assert (await rig.workspaces.ensure(project)).token != first.token
    assert rig.runtime.erased == []


async def test_a_restart_under_a_session_must_be_meant(rig: Rig) -> None:
    session = await rig.running()
    with pytest.raises(Conflict, match="A session runs in this workspace"):
        await rig.workspaces.restart(rig.actor, session.project_id)
    assert rig.runtime.stops[session.project_id] == 0
    await rig.workspaces.restart(rig.actor, session.project_id, interrupt=True)
    await eventually(lambda: rig.runtime.starts[session.project_id] == 2)


async def test_who_only_looks_does_not_restart(rig: Rig) -> None:
    project = await rig.project()
    await rig.workspaces.ensure(project)
    stranger = Actor(uuid4(), UserRole.MEMBER, "eve@example.org", "Eve")
    with pytest.raises(Forbidden):
        await rig.workspaces.restart(stranger, project)
    assert rig.runtime.stops[project] == 0


async def test_other_settings_reach_a_workspace_before_its_next_session(rig: Rig) -> None:
    session = await rig.running()
    rig.runtime.old.add(session.project_id)
    await rig.reconciler.compare()
    await settled(rig, session.project_id, "ready")
    assert rig.runtime.stops[session.project_id] == 0, "not under a session that runs"
    await rig.stop(session)
    await rig.over(session)
    await rig.running(await rig.card(session.project_id))
    assert rig.runtime.starts[session.project_id] == 2


async def test_other_settings_do_not_reach_a_workspace_where_another_session_is_at_work(rig: Rig) -> None:
    project = await rig.project(limit=2)
    first = await rig.running(await rig.card(project))
    rig.runtime.old.add(project)
    await rig.reconciler.compare()
    await rig.reconciler.write()
    row = await row_of(rig, project)
    assert row is not None
    assert row.outdated
    await rig.running(await rig.card(project))
    assert (rig.runtime.stops[project], rig.runtime.starts[project]) == (0, 1)
    assert (await rig.read(first)).status == "running"


async def test_a_status_reaches_every_open_board(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        await rig.workspaces.opened(rig.actor, project)
        await settled(rig, project, "starting")
        with rig.database.bus.subscribe(f"project:{project}") as board:
            runtime.may_start.set()
            assert await board.wait(5) == {f"project:{project}"}
        view = (await rig.projects.read(rig.actor, project)).workspace
        assert view.status in ("starting", "ready")


async def test_deleting_a_project_erases_its_workspace(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await rig.projects.delete(rig.actor, project, "Engine room")
    assert await rig.workspaces.erased(project, 5)
    assert rig.runtime.erased == [project]
    assert await rig.runtime.alive() == {}
    assert await row_of(rig, project) is None


async def test_deleting_a_project_during_a_start_breaks_that_off(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        waiting = asyncio.create_task(rig.workspaces.ensure(project))
        await runtime.waiting.wait()
        await rig.projects.delete(rig.actor, project, "Engine room")
        with pytest.raises(Unavailable):
            await asyncio.wait_for(waiting, 5)
        assert await rig.workspaces.erased(project, 5)


async def test_one_person_wakes_only_so_many_by_looking(rig: Rig) -> None:
    projects = [await rig.project() for _ in range(AT_MOST + 1)]
    for project in projects[:-1]:
        await opened(rig, project)
    await rig.workspaces.opened(rig.actor, projects[-1])  # the board opens all the same
    assert await row_of(rig, projects[-1]) is None
    for project in projects[:-1]:
        await rig.workspaces.opened(rig.actor, project)  # those woken before are no more
    session = await rig.execute(await rig.card(projects[-1]))
    await rig.until(session, lambda view: view.started_at is not None)


async def test_what_could_not_be_woken_or_is_gone_does_not_count(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "SETTLED", timedelta(0))
    projects = [await rig.project() for _ in range(AT_MOST + 3)]
    for project in projects[:AT_MOST]:
        await opened(rig, project)
    await rig.projects.delete(rig.actor, projects[0], "Engine room")
    await rig.reconciler.told(projects[1], WorkspaceStatus.FAILED, "No room.", None)
    await settled(rig, projects[1], "failed")
    for project in projects[AT_MOST : AT_MOST + 2]:
        await opened(rig, project)
    with pytest.raises(TooMany):
        await rig.workspaces.wake(rig.actor, projects[-1])


async def test_what_a_workspace_says_of_itself_has_no_character_that_cannot_be_seen(
    settings: Settings,
) -> None:
    async with rigged(settings, BrokenRuntime("Its branches are b\u202e\n\x1b[31m1")) as rig:
        project = await rig.project()
        await rig.workspaces.opened(rig.actor, project)
        await settled(rig, project, "failed")
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
