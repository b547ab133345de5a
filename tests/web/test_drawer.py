"""What people do with a card in its drawer, called as a browser's socket calls it."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import pytest

from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.errors import NotFound
from vibe_app.wiring import Services


@pytest.fixture
async def owner(parts: Services, tokens: dict[str, str]) -> Actor:
    """Who owns the project."""
    return await parts.accounts.who(tokens["owner"])


@pytest.fixture
async def task(parts: Services, owner: Actor, project: ProjectView) -> TaskView:
    """A card in To do."""
    return await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))


async def drawer(tab: Open, role: str, project: ProjectView, task: TaskView) -> Tab:
    shown: Tab = await tab(role, f"/p/{project.id}/t/{task.id}/overview")
    await shown.call("DrawerState.arrive")
    return shown


async def test_a_deleted_card_is_offered_back_and_restored(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await editor.call("ShelfState.delete")
    assert "Undo" in editor.told
    with pytest.raises(NotFound):
        await parts.tasks.read(owner, project.id, task.id)
    later = await drawer(tab, "editor", project, task)
    assert "deleted" in later.var("DrawerState", "missing")
    assert later.var("DrawerState", "can_edit") is True
    await later.call("ShelfState.restore", task_id=str(task.id))
    assert (await parts.tasks.read(owner, project.id, task.id)).title == task.title


async def test_an_archived_card_says_so_and_comes_out_again(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await editor.call("ShelfState.archive")
    assert (await parts.tasks.read(owner, project.id, task.id)).archived
    again = await drawer(tab, "viewer", project, task)
    assert again.var("DrawerState", "archived") is True
    await again.call("ShelfState.unarchive", task_id=str(task.id))  # a viewer may not
    assert (await parts.tasks.read(owner, project.id, task.id)).archived
    await editor.call("ShelfState.unarchive", task_id=str(task.id))
    assert not (await parts.tasks.read(owner, project.id, task.id)).archived


async def test_a_card_waits_for_others_that_are_found_by_words(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    other = await parts.tasks.create(owner, project.id, NewTask(title="Lay the ground"))
    editor = await drawer(tab, "editor", project, task)
    await editor.call("NeedsState.seek", text="ground")
    assert [each["id"] for each in editor.var("NeedsState", "found")] == [str(other.id)]
    await editor.call("NeedsState.add", need=str(other.id))
    assert (await parts.tasks.read(owner, project.id, task.id)).blocked == [other.ref]
    await editor.call("DrawerState.arrive")
    assert editor.var("DrawerState", "blocked") == other.ref
    await editor.call("NeedsState.drop", need=str(other.id))
    assert (await parts.tasks.read(owner, project.id, task.id)).blocked == []
    await editor.call("NeedsState.add", need=str(uuid4()))
    assert "toast" in editor.told


async def test_who_takes_care_of_it_and_when_it_is_due(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await eventually(lambda: editor.var("PeopleState", "loaded"))
    assert str(owner.user_id) in {each["id"] for each in editor.var("PeopleState", "people")}
    form = {
        "assignee_id": str(owner.user_id),
        "due_on": "2026-12-24",
        "seen": editor.var("DrawerState", "seen"),
    }
    await editor.call("DrawerState.save_details", form=form)
    saved = await parts.tasks.read(owner, project.id, task.id)
    assert saved.assignee is not None
    assert (saved.assignee.id, saved.due_on) == (owner.user_id, date(2026, 12, 24))
    facts = editor.var("DrawerState", "facts")
    assert (facts["assignee_id"], facts["due_on"]) == (saved.assignee.name, "24 Dec 2026")
    form = {"assignee_id": "", "due_on": "", "seen": editor.var("DrawerState", "seen")}
    await editor.call("DrawerState.save_details", form=form)
    saved = await parts.tasks.read(owner, project.id, task.id)
    assert (saved.assignee, saved.due_on) == (None, None)
    for wrong in ({"assignee_id": "nobody"}, {"due_on": "tomorrow"}):
        await editor.call("DrawerState.save_details", form=wrong)
    assert await parts.tasks.read(owner, project.id, task.id) == saved


async def test_two_who_assign_at_once_choose_between_two_names(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await eventually(lambda: editor.var("PeopleState", "loaded"))
    seen = editor.var("DrawerState", "seen")
    people = {each["id"]: each["name"] for each in editor.var("PeopleState", "people")}
    mine = next(each for each in people if each != str(owner.user_id))
    await parts.tasks.change(owner, project.id, task.id, task.version, TaskPatch(assignee_id=owner.user_id))
    await editor.call("DrawerState.save_details", form={"assignee_id": mine, "seen": seen})
    [row] = editor.var("DrawerState", "both")
    assert (row["name"], row["mine"], row["theirs"]) == ("Assignee", people[mine], people[str(owner.user_id)])


async def test_an_empty_title_is_refused_and_the_old_one_is_back(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await editor.call("DrawerState.save_title", title="   ", version=task.version)
    assert "A card needs a title" in editor.told
    assert editor.var("DrawerState", "settled") == 1
    assert (await parts.tasks.read(owner, project.id, task.id)).title == task.title


@pytest.mark.parametrize(("asked", "kept"), [("900", "900"), ("10", "640"), ("99999", "2640"), ("x", "640")])
async def test_a_drawer_is_as_wide_as_somebody_wants_within_reason(
    project: ProjectView, task: TaskView, tab: Open, asked: str, kept: str
):
    viewer = await drawer(tab, "viewer", project, task)
    await viewer.call("DrawerState.set_width", pixels=asked)
    assert viewer.var("DrawerState", "width") == kept
