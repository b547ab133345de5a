"""What is decided about a change, and one that moves on meanwhile, called as a browser's socket calls it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.seeding import seed_change
from tests.waiting import eventually
from tests.web import reviewing
from tests.web.conftest import Open, Tab
from tests.web.reviewing import ONE, TEXTS, TWO, comment, looking, owner
from vibe_app.board.lifecycle import ChangeState, TaskStatus
from vibe_app.board.tasks.schemas import TaskPatch, TaskView
from vibe_app.web.board import watching
from vibe_app.web.card.shown import Shown, read_drawer
from vibe_app.wire import now
from vibe_app.wiring import Services

task = reviewing.task


async def test_a_change_that_moves_on_stays_as_it_was_seen(parts: Services, tab: Open, task: TaskView):
    editor = await looking(tab, "editor", task)
    await seed_change(parts.database, task.id, {"c.py": (None, "c\n")}, TWO)
    await editor.call("DrawerState.arrive")
    assert (editor.var("ChangesState", "revision"), editor.var("ChangesState", "newest")) == (ONE, TWO)
    assert [file["path"] for file in editor.var("ChangesState", "files")] == ["a.py", "b.py"]
    await editor.call("DecideState.accept")
    assert "The change has moved on since you looked." in editor.told
    assert (await parts.tasks.read(await owner(parts, task), task.project_id, task.id)).change.busy is None
    await editor.call("ChangesState.show_new")
    await editor.call("ReviewState.load")
    assert [file["path"] for file in editor.var("ReviewState", "files")] == ["c.py"]


async def test_a_page_that_is_loaded_anew_shows_the_change_as_it_is(
    parts: Services, tab: Open, task: TaskView
):
    editor = await looking(tab, "editor", task)
    await seed_change(parts.database, task.id, {"c.py": (None, "c\n")}, TWO)
    # A connection that comes back tells nothing of what its page began with: the reader is still reading.
    await editor.call("State.hydrate_and_load")
    await editor.call("DrawerState.arrive")
    assert (editor.var("ChangesState", "revision"), editor.var("ChangesState", "newest")) == (ONE, TWO)
    await editor.call("State.hydrate_and_load", hashes=[])
    await editor.call("DrawerState.arrive")
    assert (editor.var("ChangesState", "revision"), editor.var("ChangesState", "newest")) == (TWO, TWO)
    assert [file["path"] for file in editor.var("ChangesState", "files")] == ["c.py"]
    assert [file["path"] for file in editor.var("ReviewState", "files")] == ["c.py"]


async def test_what_was_read_before_is_not_shown_over_what_was_read_since(
    parts: Services, tab: Open, task: TaskView, monkeypatch: pytest.MonkeyPatch
):
    editor = await looking(tab, "editor", task)
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*asked: Any) -> Shown:
        found = await read_drawer(*asked)
        reading.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(watching, "read_drawer", slow)
    await editor.send("BoardState.arrive")
    await editor.send("BoardState.watch")
    await asyncio.wait_for(reading.wait(), 10)
    await seed_change(parts.database, task.id, {"c.py": (None, "c\n")}, TWO)
    await editor.call("ChangesState.show_new")
    await editor.call("DrawerState.arrive")
    monkeypatch.setattr(watching, "read_drawer", read_drawer)
    go_on.set()
    here, patch = (task.project_id, task.id), TaskPatch(title="Greet them")
    await parts.tasks.change(await owner(parts, task), *here, task.version, patch)
    await eventually(lambda: editor.var("DrawerState", "title") == "Greet them")
    assert set(editor.all_of("ChangesState", "newest")) == {ONE, TWO}
    assert editor.all_of("ChangesState", "newest")[-1] == TWO
    assert editor.all_of("ChangesState", "newest").count(ONE) == 1


@pytest.mark.parametrize("what", ["accept", "discard"])
async def test_who_edits_decides(parts: Services, tab: Open, task: TaskView, what: str):
    editor = await looking(tab, "editor", task)
    await editor.call(f"DecideState.{what}")
    assert editor.var("ChangesState", "intent") == what
    read = await parts.changes.read(await owner(parts, task), task.project_id, task.id)
    assert read.intent == what


@pytest.mark.parametrize(
    ("handler", "sent"),
    [
        ("DecideState.accept", {}),
        ("DecideState.discard", {}),
        ("DecideState.restore", {}),
        ("DecideState.solve", {}),
        ("DecideState.send", {"form": {"message": "Go on"}}),
    ],
)
async def test_a_viewer_decides_nothing(
    parts: Services, tab: Open, task: TaskView, handler: str, sent: dict[str, Any]
):
    await seed_change(parts.database, task.id, TEXTS, ONE, conflicts=["a.py"])
    viewer = await looking(tab, "viewer", task)
    await viewer.call(handler, **sent)
    assert "toast" in viewer.told
    assert "went wrong" not in viewer.told
    actor = await owner(parts, task)
    assert (await parts.changes.read(actor, task.project_id, task.id)).intent is None
    assert (await parts.tasks.read(actor, task.project_id, task.id)).status is TaskStatus.AI_REVIEW


async def test_a_message_takes_the_open_comments_along_that_were_not_held_back(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    sent, held = [str(await comment(parts, tokens, task)) for _ in range(2)]
    editor = await looking(tab, "editor", task)
    assert editor.var("ReviewState", "sending") == 2
    await editor.call("ReviewState.hold", comment_id=held, held=True)
    assert editor.var("ReviewState", "sending") == 1
    await editor.call("DecideState.send", form={"message": "Please greet in French"})
    assert f"/t/{task.id}/output" in editor.told
    assert f"follow:{task.id}" in editor.told  # what was typed is forgotten
    actor = await owner(parts, task)
    comments = await parts.comments.list(actor, task.project_id, task.id)
    assert {str(each.id) for each in comments if each.session_id} == {sent}


@pytest.mark.parametrize("words", ["Please greet in French", ""])
async def test_a_second_press_on_send_says_nothing_new(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView, words: str
):
    await comment(parts, tokens, task)
    editor = await looking(tab, "editor", task)
    for _ in range(2):
        await editor.call("DecideState.send", form={"message": words})
    assert "toast" not in editor.told
    await editor.call("DecideState.send", form={"message": "And in Spanish"})
    assert "This task already has a running session." in editor.told


async def test_a_message_about_what_has_moved_on_is_not_sent(parts: Services, tab: Open, task: TaskView):
    editor = await looking(tab, "editor", task)
    await seed_change(parts.database, task.id, {"c.py": (None, "c\n")}, TWO)
    await editor.call("DecideState.send", form={"message": "Go on"})
    assert editor.var("ChangesState", "newest") == TWO
    assert "removeItem" not in editor.told
    card = await parts.tasks.read(await owner(parts, task), task.project_id, task.id)
    assert card.status is TaskStatus.AI_REVIEW


async def test_a_discarded_change_is_restored(parts: Services, tab: Open, task: TaskView):
    await seed_change(parts.database, task.id, TEXTS, ONE, state=ChangeState.DISCARDED, decided_at=now())
    editor = await looking(tab, "editor", task)
    assert editor.var("ChangesState", "state") == "discarded"
    await editor.call("DecideState.restore")
    assert editor.var("ChangesState", "intent") == "restore"


async def test_a_card_dropped_on_done_asks_what_becomes_of_its_change(
    parts: Services, tab: Open, task: TaskView
):
    editor: Tab = await tab("editor", f"/p/{task.project_id}")
    await editor.send("BoardState.watch")
    await eventually(lambda: editor.var("BoardState", "loaded"))
    await editor.call("BoardState.move", card_id=str(task.id), column="DONE", before_id="")
    await eventually(lambda: editor.var("DecideState", "dropped") == str(task.id))
    assert editor.var("DecideState", "dropped_title") == task.title
    await editor.call("DecideState.decide_dropped", what="accept")
    read = await parts.changes.read(await owner(parts, task), task.project_id, task.id)
    assert read.intent == "accept"
    assert not editor.var("DecideState", "dropped")


async def test_an_open_tab_hears_of_comments_and_decisions(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    viewer = await looking(tab, "viewer", task)
    await viewer.send("BoardState.watch")
    await eventually(lambda: viewer.var("BoardState", "loaded"))
    await comment(parts, tokens, task, body="Hear, hear")
    await eventually(
        lambda: [row["body"] for row in viewer.var("ReviewState", "comments") or []] == ["Hear, hear"]
    )
    assert (await parts.accounts.who(tokens["owner"])).user_id
    await seed_change(parts.database, task.id, TEXTS, TWO)
    await eventually(lambda: viewer.var("ChangesState", "newest") == TWO)


async def test_what_nobody_looks_at_is_shown_as_it_is_now(parts: Services, tab: Open, task: TaskView):
    editor = await looking(tab, "editor", task)
    await editor.go(f"/p/{task.project_id}/t/{task.id}/output")
    await eventually(lambda: editor.var("DrawerState", "tab") == "output")
    await seed_change(parts.database, task.id, {"c.py": (None, "c\n")}, TWO)
    await editor.go(f"/p/{task.project_id}/t/{task.id}/changes")
    await eventually(lambda: [file["path"] for file in editor.var("ReviewState", "files")] == ["c.py"])
    assert editor.var("ChangesState", "revision") == TWO
