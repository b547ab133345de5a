"""The handlers of the States, called as a browser's socket calls them."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import replace
from typing import Any

import pytest
from reflex_base.registry import RegistrationContext

from tests import boards
from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab, full_name, owner_of
from vibe_app.accounts.service import Grant
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.board.tasks.windows import BoardView
from vibe_app.wiring import Services

ANYBODY = {
    "CommandState.set_opened",
    "CommandState.step",
    "BoardState.show_tab",
    "KeysState.anywhere",  # asks for another event
    "KeysState.on_card",  # asks for another event
    "LabelsState.choose",  # asks for another event
    "PersonsState.choose",  # asks for another event
    "LayersState.arrive",
    "MoveState.choose",  # asks for another event
    "MoveState.set_open",
    "SelectionState.ask_label",
    "SelectionState.choose",
    "SelectionState.choose_to",
    "SelectionState.clear",
    "SelectionState.label_at",
    "ComposerState.set_opened",
    "ChangesState.list_more",
    "ChangesState.turn",
    "DrawerState.decide_later",
    "DrawerState.edit",
    "DrawerState.set_width",
    "DrawerState.widen",
    "NeedsState.pick",
    "DecideState.ask",
    "DecideState.choose",
    "DecideState.keep",
    "DecideState.set_open",
    "ReviewState.comment_here",  # asks for another event
    "ReviewState.edit",
    "ReviewState.hold",
    "ReviewState.leave",
    "ReviewState.not_shown",
    "ReviewState.settle_later",
    "EditorState.ask_to_leave",
    "EditorState.differs",
    "EditorState.leave",
    "FileState.no_picture",
    "FileState.set_wrap",
    "FilesState.key",
    "FilesState.look_at",
    "FilesState.point",
    "NamingState.close",
    "SearchState.ask",  # asks for another address
    "SearchState.choose",
    "UploadsState.begin",
    "WatchState.seen",  # asks for another event
    "FreshState.arrive",
    "FreshState.loaded",
    "OutputState.arrive",
    "LostState.arrive",
    "MembersState.set_new_role",
    "FormsState.take_theirs",  # asks for another event
    "ProjectSettingsState.key",
    "ProjectSettingsState.set_typed_name",
    "HomeState.arrive",
    "HomeState.key",
    "NewProjectState.set_making",
    "HelpState.set_helping",
    "ResetState.arrive",  # only the holder of a link is told whose it is
    "SettingsState.arrive",  # asks for another event
    "SignInState.answered",
    "SignInState.arrive",
    "SignInState.begin",
    "TokensState.forget_fresh",
    "UsersState.forget_link",
    "WindowState.enlarge",
    "WindowState.forget",
    "WindowState.found",
    "WindowState.seek",
    "WindowState.was_copied",
}
"""Handlers that show or hide something in the caller's own tab and read nothing."""


def handlers() -> dict[str, dict[str, type]]:
    """Every handler of the pages, with its arguments."""
    found = {}
    for cls in RegistrationContext.get().base_states.values():
        if not cls.__module__.startswith("vibe_app.web"):
            continue
        for name, handler in cls.event_handlers.items():
            if name in ("setvar",) or (name.startswith("set_") and name not in vars(cls)):
                continue
            signature = inspect.signature(handler.fn)
            hints = {each: kind.annotation for each, kind in signature.parameters.items() if each != "self"}
            found[f"{cls.__name__}.{name}"] = hints
    return found


def rubbish(kind: Any) -> Any:
    """Something of a type that names nothing."""
    for known, value in {"dict": {}, "int": 1, "bool": True}.items():
        if known in str(kind):
            return value
    return "nothing"


async def status_of(parts: Services, tokens: dict[str, str], task: TaskView) -> str:
    return (await parts.tasks.read(await owner_of(parts, tokens), task.project_id, task.id)).status


async def runs_of(parts: Services, tokens: dict[str, str], task: TaskView) -> int:
    actor = await owner_of(parts, tokens)
    return (await parts.sessions.history(actor, task.project_id, task.id, 1, 20)).total_count


def test_the_handlers_that_ask_nobody_exist():
    assert handlers().keys() >= ANYBODY


