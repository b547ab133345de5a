"""What runs is made to agree with the rows, however they came apart; nothing that is used is stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, update

from tests.fakes import FakeRuntime, RuntimeThatIsAway, SlowRuntime
from tests.runs.databases import DatabaseAwayForAWhile
from tests.runs.rig import Rig, rigged
from tests.scripted import Script
from tests.specs import spec_of
from tests.test_processes import name_of_an_ended_process
from tests.waiting import eventually
from tests.workspaces.looking import an_hour_passes, opened, row_of, settled
from vibe_app.aio import BROKEN
from vibe_app.board.projects.models import Project
from vibe_app.errors import Unavailable
from vibe_app.jobs.models import JobRow
from vibe_app.processes import process_name
from vibe_app.settings import Settings
from vibe_app.wire import now
from vibe_app.workspaces import reconcile, rows
from vibe_app.workspaces.models import Workspace, WorkspaceUse
from vibe_app.workspaces.runtimes.base import FILES_GONE, Endpoint, WorkspaceSpec
from vibe_app.workspaces.states import Desired, WorkspaceStatus
from vibe_app.workspaces.usage import used


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    async with rigged(settings, FakeRuntime(Script.endless())) as rig:
        yield rig


async def compared(rig: Rig) -> None:
    """All that runs was compared with all rows, and what came of it is done."""
    await rig.reconciler.compare()
    async with rig.database.read() as db:
        ids = await rows.known(db)
    for project_id in ids:
        async with asyncio.timeout(10):
            with rig.database.bus.subscribe(rows.topic(project_id)) as changes:
                while (row := await row_of(rig, project_id)) and row.observed != row.generation:
                    await changes.wait(0.2)


async def test_an_idle_workspace_is_stopped_and_its_files_are_kept(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await compared(rig)
    assert rig.runtime.stops[project] == 0
    await an_hour_passes(rig)
    await compared(rig)
    assert rig.runtime.stops[project] == 1
    assert rig.runtime.erased == []
    assert await rig.runtime.alive() == {}
    row = await settled(rig, project, "stopped")
    assert row.address is None


async def test_whoever_looks_keeps_it_warm(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    await an_hour_passes(rig)
    await rig.workspaces.opened(rig.actor, project)
    await compared(rig)
    assert rig.runtime.stops[project] == 0


async def test_what_lasts_holds_a_workspace_awake_for_as_long_as_it_lasts(rig: Rig) -> None:
    """An upload, a talk through the proxy, an open page of files: longer than the idle time."""
    project = await rig.project()
    await opened(rig, project)
    async with rig.workspaces.held(project), rig.workspaces.held(project):
        await an_hour_passes(rig)
        await compared(rig)
        assert rig.runtime.stops[project] == 0
    await rig.usage.close()
    await an_hour_passes(rig)
    await compared(rig)
    assert rig.runtime.stops[project] == 1


@pytest.mark.parametrize("fault", [None, Unavailable("Away."), ZeroDivisionError("what nobody thought of")])
async def test_what_lasts_longer_than_a_lease_is_renewed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    monkeypatch.setattr("vibe_app.workspaces.usage.RENEW", 0.02)
    project = await rig.project()
    await opened(rig, project)
    write, faults = rig.usage._write, [fault] if fault else []

    async def write_or_fail(projects: Collection[UUID]) -> None:
        if faults:
            raise faults.pop()
        await write(projects)

    async with rig.workspaces.held(project):
        monkeypatch.setattr(rig.usage, "_write", write_or_fail)
        rig.usage.open()
        async with rig.database.transaction() as db:
            await db.execute(delete(WorkspaceUse))  # as if it had run out

        async def stands() -> bool:
            async with rig.database.read() as db:
                return await used(db) == {project}

        await eventually(stands)
    await rig.usage.close()
    assert not await stands()


async def test_a_process_that_died_lets_go_of_what_it_used_by_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_app.workspaces.usage.LEASE", 0.3)
    project = await rig.project()
    await opened(rig, project)
    async with rig.workspaces.held(project):  # never renewed, as after a kill
        await an_hour_passes(rig)
        await compared(rig)
        assert rig.runtime.stops[project] == 0

        async def let_go() -> bool:
            await compared(rig)
            return rig.runtime.stops[project] == 1

        await eventually(let_go)


async def test_a_workspace_with_a_live_session_is_never_idle(rig: Rig) -> None:
    session = await rig.running()
    await an_hour_passes(rig)
    await compared(rig)
    assert rig.runtime.stops[session.project_id] == 0


async def test_the_end_of_a_session_counts_as_use(rig: Rig) -> None:
    session = await rig.running()
    await rig.stop(session)
    await rig.over(session)
    async with rig.database.transaction() as db:
        await db.execute(update(Workspace).values(used_at=now() - timedelta(hours=1)))
    await compared(rig)
    assert rig.runtime.stops[session.project_id] == 0
    await an_hour_passes(rig)
    await compared(rig)
    assert rig.runtime.stops[session.project_id] == 1


async def test_what_belongs_to_no_project_is_reported_before_it_is_erased(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = uuid4()
    await rig.runtime.ensure(spec_of(unknown))
    await rig.reconciler.compare()
    row = await row_of(rig, unknown)
    assert row is not None
    assert row.erase_at is not None
    assert row.erase_at > now() + timedelta(hours=71)
    assert "It belongs to no project and is erased after" in caplog.text
    assert rig.runtime.erased == []
    async with rig.database.transaction() as db:
        await db.execute(update(Workspace).values(erase_at=now() - timedelta(seconds=1)))
        rows.announce(db, unknown)
    await eventually(lambda: rig.runtime.erased == [unknown])
    assert await rig.workspaces.erased(unknown, 5)


async def test_an_orphan_whose_project_turns_up_again_is_kept(rig: Rig) -> None:
    project = await rig.project()
    await rig.runtime.ensure(spec_of(project))
    await compared(rig)
    row = await row_of(rig, project)
    assert row is not None
    assert row.desired == Desired.STOPPED
    assert rig.runtime.erased == []


class RuntimeThatErasesNothing(FakeRuntime):
    """Cannot erase, for `times` times."""

    times = 2

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        if erase and self.times:
            self.times -= 1
            raise OSError(16, "Device or resource busy", f"/data/{project_id}")
        await super().stop(project_id, erase=erase)


async def test_an_erasure_that_failed_is_tried_again_until_nothing_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "TRY_AGAIN", (0.05,))
    async with rigged(settings, RuntimeThatErasesNothing()) as rig:
        project = await rig.project()
        await opened(rig, project)
        await rig.projects.delete(rig.actor, project, "Engine room")
        row = await settled(rig, project, "failed")
        assert (
            row.reason == f"It could not be removed: [Errno 16] Device or resource busy: '/data/{project}'."
        )

        async def gone() -> bool:
            return await row_of(rig, project) is None

        await eventually(gone)
        assert rig.runtime.erased == [project]


async def test_an_erasure_that_a_crash_broke_off_is_done_at_the_next_start(settings: Settings) -> None:
    async with rigged(settings, FakeRuntime(), looked_after=False, opened=False) as rig:
        project = await rig.project()
        await rig.runtime.ensure(spec_of(project))
        await rig.projects.delete(rig.actor, project, "Engine room")
        assert not await rig.workspaces.erased(project, 0.05)
        await rig.jobs.open()
        assert await rig.workspaces.erased(project, 5)
        assert rig.runtime.erased == [project]


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
        await rig.reconciler.compare()
        for project in (projects[0], projects[2]):
            await settled(rig, project, "stopped")
        assert set(await runtime.alive()) == {runtime.stubborn}
        await eventually(lambda: "Process 4711 cannot be ended." in caplog.text)
        row = await row_of(rig, runtime.stubborn)
        assert row is not None
        assert (row.status, row.reason) == ("failed", "Process 4711 cannot be ended.")


async def test_at_the_start_the_rows_are_made_to_agree(settings: Settings) -> None:
    """They say what an engine wrote that is gone."""
    async with rigged(settings, FakeRuntime(), looked_after=False, opened=False) as rig:
        up, down, broken, begun = [await rig.project() for _ in range(4)]
        said = {
            up: ("starting", "Cloning"),
            down: ("ready", None),
            broken: ("failed", "The clone was refused."),
            begun: ("starting", "Cloning"),
        }
        async with rig.database.transaction() as db:
            for project, (status, reason) in said.items():
                db.add(
                    Workspace(project_id=project, desired="running", status=status, reason=reason, epoch=1)
                )
        await rig.runtime.ensure(spec_of(up))
        await rig.jobs.open()
        await settled(rig, up, "ready")
        await settled(rig, down, "stopped")
        await settled(rig, begun, "stopped")
        views = [(await rig.projects.read(rig.actor, project)).workspace for project in (down, broken)]
        assert [(view.status, view.reason) for view in views] == [
            ("stopped", None),
            ("failed", "The clone was refused."),
        ]
        assert rig.runtime.starts == {up: 1}


async def test_a_status_that_could_not_be_written_is_written_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it undo what was told meanwhile."""
    statuses = rig.reconciler._statuses
    write, begun, may_fail = statuses._write, asyncio.Event(), asyncio.Event()
    project, other = [await rig.project() for _ in range(2)]
    for each in (project, other):
        await opened(rig, each)

    async def fail_once(writing: dict[UUID, dict[str, Any]]) -> None:
        if not may_fail.is_set():
            begun.set()
            await may_fail.wait()
            raise Unavailable("The database does not answer. Try again in a moment.")
        await write(writing)

    monkeypatch.setattr(statuses, "_write", fail_once)
    for each in (project, other):
        await rig.reconciler.told(each, WorkspaceStatus.FAILED, "OpenCode ended.", None)
    await begun.wait()
    await rig.reconciler.told(project, WorkspaceStatus.FAILED, "It was given up.", None)
    may_fail.set()
    assert (await settled(rig, project, "failed")).reason == "It was given up."
    assert (await settled(rig, other, "failed")).reason == "OpenCode ended."


