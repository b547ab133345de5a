"""A board by windows: what of a large one travels, what is shown of it, and what can be taken back."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests import boards
from tests.seeding import seed_change
from tests.waiting import eventually
from tests.web.conftest import Open, Tab, full_name
from tests.web.test_components import task as card
from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.board.tasks.windows import WINDOW
from vibe_app.web.board.cards import Face, face_of, initials, lean
from vibe_app.web.board.filters import Filters, read_filters
from vibe_app.web.board.selection import refused_words
from vibe_app.web.board.windows import FEW, Sent, sent
from vibe_app.wiring import Services

MANY = 60


@pytest.fixture
async def tasks(parts: Services, owner: Actor, project: ProjectView) -> list[TaskView]:
    """More cards in To do than are shown at first."""
    new = [NewTask(title=f"Card {n}", labels=["odd"] if n % 2 else []) for n in range(MANY)]
    return [await parts.tasks.create(owner, project.id, each) for each in new]


@pytest.fixture
async def board(tab: Open, project: ProjectView, tasks: list[TaskView]) -> Tab:
    """An editor's tab on it."""
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.call("BoardState.arrive")
    await someone.send("BoardState.watch")
    await eventually(lambda: someone.var("BoardState", "loaded"))
    return someone


def columns(**cards: list[Face]) -> dict[str, list[Face]]:
    return {status.value: cards.get(status.lower(), []) for status in TaskStatus}


def faces(*numbers: int, title: str = "Card") -> list[Face]:
    return [Face(str(n), f"{title} {n}") for n in numbers]


def test_what_differs_a_little_is_sent_alone_and_much_of_it_as_whole_columns() -> None:
    base = columns(todo=faces(*range(30)), done=faces(*range(40, 50)))
    moved = columns(todo=faces(*range(1, 30)), done=faces(40, 0, *range(41, 50)))
    new = sent(base, moved)
    assert new.base is base
    assert not new.changed
    assert set(new.order) == {"TODO", "DONE"}
    assert new.now() == moved
    renamed = columns(todo=[*faces(0, title="New"), *faces(*range(1, 30))], done=base["DONE"])
    assert list(sent(base, renamed).changed) == ["0"]
    assert sent(base, renamed).now() == renamed
    others = columns(todo=faces(*range(FEW + 1), title="New"), done=faces(40))
    whole = sent(base, others)
    assert whole.base["TODO"] == others["TODO"]
    assert whole.now() == others


def test_an_emptied_column_is_empty() -> None:
    base = columns(todo=faces(1))
    assert sent(base, columns()).now() == columns()
    assert Sent(base, {}, {}).now() == base


def test_a_face_travels_without_what_it_does_not_say() -> None:
    assert lean(Face("1", "One")) == {
        "id": "1",
        "title": "One",
        "priority": "normal",
        "labels": [],
        "marks": [],
    }
    assert lean(Face("1", "One", additions=3))["deletions"] == 0


@pytest.mark.parametrize(("status", "due"), [(TaskStatus.TODO, "2026-03-10"), (TaskStatus.DONE, "")])
def test_by_when_it_is_to_be_done_is_shown_until_it_is(status: TaskStatus, due: str) -> None:
    update = {"due_on": date(2026, 3, 10), "status": status}
    assert face_of(card().model_copy(update=update)).due == due


def test_a_face_names_three_labels_and_what_blocks_it() -> None:
    labels = [str(n) for n in range(20)]
    update = {"labels": labels, "ref": "CAL-14", "blocked": ["CAL-3", "CAL-4"]}
    face = face_of(card().model_copy(update=update))
    assert (face.labels, face.more, face.ref) == (labels[:3], 17, "CAL-14")
    assert face.blocked == "Blocked by CAL-3 and 1 more"


def test_initials_are_of_the_first_and_the_last_name() -> None:
    assert [initials(name) for name in ("Ada", "Ada Maria Lovelace", "")] == ["A", "AL", ""]