async def test_no_handler_does_anything_for_nobody(project: ProjectView, task: TaskView, tab: Open):
    for name, arguments in handlers().items():
        if name in ANYBODY:
            continue
        someone: Tab = await tab(None, f"/p/{project.id}/t/{task.id}")
        await someone.send(name, **{each: rubbish(kind) for each, kind in arguments.items()})
        await eventually(lambda someone=someone: "/login" in someone.told)
        assert "went wrong" not in someone.told, name
        assert task.title not in json.dumps(someone.deltas), name


async def test_no_handler_breaks_on_rubbish(project: ProjectView, task: TaskView, tab: Open, caplog):
    for name, arguments in handlers().items():
        sent = {each: rubbish(kind) for each, kind in arguments.items()}
        for path in (f"/p/{project.id}/t/{task.id}", "/p/nothing"):
            someone: Tab = await tab("stranger", path)
            await someone.send(name, **sent)
            await someone.settled()
            assert "went wrong" not in someone.told, name
            assert task.title not in json.dumps(someone.deltas), name
    assert "a page's handler broke" not in caplog.text


@pytest.mark.parametrize(("role", "can_edit"), [("owner", True), ("editor", True), ("viewer", False)])
async def test_a_member_sees_the_board(
    project: ProjectView, task: TaskView, tab: Open, role: str, can_edit: bool
):
    someone: Tab = await tab(role, f"/p/{project.id}")
    await someone.call("BoardState.arrive")
    await someone.send("BoardState.watch")
    await eventually(lambda: someone.var("BoardState", "loaded"))
    assert someone.titles("TODO") == [task.title]
    assert bool(someone.var("BoardState", "can_edit")) is can_edit


async def test_a_board_is_followed_although_its_subscriber_comes_before_the_arrival(
    project: ProjectView, task: TaskView, tab: Open
):
    """A background event starts at once; the one before it in the list may still wait behind others."""
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.send("BoardState.watch")
    await eventually(lambda: someone.var("BoardState", "loaded"))
    await someone.call("BoardState.arrive")
    await someone.call("BoardState.move", card_id=str(task.id), column="DONE", before_id="")
    assert someone.titles("DONE") == [task.title]


async def test_a_card_does_not_fly_back_to_where_it_was_when_the_board_was_being_read(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    task: TaskView,
    tab: Open,
    monkeypatch: pytest.MonkeyPatch,
):
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.call("BoardState.arrive")
    await someone.send("BoardState.watch")
    await eventually(lambda: someone.cards("TODO"))
    read, shown, found = asyncio.Event(), asyncio.Event(), parts.boards.read

    async def slow(*args: Any) -> BoardView:
        board = await found(*args)
        read.set()
        await shown.wait()
        return board

    monkeypatch.setattr(parts.boards, "read", slow)
    another = await parts.tasks.create(
        await owner_of(parts, tokens), project.id, NewTask(title="Another", description="")
    )
    await asyncio.wait_for(read.wait(), 10)
    await someone.call("BoardState.move", card_id=str(task.id), column="DONE", before_id="")
    assert someone.titles("DONE") == [task.title]
    shown.set()
    await eventually(lambda: someone.titles("TODO") == [another.title])
    assert someone.titles("DONE") == [task.title]
    orders = [order["DONE"] for order in someone.all_of("BoardState", "order") if "DONE" in order]
    assert [] not in orders


async def test_a_card_dropped_at_the_end_of_a_filtered_column_goes_after_the_last_one_shown(
    parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView, tab: Open
):
    owner = await owner_of(parts, tokens)
    for title in ("red one", "blue one", "red two", "blue two"):
        await parts.tasks.create(owner, project.id, NewTask(title=title, description=""))
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.call("BoardState.arrive")
    await someone.send("BoardState.watch")
    await eventually(lambda: len(someone.cards("TODO")) == 5)
    await someone.call("BoardState.find", text="red")
    await eventually(lambda: len(someone.cards("TODO")) == 2)

    async def titles() -> list[str]:
        return await boards.titles(parts, owner, project.id)

    first = someone.cards("TODO")[0]["id"]
    await someone.call("BoardState.move", card_id=first, column="TODO", before_id="")
    assert await titles() == [task.title, "blue one", "red two", "red one", "blue two"]
    assert someone.titles("TODO") == ["red two", "red one"]
    await someone.call("BoardState.move", card_id=first, column="TODO", before_id="")
    assert await titles() == [task.title, "blue one", "red two", "red one", "blue two"], "it is there already"


