"""What lies over a page, and what hands do twice, too fast, or after somebody else."""

from __future__ import annotations

import json

import pytest

from tests.boards import column
from tests.seeding import seed_change
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import NewProject, ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.errors import InvalidRequest
from vibe_app.wiring import Services


@pytest.fixture
async def board(project: ProjectView, task: TaskView, tab: Open) -> Tab:
    """The board on an editor's screen."""
    shown: Tab = await tab("editor", f"/p/{project.id}")
    await shown.call("LayersState.arrive")
    await shown.call("BoardState.arrive")
    await shown.send("BoardState.watch")
    await eventually(lambda: shown.titles("TODO") == [task.title])
    return shown


async def test_what_is_open_over_a_page_closes_with_its_address(board: Tab, task: TaskView) -> None:
    await board.call("CommandState.open")
    await board.call("MoveState.ask", card_id=str(task.id))
    await board.call("LayersState.arrive")
    assert board.var("CommandState", "opened") is True, "the connection came back at the same address"
    assert board.var("MoveState", "card_id") == str(task.id)
    board.path += f"/t/{task.id}"
    await board.call("LayersState.arrive")
    assert board.var("CommandState", "opened") is False
    assert board.var("MoveState", "card_id") == ""


async def test_what_was_opened_before_its_address_was_told_stays(board: Tab, task: TaskView) -> None:
    await board.call("LayersState.arrive")
    board.path += f"/t/{task.id}"
    await board.call("CommandState.open")
    await board.call("LayersState.arrive")
    assert board.var("CommandState", "opened") is True


async def test_a_selection_stays_with_its_project(
    parts: Services, owner: Actor, board: Tab, task: TaskView
) -> None:
    other = await parts.projects.create(owner, NewProject(name="Another"))
    await board.call("SelectionState.choose", card_id=str(task.id))
    board.path += f"/t/{task.id}"
    await board.call("LayersState.arrive")
    assert board.var("SelectionState", "chosen") == [str(task.id)]
    board.path = f"/p/{other.id}"
    await board.call("LayersState.arrive")
    assert board.var("SelectionState", "chosen") == []


async def test_nothing_is_selected_or_held_that_the_page_does_not_show(
    board: Tab, project: ProjectView, task: TaskView
) -> None:
    for number in range(3):
        await board.call("SelectionState.choose", card_id=f"{number}" * 100_000)
        await board.call("SelectionState.label_at", card_id=f"{number}" * 100_000)
        await board.call("ReviewState.hold", comment_id=f"{number}" * 100_000, held=True)
    assert not board.var("SelectionState", "chosen")
    assert not board.var("SelectionState", "labelling")
    assert not board.var("ReviewState", "held")


async def test_a_priority_that_there_is_not_filters_nothing(board: Tab, task: TaskView) -> None:
    await board.call("BoardState.choose", name="priority", value="high")
    assert board.titles("TODO") == []
    await board.call("BoardState.choose", name="priority", value="nonsense")
    assert board.titles("TODO") == [task.title]
    assert "went wrong" not in board.told
    await board.call("BoardState.choose", name="label", value="x" * 100_000)
    assert len(board.var("BoardState", "label")) == 200


async def test_what_somebody_else_moved_since_is_not_taken_back(
    parts: Services, owner: Actor, board: Tab, project: ProjectView, task: TaskView
) -> None:
    await board.call("BoardState.move", card_id=str(task.id), column="DONE", before_id="")
    await parts.tasks.move(owner, project.id, task.id, TaskStatus.HUMAN_REVIEW)
    await board.call("UndoState.undo")
    assert "was moved again since, to Human review" in board.told
    assert (await parts.tasks.read(owner, project.id, task.id)).status is TaskStatus.HUMAN_REVIEW


async def test_of_several_only_what_nobody_moved_since_is_taken_back(
    parts: Services, owner: Actor, board: Tab, project: ProjectView, task: TaskView
) -> None:
    other = await parts.tasks.create(owner, project.id, NewTask(title="Another"))
    await eventually(lambda: len(board.titles("TODO")) == 2)
    for each in (task, other):
        await board.call("SelectionState.choose", card_id=str(each.id))
    await board.call("SelectionState.move", column="DONE")
    await parts.tasks.move(owner, project.id, other.id, TaskStatus.AI_REVIEW)
    await board.call("UndoState.undo")
    assert "stays there. What else was done with it is taken back." in board.told
    assert (await parts.tasks.read(owner, project.id, task.id)).status is TaskStatus.TODO
    assert (await parts.tasks.read(owner, project.id, other.id)).status is TaskStatus.AI_REVIEW


