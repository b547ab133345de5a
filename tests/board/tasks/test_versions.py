"""Two people who change one card: nothing of either is undone without a word."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.errors import Conflict, VersionChanged
from vibe_app.wiring import Services

TIMES = 8


@pytest.fixture
async def task(resting: Services, owner: Actor) -> TaskView:
    """A card that two people have read."""
    project = await resting.projects.create(owner, NewProject(name="Sample"))
    return await resting.tasks.create(
        owner, project.id, NewTask(title="Title", description="Text", priority="normal", labels=["a"])
    )


async def _change(parts: Services, owner: Actor, task: TaskView, **values: Any) -> TaskView:
    return await parts.tasks.change(owner, task.project_id, task.id, task.version, TaskPatch(**values))


async def test_the_second_save_gets_both_and_undoes_nothing(
    resting: Services, owner: Actor, task: TaskView
) -> None:
    first = await _change(resting, owner, task, description="Theirs", priority="high")
    assert first.version == task.version + 1
    with pytest.raises(VersionChanged) as caught:
        await _change(resting, owner, task, labels=["mine"], description="Mine")
    assert caught.value.yours == {"description": "Mine", "labels": ["mine"]}
    assert caught.value.present == first
    assert await resting.tasks.read(owner, task.project_id, task.id) == first


async def test_each_change_of_what_people_write_is_a_version_and_nothing_else_is(
    resting: Services, owner: Actor, task: TaskView
) -> None:
    seen = task
    for values in ({"title": "T"}, {"description": "D"}, {"priority": "low"}, {"labels": []}):
        after = await _change(resting, owner, seen, **values)
        assert after.version == seen.version + 1
        seen = after
    moved = await resting.tasks.move(owner, task.project_id, task.id, "DONE")
    assert moved.version == seen.version


async def test_a_second_click_on_save_is_no_conflict(resting: Services, owner: Actor, task: TaskView) -> None:
    first = await _change(resting, owner, task, title="Once")
    again = await _change(resting, owner, task, title="Once")
    assert (again.title, again.version, again.updated_at) == ("Once", first.version, first.updated_at)


async def test_of_saves_at_once_one_is_kept(resting: Services, owner: Actor, task: TaskView) -> None:
    seen = task
    for turn in range(TIMES):
        outcomes = await asyncio.gather(
            *(_change(resting, owner, seen, description=f"{turn} {name}") for name in "abc"),
            return_exceptions=True,
        )
        kept = [each for each in outcomes if isinstance(each, TaskView)]
        lost = [each for each in outcomes if isinstance(each, VersionChanged)]
        assert (len(kept), len(lost)) == (1, 2)
        assert all(each.present.description == kept[0].description for each in lost)
        seen = kept[0]


async def test_a_refused_save_leaves_the_priority_of_the_waiting_session(
    resting: Services, owner: Actor, task: TaskView
) -> None:
    await _change(resting, owner, task, priority="high")
    session = await resting.starts.execute(owner, task.project_id, task.id)
    with pytest.raises(VersionChanged):
        await _change(resting, owner, task, priority="low")
    assert session.status == "pending"
    assert (await resting.tasks.read(owner, task.project_id, task.id)).priority == "high"


async def test_a_prompt_is_not_changed_while_its_session_starts(
    resting: Services, owner: Actor, task: TaskView
) -> None:
    for turn in range(TIMES):
        change = _change(resting, owner, task, description=f"New {turn}")
        execute = resting.starts.execute(owner, task.project_id, task.id)
        outcome, session = await asyncio.gather(change, execute, return_exceptions=True)
        assert not isinstance(session, BaseException)
        task = await resting.tasks.read(owner, task.project_id, task.id)
        assert isinstance(outcome, TaskView) or (
            isinstance(outcome, Conflict) and outcome.code == "session_live"
        )
        await resting.sessions.stop(owner, task.project_id, task.id)