async def test_a_dialog_that_is_opened_while_its_page_still_loads_stays_open(
    tab: Open, processor: dict[str, Tab]
) -> None:
    page = await tab("owner", "/")
    await page.go("/")
    await page.call("NewProjectState.set_making", making=True)
    await eventually(lambda: page.var("HomeState", "loaded"))
    assert page.var("NewProjectState", "making") is True
    # Its connection breaks and comes back: what is typed there stays.
    await page.disconnect()
    page.sid = f"{page.sid} again"
    processor[page.sid] = page
    await page.connect()
    await page.go("/")
    await page.settled()
    assert page.var("NewProjectState", "making") is True
    # Somebody goes elsewhere and comes again.
    await page.go("/settings")
    await page.go("/")
    await page.settled()
    assert page.var("NewProjectState", "making") is False


async def test_another_tab_sees_a_move_without_asking(project: ProjectView, task: TaskView, tab: Open):
    mover, watcher = await tab("editor", f"/p/{project.id}"), await tab("viewer", f"/p/{project.id}")
    for each in (mover, watcher):
        await each.call("BoardState.arrive")
    await watcher.send("BoardState.watch")
    await eventually(lambda: watcher.cards("TODO"))
    await mover.call("BoardState.move", card_id=str(task.id), column="DONE", before_id="")
    await eventually(lambda: watcher.cards("DONE"), 2)
    assert watcher.cards("TODO") == []
    # The card that moved travels, and the order of its column; no column does.
    sent = [change for owner, change in watcher.deltas if owner == full_name("BoardState")][-1]
    columns = ("todo", "in_progress", "ai_review", "human_review", "done")
    assert not {f"{name}_rx_state_" for name in columns} & sent.keys()
    assert sent["order_rx_state_"] == {"DONE": [str(task.id)]}
    assert list(sent["changed_rx_state_"]) == [str(task.id)]


async def test_an_editor_executes_and_everybody_sees_it_end(
    parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView, tab: Open
):
    editor: Tab = await tab("editor", f"/p/{project.id}")
    await editor.call("BoardState.arrive")
    await editor.send("BoardState.watch")
    await eventually(lambda: editor.var("BoardState", "loaded"))
    await editor.send("BoardState.execute", card_id=str(task.id))
    await editor.send("BoardState.execute", card_id=str(task.id))
    await eventually(lambda: editor.cards("AI_REVIEW"))
    assert await status_of(parts, tokens, task) == TaskStatus.AI_REVIEW
    assert await runs_of(parts, tokens, task) == 1
    assert "toast" in editor.told  # the second one was refused in words


async def test_a_description_typed_before_a_run_began_is_refused_and_not_dropped(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    task: TaskView,
    tab: Open,
    runtime: FakeRuntime,
):
    runtime._given = Script.lines(1000, rate=20, outcome=None)
    owner = await owner_of(parts, tokens)
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}/overview")
    await editor.call("DrawerState.arrive")
    await editor.call("DrawerState.edit", editing=True)
    await parts.starts.execute(owner, project.id, task.id)
    typed = {"description": "Typed before", "priority": "high", "labels": "docs"}
    await editor.call("DrawerState.save_details", form=typed)
    await eventually(lambda: "toast" in editor.told)
    assert editor.var("DrawerState", "editing") == str(task.id)
    left = await parts.tasks.read(owner, project.id, task.id)
    assert (left.description, left.priority, left.labels) == ("", "normal", [])
    await editor.call("DrawerState.save_details", form=typed | {"description": ""})
    saved = await parts.tasks.read(owner, project.id, task.id)
    assert (saved.description, saved.priority, saved.labels) == ("", "high", ["docs"])
    assert editor.var("DrawerState", "editing") == ""


