"""The first page's State: whose projects it shows, and that it follows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.home import DayRuns, ProjectTile
from vibe_app.board.projects.schemas import NewProject, ProjectView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.web.home import page
from vibe_app.web.home.work import DAY_PIXELS, tiles_of
from vibe_app.wire import SidecarStatus
from vibe_app.wiring import Services

DAY = str(datetime(2026, 1, 2, tzinfo=UTC).date())


def tile(*week: DayRuns) -> ProjectTile:
    """A project with a week."""
    return ProjectTile(id=UUID(int=1), name="Garden", key="GAR", live=0, needs_you=0, week=list(week))


def test_a_week_is_drawn_to_one_scale_and_says_what_it_was() -> None:
    busy = tile(DayRuns(day=DAY), DayRuns(day=DAY, completed=90, failed=10))
    calm = tile(DayRuns(day=DAY, failed=1), DayRuns(day=DAY))
    first, second = tiles_of([busy, calm])
    assert [(day.ended, day.failed) for day in first.week] == [(0, 0), (round(0.9 * DAY_PIXELS), 3)]
    assert first.runs == "100 runs in 7 days, 10 failed"
    assert first.week[1].words == f"{DAY}: 90 completed, 10 failed"
    assert (second.week[0].failed, second.week[1].words) == (3, f"{DAY}: no run")
    assert tiles_of([tile(DayRuns(day=DAY))])[0].runs == "No run in the last 7 days"


async def test_it_shows_what_happens_and_to_a_stranger_nothing(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    tab: Open,
    runtime: FakeRuntime,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(page, "PULSE", 0.05)
    runtime._given = Script.lines(3, outcome=SidecarStatus.FAILED)
    someone: Tab = await tab("viewer", "/")
    stranger: Tab = await tab("stranger", "/")
    for each in (someone, stranger):
        await each.send("HomeState.watch")
    await eventually(lambda: someone.var("HomeState", "loaded") and stranger.var("HomeState", "loaded"))
    assert [each["name"] for each in someone.var("HomeState", "tiles")] == [project.name]
    assert not stranger.var("HomeState", "tiles")

    owner = await parts.accounts.who(tokens["owner"])
    card = await parts.tasks.create(owner, project.id, NewTask(title="Count the sheep"))
    await parts.starts.execute(owner, project.id, card.id)
    await eventually(
        lambda: [each["needs"] for each in someone.var("HomeState", "needs") or []] == ["failed"]
    )
    assert someone.var("RailState", "needs") == 1
    # A project made meanwhile is followed as well.
    other = await parts.projects.create(owner, NewProject(name="Another"))
    person = await parts.accounts.who(tokens["viewer"])
    await parts.members.put(owner, other.id, person.user_id, ProjectRole.VIEWER)
    await eventually(lambda: len(someone.var("HomeState", "tiles")) == 2)
    assert "Count the sheep" not in json.dumps(stranger.deltas)


async def test_of_a_tab_that_nobody_sees_only_the_rail_is_read(project: ProjectView, tab: Open):
    someone: Tab = await tab("viewer", "/")
    await someone.send("HomeState.watch", hidden=True)
    await eventually(lambda: someone.var("RailState", "projects"))
    assert someone.var("HomeState", "loaded") is None
    await someone.send("HomeState.watch", hidden=False)
    await eventually(lambda: someone.var("HomeState", "loaded"))


async def test_a_run_is_stopped_from_it_by_who_may(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open, runtime: FakeRuntime
):
    runtime._given = Script.lines(1000, rate=20, outcome=None)
    owner = await parts.accounts.who(tokens["owner"])
    card = await parts.tasks.create(owner, project.id, NewTask(title="Mow the lawn"))
    await parts.starts.execute(owner, project.id, card.id)
    viewer: Tab = await tab("viewer", "/")
    await viewer.send("HomeState.watch")
    await eventually(lambda: viewer.var("HomeState", "running"))
    assert [each["stops"] for each in viewer.var("HomeState", "running")] == [False]
    await viewer.call("HomeState.stop", project_id=str(project.id), task_id=str(card.id))
    assert "only look at" in viewer.told
    assert (await parts.home.running(owner)).total_count == 1
    editor: Tab = await tab("editor", "/")
    await editor.send("HomeState.watch")
    await eventually(lambda: editor.var("HomeState", "running"))
    assert [each["stops"] for each in editor.var("HomeState", "running")] == [True]
    await editor.call("HomeState.stop", project_id=str(project.id), task_id=str(card.id))

    async def over() -> bool:
        return (await parts.home.running(owner)).total_count == 0

    await eventually(over)
    await eventually(lambda: editor.var("HomeState", "finished"))
    (ended,) = editor.var("HomeState", "finished")
    # That it was cancelled is its mark.
    assert (ended["run"], ended["words"].partition(" for ")[0]) == ("cancelled", "Ran")
