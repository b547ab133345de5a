"""What people do with a card in its drawer, called as a browser's socket calls it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes import FakeRuntime
from tests.scripted import Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.people import PersonView
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.activity import Kind
from vibe_app.board.tasks.happened import ActivityView
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.errors import NotFound
from vibe_app.web.card.activity import TOLD, happened
from vibe_app.wire import SidecarStatus
from vibe_app.wiring import Services


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


@pytest.mark.parametrize(("asked", "kept"), [(900, "900"), (10, "640"), (-5, "640"), (99_999, "2640")])
async def test_a_drawer_is_as_wide_as_somebody_wants_within_reason(
    project: ProjectView, task: TaskView, tab: Open, asked: int, kept: str
):
    viewer = await drawer(tab, "viewer", project, task)
    await viewer.call("DrawerState.set_width", pixels=asked)
    assert viewer.var("DrawerState", "width") == kept


async def test_a_card_taken_from_the_board_in_its_drawer_comes_back_as_any_other(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    editor = await drawer(tab, "editor", project, task)
    await editor.call("ShelfState.delete")
    await editor.call("UndoState.undo")
    assert (await parts.tasks.read(owner, project.id, task.id)).title == task.title
    await editor.call("ShelfState.archive")
    await editor.call("UndoState.undo")
    assert not (await parts.tasks.read(owner, project.id, task.id)).archived


async def test_a_run_that_fails_is_told_once_and_says_so_once(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open, runtime: FakeRuntime
):
    failing = Script.lines(6, rate=4, outcome=SidecarStatus.FAILED)
    runtime._given = replace(failing, error="The model refused the key.")
    editor = await drawer(tab, "editor", project, task)
    await editor.send("BoardState.watch")
    await parts.starts.execute(owner, project.id, task.id)
    await eventually(lambda: "The model refused the key." in editor.told)
    assert editor.told.count("Failed:") == 1
    await eventually(lambda: editor.var("DrawerState", "words") == "Failed: The model refused the key.")
    # The last run, and what happened, say why without another such word.
    await eventually(lambda: told(editor)[0] == ("The run", "failed", ""))
    assert editor.var("ActivityState", "rows")[0]["said"] == "The model refused the key."


def told(tab: Tab) -> list[tuple[str, str, str]]:
    """What the Overview says of what happened: who, did, what."""
    return [(each["who"], each["did"], each["what"]) for each in tab.var("ActivityState", "rows") or []]


async def test_what_happened_is_told_and_told_on_while_the_overview_is_open(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    viewer = await drawer(tab, "viewer", project, task)
    made = (owner.name, "made the card", "")
    assert told(viewer) == [made]
    await viewer.send("BoardState.watch")
    patch = TaskPatch(title="Add two README files", labels=["docs"], assignee_id=owner.user_id)
    await parts.tasks.change(owner, project.id, task.id, task.version, patch)
    edited = {
        (owner.name, "changed labels and title", ""),
        (owner.name, "gave it to", owner.name),
    }
    await eventually(lambda: set(told(viewer)) == {*edited, made})
    await parts.tasks.move(owner, project.id, task.id, TaskStatus.DONE)
    await eventually(lambda: told(viewer)[0] == (owner.name, "moved it from To do to Done", ""))


async def test_what_happened_costs_nothing_where_it_is_not_shown(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    someone: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}/history")
    await someone.call("DrawerState.arrive")
    await someone.send("BoardState.watch")
    await parts.tasks.change(owner, project.id, task.id, task.version, TaskPatch(title="Another"))
    await eventually(lambda: someone.var("DrawerState", "title") == "Another")
    assert told(someone) == []


async def test_older_things_that_happened_are_shown_on_demand(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
):
    for number in range(24):
        await parts.tasks.change(owner, project.id, task.id, number + 1, TaskPatch(title=f"Title {number}"))
    viewer = await drawer(tab, "viewer", project, task)
    assert (len(told(viewer)), viewer.var("ActivityState", "more")) == (10, 15)
    await viewer.call("ActivityState.show_more")
    assert (len(told(viewer)), viewer.var("ActivityState", "more")) == (20, 5)
    await viewer.call("ActivityState.show_more")
    assert (len(told(viewer)), viewer.var("ActivityState", "more")) == (25, 0)
    assert told(viewer)[-1][1] == "made the card"
    stranger = await drawer(tab, "stranger", project, task)
    await stranger.call("ActivityState.show_more")
    assert told(stranger) == []


@pytest.mark.parametrize("kind", Kind)
def test_there_are_words_for_all_that_can_happen(kind: Kind):
    assert kind.value in TOLD or any(each.startswith(f"{kind.value}:") for each in TOLD)


@pytest.mark.parametrize(
    ("kind", "details", "words"),
    [
        (
            Kind.EDITED,
            {"fields": ["due_on", "labels", "needs"]},
            "Eve changed due, labels and what it waits for",
        ),
        (Kind.ASSIGNED, {"assignee": None}, "Eve took it from its assignee"),
        (Kind.EXECUTED, {"session_id": "s", "kind": "follow_up"}, "Eve told the agent to go on"),
        (Kind.RESTORED, {"change_id": "c", "what": "change"}, "Eve restored its change"),
        (Kind.COMMENTED, {"place": "app.py:3", "body": "{why}?"}, "Eve commented on app.py:3: {why}?"),
        (Kind.FINISHED, {"session_id": "s", "status": "failed", "error": "No"}, "The run failed: No"),
    ],
)
def test_it_is_told_in_words(kind: Kind, details: dict[str, Any], words: str):
    person = None if kind is Kind.FINISHED else PersonView(id=uuid4(), name="Eve")
    row = happened(ActivityView(id="1", kind=kind, at=datetime.now(UTC), actor=person, details=details))
    said = " ".join(filter(None, (row.who, row.did, row.what)))
    assert (f"{said}: {row.said}" if row.said else said) == words