async def test_a_status_that_fails_to_be_written_is_written_without_any_news(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses, project = rig.reconciler._statuses, await rig.project()
    write, faults = statuses._write, [Unavailable("The database does not answer. Try again in a moment.")]
    await opened(rig, project)

    async def fail_once(writing: dict[UUID, dict[str, Any]]) -> None:
        if faults:
            raise faults.pop()
        await write(writing)

    monkeypatch.setattr(statuses, "_write", fail_once)
    await rig.reconciler.told(project, WorkspaceStatus.FAILED, "OpenCode ended.", None)
    row = await settled(rig, project, "failed")
    assert (row.reason, faults) == ("OpenCode ended.", [])


async def test_a_database_that_is_away_keeps_no_workspace_from_starting(settings: Settings) -> None:
    database = DatabaseAwayForAWhile(settings.database)
    runtime = SlowRuntime()
    async with rigged(settings, runtime, database=database) as rig:
        project = await rig.project()
        await rig.workspaces.opened(rig.actor, project)
        await runtime.waiting.wait()
        database.times = 3
        runtime.may_start.set()
        await settled(rig, project, "ready")


async def test_one_that_ended_behind_the_rows_is_started_again_while_it_is_wanted(rig: Rig) -> None:
    """Its folder or volume was deleted, or its pod: the chip must not say ready."""
    project = await rig.project()
    first = await rig.workspaces.ensure(project)
    rig.runtime.running.discard(project)
    await rig.runtime.sidecars[project].die()
    await compared(rig)
    row = await settled(rig, project, "ready")
    assert rig.runtime.starts[project] == 2
    assert rig.workspaces.keys(project, row.epoch).token != first.token


async def test_a_workspace_that_was_made_anew_says_so_on_the_board(settings: Settings) -> None:
    class RuntimeThatLostItsFiles(FakeRuntime):
        async def ensure(self, spec: WorkspaceSpec, progress: Any = None) -> Endpoint:
            found = await super().ensure(spec, progress)
            notices = (FILES_GONE,) if spec.remade else ()
            return Endpoint(found.url, found.token, notices=notices)

    async with rigged(settings, RuntimeThatLostItsFiles()) as rig:
        project = await rig.project()
        await opened(rig, project)
        assert (await rig.projects.read(rig.actor, project)).workspace.notices == []
        await rig.workspaces.restart(rig.actor, project)
        await settled(rig, project, "ready")
        assert (await rig.projects.read(rig.actor, project)).workspace.notices == [FILES_GONE]


async def test_what_an_engine_writes_that_lost_its_lease_does_not_count(rig: Rig) -> None:
    project = await rig.project()
    await opened(rig, project)
    async with rig.database.transaction() as db:
        await db.execute(update(JobRow).values(owner="somebody else"))
    await rig.reconciler.told(project, WorkspaceStatus.FAILED, "From the past.", None)
    await rig.reconciler.write()
    row = await row_of(rig, project)
    assert row is not None
    assert row.status == "ready"


async def test_a_board_that_starts_while_the_cluster_is_away_waits_and_says_so(settings: Settings) -> None:
    runtime = RuntimeThatIsAway()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        async with asyncio.timeout(10):
            while True:
                try:
                    await rig.workspaces.check()
                except Unavailable as error:
                    if "connection refused" in error.message:
                        break
                await asyncio.sleep(0.05)
        waiting = asyncio.create_task(rig.workspaces.ensure(project))
        runtime.away = False
        await asyncio.wait_for(waiting, 15)
        await rig.workspaces.check()


async def test_the_reconciler_survives_whatever_befalls_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    class RuntimeWithAFault(FakeRuntime):
        faults = 0

        async def found(self) -> set[UUID]:
            if self.faults:
                self.faults -= 1
                raise ZeroDivisionError("what nobody thought of")
            return await super().found()

    runtime = RuntimeWithAFault()
    runtime.faults = 1
    async with rigged(settings, runtime) as rig:
        await opened(rig, await rig.project())
        assert "what nobody thought of" in caplog.text
        assert BROKEN["reconcile workspaces"] >= 1


async def test_closing_leaves_only_workspaces_with_a_session(rig: Rig) -> None:
    session = await rig.running()
    project = await rig.project()
    await opened(rig, project)
    await rig.supervisor.close()
    await rig.jobs.close()
    assert rig.runtime.kept == {session.project_id}


async def test_closing_leaves_what_another_process_uses_and_not_what_a_dead_one_used(rig: Rig) -> None:
    used, left = [await rig.project() for _ in range(2)]
    for project in (used, left):
        await opened(rig, project)
    await rig.usage.close()
    gone = await asyncio.to_thread(name_of_an_ended_process)
    async with rig.database.transaction() as db:
        await db.execute(delete(WorkspaceUse))
        for project, name in ((used, process_name()), (left, gone)):
            db.add(WorkspaceUse(project_id=project, process=name, until=time.time() + 60))
    await rig.jobs.close()
    assert rig.runtime.kept == {used}


async def test_closing_takes_no_longer_than_it_may(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class RuntimeThatStopsNothing(FakeRuntime):
        async def close(self, keep: Collection[UUID] | None = None) -> None:
            if keep is not None:
                await asyncio.Event().wait()
            await super().close(keep)

    monkeypatch.setattr(reconcile, "CLOSE_SECONDS", 0.1)
    async with rigged(settings, RuntimeThatStopsNothing()) as rig:
        await opened(rig, await rig.project())
        async with asyncio.timeout(5):
            await rig.jobs.close()
    assert "not every workspace was stopped" in caplog.text


async def test_closing_ends_what_runs_here_whatever_befalls_it(settings: Settings) -> None:
    class RuntimeThatBreaks(FakeRuntime):
        async def close(self, keep: Collection[UUID] | None = None) -> None:
            await super().close(keep)
            if keep is not None:
                raise RuntimeError("what nobody expected")

    def writing() -> bool:
        return any(task.get_name() == "statuses of workspaces" for task in asyncio.all_tasks())

    async with rigged(settings, RuntimeThatBreaks()) as rig:
        await opened(rig, await rig.project())
        assert writing()
        await rig.jobs.close()
        assert not writing()


async def test_closing_without_a_database_stops_nothing(settings: Settings) -> None:
    """Nobody can tell which workspace has a live session."""
    database = DatabaseAwayForAWhile(settings.database)
    async with rigged(settings, database=database) as rig:
        project = await rig.project()
        await opened(rig, project)
        await rig.supervisor.close()
        database.times = 5
        await rig.jobs.close()
        assert rig.runtime.kept is None


async def test_closing_breaks_off_a_start(settings: Settings) -> None:
    runtime = SlowRuntime()
    async with rigged(settings, runtime) as rig:
        await rig.workspaces.opened(rig.actor, await rig.project())
        await runtime.waiting.wait()
        async with asyncio.timeout(5):
            await rig.jobs.close()
        assert runtime.running == set()


async def test_after_a_restart_of_the_app_nothing_that_is_idle_starts_by_itself(settings: Settings) -> None:
    runtime = FakeRuntime()
    async with rigged(settings, runtime) as rig:
        project = await rig.project()
        await opened(rig, project)
        await rig.jobs.close()
        runtime.running.clear()
        await rig.jobs.open()
        await settled(rig, project, "stopped")
        assert runtime.starts[project] == 1
        async with rig.database.read() as db:
            assert await db.get(Project, project) is not None