def test_filters_are_what_their_address_says() -> None:
    filters = Filters("two words", "high", "docs", "nobody", needs=True)
    query = filters.query()
    assert query == "?q=two+words&priority=high&label=docs&person=nobody&needs=me"

    assert read_filters(dict(parse_qsl(query[1:]))) == filters
    assert Filters().query() == ""
    assert read_filters({"priority": "nonsense", "needs": "you", "show": "all"}) == Filters()


async def test_a_column_comes_in_windows_with_the_count_of_all(board: Tab) -> None:
    assert len(board.cards("TODO")) == WINDOW
    assert board.var("BoardState", "counts")["TODO"] == MANY
    for _ in range(2):  # the row was seen, and its button pressed: one window more
        await board.call("BoardState.more", column="TODO", size=WINDOW)
    assert board.titles("TODO") == [f"Card {n}" for n in range(MANY)]
    assert board.var("BoardState", "sizes")["TODO"] == 2 * WINDOW


async def test_a_card_that_changed_travels_alone(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    # Opening the page wakes the workspace, which is told of as well.
    await eventually(lambda: board.var("BoardState", "workspace") == "ready")
    await board.settled()
    before = len(board.deltas)
    await parts.tasks.change(owner, project.id, tasks[3].id, tasks[3].version, TaskPatch(title="Renamed"))
    await eventually(lambda: "Renamed" in board.titles("TODO"))
    said = [change for name, change in board.deltas[before:] if name == full_name("BoardState")]
    assert [set(change) for change in said] == [{"changed_rx_state_"}]
    assert len(json.dumps(said)) < 600


async def test_one_dropped_below_a_window_stays_in_sight(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    await board.call("BoardState.move", card_id=str(tasks[0].id), column="TODO", before_id="")
    kept = await boards.titles(parts, owner, project.id)
    assert kept.index("Card 0") == WINDOW - 1
    assert board.titles("TODO")[-1] == "Card 0"


async def test_an_address_filters_and_a_filter_is_in_the_address(
    tab: Open, project: ProjectView, board: Tab
) -> None:
    await board.call("BoardState.choose", name="label", value="odd")
    assert board.var("BoardState", "counts")["TODO"] == MANY // 2
    assert f"/p/{project.id}?label=odd" in board.told
    shared: Tab = await tab("viewer", f"/p/{project.id}?label=odd&q=Card+5")
    await shared.go(shared.path)
    await eventually(lambda: shared.var("BoardState", "loaded"))
    assert shared.titles("TODO") == ["Card 5", *(f"Card {n}" for n in range(51, 60, 2))]
    await shared.call("BoardState.clear_filters")
    assert shared.var("BoardState", "counts")["TODO"] == MANY


async def test_a_tab_out_of_sight_is_sent_nothing_and_catches_up(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    await board.send("BoardState.watch", hidden=True)
    await board.settled()
    other = board.sid
    before = len(board.deltas)
    await parts.tasks.change(owner, project.id, tasks[1].id, tasks[1].version, TaskPatch(title="Unseen"))
    await board.settled()
    assert not [name for name, _ in board.deltas[before:] if name == full_name("BoardState")], other
    await board.send("BoardState.watch", hidden=False)
    await eventually(lambda: "Unseen" in board.titles("TODO"))


async def test_several_are_moved_labelled_archived_and_deleted_and_taken_back(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    async def titles(status: TaskStatus) -> list[str]:
        return await boards.titles(parts, owner, project.id, status)

    async def choose() -> None:
        await eventually(lambda: board.titles("TODO")[:4] == before[:4])
        await board.call("SelectionState.choose", card_id=str(tasks[1].id))
        await board.call("SelectionState.choose_to", card_id=str(tasks[3].id))
        assert board.var("SelectionState", "chosen") == [str(each.id) for each in tasks[1:4]]

    before = await titles(TaskStatus.TODO)
    deeds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("move", {"column": "DONE"}),
        ("archive", {}),
        ("delete", {}),
    )
    for deed, arguments in deeds:
        await choose()
        await board.call(f"SelectionState.{deed}", **arguments)
        assert "3 cards" in board.told
        assert await titles(TaskStatus.TODO) == [before[0], *before[4:]]
        assert "Card 1" not in board.titles("TODO")
        await board.call("UndoState.undo")
        assert await titles(TaskStatus.TODO) == before
    await choose()
    await board.call("SelectionState.put_label", form={"labels": "docs, odd"})
    found = await parts.boards.labels(owner, project.id)
    assert found == {"odd": MANY // 2 + 1, "docs": 3}
    await board.call("UndoState.undo")
    assert "nothing to take back" in board.told


async def test_who_refuses_is_named_with_the_reason_and_stays_selected(
    parts: Services, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    await seed_change(parts.database, tasks[1].id, {"a.txt": (None, "1\n")})
    for each in tasks[:3]:
        await board.call("SelectionState.choose", card_id=str(each.id))
    await board.call("SelectionState.move", column="DONE")
    assert "2 cards moved to Done." in board.told
    assert f"{tasks[1].ref}: This card has a change that nobody has decided about" in board.told
    assert board.titles("DONE") == ["Card 0", "Card 2"]
    assert board.var("SelectionState", "chosen") == [str(tasks[1].id)]


def test_a_refusal_names_cards_by_reason_and_counts_the_others() -> None:
    names = {str(n): f"CAL-{n}" for n in range(1, 8)}
    refused = {str(n): "It runs." for n in range(1, 8)} | {"9": "It is gone."}
    assert refused_words(refused, names) == [
        "CAL-1, CAL-2, CAL-3, CAL-4, CAL-5 and 2 more: It runs.",
        "1 card: It is gone.",
    ]


async def test_a_key_means_its_card_or_all_that_are_selected_with_it(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    ids = [str(each.id) for each in tasks]
    for card_id in ids[:2]:
        await board.call("SelectionState.choose", card_id=card_id)
    await board.call("KeysState.on_card", key="a", card_id=ids[5])
    assert "1 card archived." in board.told
    assert board.var("SelectionState", "chosen") == ids[:2]
    await board.call("KeysState.on_card", key="Delete", card_id=ids[0])
    assert "2 cards deleted." in board.told
    assert board.titles("TODO")[:3] == ["Card 2", "Card 3", "Card 4"]
    assert board.var("SelectionState", "chosen") == []


async def test_a_move_is_taken_back_to_where_the_card_stood(board: Tab, tasks: list[TaskView]) -> None:
    await board.call("BoardState.move", card_id=str(tasks[2].id), column="DONE", before_id="")
    assert board.titles("DONE") == ["Card 2"]
    assert "Undo" in board.told
    await board.call("UndoState.undo")
    await eventually(lambda: board.titles("TODO")[:4] == [f"Card {n}" for n in range(4)])
    assert board.titles("DONE") == []


async def test_what_is_archived_is_shown_on_its_own_and_comes_back(
    parts: Services, owner: Actor, project: ProjectView, tasks: list[TaskView], board: Tab
) -> None:
    for each in tasks[:3]:
        await parts.tasks.archive(owner, project.id, each.id)
    await board.call("BoardState.toggle", name="archived")
    assert board.titles("TODO") == ["Card 2", "Card 1", "Card 0"]
    await board.call("BoardState.choose", name="label", value="odd")
    assert board.titles("TODO") == ["Card 1"]
    assert (board.var("BoardState", "counts")["TODO"], board.var("BoardState", "total")) == (1, 3)
    await board.call("SelectionState.choose", card_id=str(tasks[1].id))
    await board.call("SelectionState.archive")
    assert board.titles("TODO") == []
    await board.call("BoardState.toggle", name="archived")
    assert "Card 1" in board.titles("TODO")


@pytest.mark.parametrize("path", ["/p/nothing", "/p/00000000-0000-4000-8000-000000000000"])
async def test_the_rail_is_beside_a_board_that_is_not_there(
    project: ProjectView, tab: Open, path: str
) -> None:
    viewer: Tab = await tab("viewer", path)
    await viewer.call("BoardState.arrive")
    assert viewer.var("BoardState", "missing")
    await eventually(lambda: viewer.var("RailState", "loaded"))
    assert [each["name"] for each in viewer.var("RailState", "projects")] == [project.name]