async def test_deleting_twice_is_no_fault(
    parts: Services, owner: Actor, board: Tab, project: ProjectView, task: TaskView
) -> None:
    other = await parts.tasks.create(owner, project.id, NewTask(title="Another"))
    await eventually(lambda: len(board.titles("TODO")) == 2)
    board.path += f"/t/{task.id}"
    await board.send("ShelfState.delete")
    await board.call("ShelfState.delete")
    await board.send("SelectionState.delete_at", card_id=str(other.id))
    await board.call("SelectionState.delete_at", card_id=str(other.id))
    assert "no such task" not in board.told
    assert json.dumps(board.events).count("1 card deleted.") == 1
    for _ in range(2):
        await board.call("UndoState.undo")
    assert {each.id for each in await column(parts, owner, project.id)} == {task.id, other.id}
    assert "nothing to take back" not in board.told


async def test_a_key_of_a_card_tells_who_only_looks_that_they_do(
    project: ProjectView, task: TaskView, tab: Open
) -> None:
    viewer: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
    await viewer.call("BoardState.arrive")
    for key in ("m", "l", "x", " ", "Delete"):
        viewer.events.clear()
        await viewer.call("KeysState.on_card", key=key, card_id=str(task.id))
        assert "You may only look at this project." in viewer.told
    await viewer.call("KeysState.anywhere", key="m")
    assert not viewer.var("MoveState", "card_id")
    assert not viewer.var("SelectionState", "chosen")


async def test_a_card_of_the_archive_is_not_said_to_be_running(board: Tab, task: TaskView) -> None:
    await board.call("BoardState.toggle", name="archived")
    await board.call("KeysState.on_card", key=" ", card_id=str(task.id))
    assert "Bring it back first." in board.told


async def test_a_title_of_which_nothing_is_to_be_seen_is_none(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
) -> None:
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}/overview")
    await editor.call("DrawerState.arrive")
    for title in ("\u200b", " \u2060\ufeff ", "\u2800", "\u3164"):
        await editor.call("DrawerState.save_title", title=title, version=task.version)
        assert "A card needs a title" in editor.told
        with pytest.raises(InvalidRequest, match="at least one character"):
            await parts.tasks.create(owner, project.id, NewTask(title=title))
    assert (await parts.tasks.read(owner, project.id, task.id)).title == task.title


async def test_the_rail_hears_at_once_whom_a_card_needs(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
) -> None:
    await parts.tasks.move(owner, project.id, task.id, TaskStatus.AI_REVIEW)
    await seed_change(parts.database, task.id, {"a.txt": (None, "1\n")})
    viewer: Tab = await tab("viewer", "/settings")
    await viewer.send("RailState.watch")
    await eventually(lambda: viewer.var("RailState", "needs") == 1)
    await parts.tasks.move(owner, project.id, task.id, TaskStatus.TODO)
    await eventually(lambda: viewer.var("RailState", "needs") == 0)
    shown = await parts.tasks.move(owner, project.id, task.id, TaskStatus.HUMAN_REVIEW)
    await eventually(lambda: viewer.var("RailState", "needs") == 1)
    await parts.tasks.change(owner, project.id, task.id, shown.version, TaskPatch(assignee_id=owner.user_id))
    await eventually(lambda: viewer.var("RailState", "needs") == 0)


async def test_only_a_card_that_was_deleted_is_offered_back(
    parts: Services, owner: Actor, project: ProjectView, task: TaskView, tab: Open
) -> None:
    other = await parts.projects.create(owner, NewProject(name="Another"))
    foreign = await parts.tasks.create(owner, other.id, NewTask(title="Elsewhere"))
    for below in (f"{foreign.id}", f"{task.id}/run/{foreign.id}"):
        shown: Tab = await tab("editor", f"/p/{project.id}/t/{below}")
        await shown.call("DrawerState.arrive")
        assert shown.var("DrawerState", "missing")
        assert not shown.var("DrawerState", "can_edit")
    await parts.tasks.delete(owner, project.id, task.id)
    for role, offered in (("editor", True), ("viewer", False)):
        shown = await tab(role, f"/p/{project.id}/t/{task.id}")
        await shown.call("DrawerState.arrive")
        assert bool(shown.var("DrawerState", "can_edit")) is offered


async def test_a_tab_holds_no_more_files_than_may_wait_at_once(
    project: ProjectView, task: TaskView, tab: Open
) -> None:
    someone: Tab = await tab("editor", f"/p/{project.id}/files")
    for begin in (0, 2000, 4000):
        files = [{"id": begin + n, "path": [f"{begin + n}.txt"], "size": 1} for n in range(2000)]
        await someone.call("UploadsState.chosen", files=files)
    assert someone.var("UploadsState", "title") == "Uploading, 0 of 2000 done"
    assert "At most 2,000 files" in someone.told