async def test_who_saves_second_chooses_between_both_and_loses_nothing(
    parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView, tab: Open
):
    owner = await owner_of(parts, tokens)
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}/overview")
    await editor.call("DrawerState.arrive")
    await editor.call("DrawerState.edit", editing=True)
    begun = editor.var("DrawerState", "seen")
    theirs = await parts.tasks.change(
        owner, project.id, task.id, task.version, TaskPatch(description="Theirs")
    )
    form = {"description": "", "priority": "normal", "labels": "docs", "seen": begun}

    # Only the labels were changed: the description that was read before is not written back.
    await editor.call("DrawerState.save_details", form=form)
    [row] = editor.var("DrawerState", "both")
    assert (row["field"], row["mine"], row["theirs"]) == ("labels", "docs", "")
    assert await parts.tasks.read(owner, project.id, task.id) == theirs
    await editor.call("DrawerState.decide_later")
    assert editor.var("DrawerState", "editing") == str(task.id)

    await editor.call("DrawerState.save_details", form=form | {"description": "Mine"})
    rows = {row["field"]: (row["mine"], row["theirs"]) for row in editor.var("DrawerState", "both")}
    assert rows == {"description": ("Mine", "Theirs"), "labels": ("docs", "")}
    await editor.call("DrawerState.choose", field="labels", choice="mine")
    assert (await parts.tasks.read(owner, project.id, task.id)) == theirs
    third = await parts.tasks.change(
        owner, project.id, task.id, theirs.version, TaskPatch(description="Third")
    )
    await editor.call("DrawerState.choose", field="description", choice="mine")
    rows = {row["field"]: row["theirs"] for row in editor.var("DrawerState", "both")}
    assert rows == {"description": "Third", "labels": ""}
    assert (await parts.tasks.read(owner, project.id, task.id)) == third
    await editor.call("DrawerState.choose", field="labels", choice="mine")
    await editor.call("DrawerState.choose", field="description", choice="theirs")
    kept = await parts.tasks.read(owner, project.id, task.id)
    assert (kept.description, kept.labels, kept.version) == ("Third", ["docs"], third.version + 1)
    assert (editor.var("DrawerState", "both"), editor.var("DrawerState", "editing")) == ([], "")


async def test_a_title_in_place_names_the_version_on_which_it_was_begun(
    parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView, tab: Open
):
    owner = await owner_of(parts, tokens)
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}")
    await editor.call("DrawerState.arrive")
    await parts.tasks.change(owner, project.id, task.id, task.version, TaskPatch(title="Theirs"))
    await editor.call("DrawerState.save_title", title="Mine", version=2**70)
    await editor.call("DrawerState.save_title", title="Mine", version=task.version)
    [row] = editor.var("DrawerState", "both")
    assert (row["mine"], row["theirs"]) == ("Mine", "Theirs")
    assert (await parts.tasks.read(owner, project.id, task.id)).title == "Theirs"
    await editor.call("DrawerState.choose", field="title", choice="mine")
    assert (await parts.tasks.read(owner, project.id, task.id)).title == "Mine"
    assert editor.var("DrawerState", "settled") == 1


@pytest.mark.parametrize(
    "seen",
    ["", "x", "[]", "{}", '{"version": "x"}', '{"version": 1e400}', '{"version": -1}', "[" * 20_000],
)
async def test_a_form_that_does_not_say_what_it_is_founded_on_is_shown_beside_what_is_there(
    parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView, tab: Open, seen: str
):
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}/overview")
    await editor.call("DrawerState.arrive")
    await editor.call("DrawerState.edit", editing=True)
    await editor.call("DrawerState.save_details", form={"labels": "docs", "seen": seen})
    assert [row["field"] for row in editor.var("DrawerState", "both")] == ["labels"]
    assert (await parts.tasks.read(await owner_of(parts, tokens), project.id, task.id)) == task


async def test_the_next_person_in_a_tab_is_not_sent_what_the_last_one_saw(
    project: ProjectView, task: TaskView, tab: Open, processor: dict[str, Tab], logins: dict[str, Grant]
):
    path = f"/p/{project.id}/t/{task.id}"
    first: Tab = await tab("editor", path)
    await first.call("State.hydrate_and_load")
    await eventually(lambda: first.cards("TODO") and first.var("DrawerState", "title"))
    await first.disconnect()
    half = replace(logins["editor"], key="")
    people = ((logins["editor"], True), (half, False), (logins["stranger"], False), (None, False))
    for login, sees in people:
        again = Tab(login, "/", token=first.token)
        processor[again.sid] = again
        await again.connect()
        await again.call("State.hydrate_and_load")
        assert again.deltas
        assert (task.title in json.dumps(again.deltas)) is sees, login
        await again.disconnect()
