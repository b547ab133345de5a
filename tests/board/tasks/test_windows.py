"""A board by windows: what is shown, what follows, how many there are; labels, filters, what needs one."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, insert, update
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import Priority, SessionStatus, TaskStatus
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.filters import Filter
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.board.tasks.windows import WINDOW, Count
from vibe_app.errors import Forbidden
from vibe_app.wire import now
from vibe_app.wiring import Services


@pytest.fixture
async def project(resting: Services, owner: Actor) -> UUID:
    return (await resting.projects.create(owner, NewProject(name="Calendar"))).id


async def fill(resting: Services, project: UUID, count: int, status: TaskStatus = TaskStatus.TODO) -> None:
    """Put many cards on a board at once."""
    rows: list[dict[str, Any]] = [
        {
            "id": uuid4(),
            "project_id": project,
            "title": f"Card {number}",
            "description": "",
            "priority": Priority.NORMAL,
            "labels": ["docs"] if number % 2 else ["docs", "api"],
            "status": status,
            "position": float(number),
            "number": 1000 + number,
            "version": 1,
            "created_at": now(),
            "updated_at": now(),
        }
        for number in range(1, count + 1)
    ]
    async with resting.database.transaction() as db:
        await db.execute(insert(Task), rows)


async def ran(
    resting: Services, task: TaskView, status: SessionStatus, *, asking: bool = False, column: TaskStatus
) -> UUID:
    """Give a card a session that is over, and put it into a column."""
    session = Session(task_id=task.id, project_id=task.project_id, prompt="x", status=status, asking=asking)
    session.started_at = session.completed_at = now()
    async with resting.database.transaction() as db:
        db.add(session)
        await db.flush()
        values = {"last_session_id": session.id, "status": column}
        await db.execute(update(Task).where(col(Task.id) == task.id).values(values))
    return session.id


async def changed(resting: Services, task: TaskView) -> None:
    """Give a card a change that nobody has decided about."""
    change = Change(
        task_id=task.id,
        project_id=task.project_id,
        base_branch="main",
        base_commit="0" * 40,
        revision="1" * 40,
    )
    async with resting.database.transaction() as db:
        db.add(change)
        await db.execute(update(Task).where(col(Task.id) == task.id).values(change_id=change.id))


async def test_a_board_is_read_in_windows(resting: Services, owner: Actor, project: UUID) -> None:
    await fill(resting, project, 5)
    board = await resting.boards.read(owner, project, sizes={TaskStatus.TODO: 2})
    todo = board.columns[TaskStatus.TODO]
    assert ([card.title for card in todo.cards], todo.more) == (["Card 1", "Card 2"], True)
    assert board.columns[TaskStatus.DONE].cards == []
    assert board.counts[TaskStatus.TODO] == Count(5, 5)
    assert board.counts[TaskStatus.DONE] == Count(0, 0)
    wider = (await resting.boards.read(owner, project, sizes={TaskStatus.TODO: 5})).columns[TaskStatus.TODO]
    assert ([card.title for card in wider.cards], wider.more) == ([f"Card {n}" for n in range(1, 6)], False)


async def test_a_wider_window_begins_as_the_narrower_one_where_cards_share_a_position(
    resting: Services, owner: Actor, project: UUID
) -> None:
    await fill(resting, project, 7)
    async with resting.database.transaction() as db:
        await db.execute(update(Task).values(position=1.0))
    found: list[list[str]] = []
    for size in (3, 5, 7):
        board = await resting.boards.read(owner, project, sizes={TaskStatus.TODO: size})
        found.append([card.title for card in board.columns[TaskStatus.TODO].cards])
    assert found == [found[2][:3], found[2][:5], found[2]]
    assert sorted(found[2]) == [f"Card {number}" for number in range(1, 8)]


async def test_the_archive_comes_in_windows_too_filtered_and_the_newest_first(
    resting: Services, owner: Actor, project: UUID
) -> None:
    for title, label in (("One", "docs"), ("Two", "api"), ("Three", "docs"), ("Here", "docs")):
        task = await resting.tasks.create(owner, project, NewTask(title=title, labels=[label]))
        if title != "Here":
            await resting.tasks.archive(owner, project, task.id)
    chosen = Filter(archived=True)
    board = await resting.boards.read(owner, project, chosen, {TaskStatus.TODO: 2})
    todo = board.columns[TaskStatus.TODO]
    assert ([card.title for card in todo.cards], todo.more) == (["Three", "Two"], True)
    assert board.counts[TaskStatus.TODO] == Count(3, 3)
    docs = Filter(archived=True, labels=frozenset({"docs"}))
    board = await resting.boards.read(owner, project, docs)
    assert [card.title for card in board.columns[TaskStatus.TODO].cards] == ["Three", "One"]
    assert board.counts[TaskStatus.TODO] == Count(2, 3)
    some = await resting.boards.some(owner, project, [card.id for card in todo.cards], docs)
    assert [card.title for card in some] == ["Three"]


async def test_a_board_of_thousands_asks_no_more_than_one_of_few(
    resting: Services, owner: Actor, project: UUID
) -> None:
    """Opening it, one changed card, its archive: as many queries and as many cards as of a small one."""
    asked: list[str] = []
    for engine in {resting.database._reader.sync_engine, resting.database._writer.sync_engine}:
        event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    async def costs(board: UUID, count: int) -> list[tuple[int, int]]:
        await fill(resting, board, count)
        found: list[tuple[int, int]] = []
        for archived in (False, True):
            chosen = Filter(archived=archived)
            asked.clear()
            cards = (await resting.boards.read(owner, board, chosen)).columns[TaskStatus.TODO].cards
            found.append((len(asked), len(cards)))
            asked.clear()
            some = await resting.boards.some(owner, board, [cards[0].id], chosen)
            found.append((len(asked), len(some)))
            async with resting.database.transaction() as db:
                await db.execute(update(Task).values(archived_at=now()))
        return found

    few = await costs(project, 200)
    other = (await resting.projects.create(owner, NewProject(name="Large"))).id
    assert await costs(other, 5000) == few
    assert [cards for _, cards in few] == [WINDOW, 1, WINDOW, 1]


async def test_filters(resting: Services, owner: Actor, project: UUID) -> None:
    async def make(title: str, **values: Any) -> TaskView:
        return await resting.tasks.create(owner, project, NewTask(title=title, **values))

    await make("One", labels=["a", 'it\'s "b"'], priority="high")
    await make("Two", labels=["b"], assignee_id=owner.user_id)
    await make("Three", priority="urgent")

    async def left(**values: Any) -> list[str]:
        chosen = Filter(**values)
        board = await resting.boards.read(owner, project, chosen)
        cards = board.columns[TaskStatus.TODO].cards
        assert board.counts[TaskStatus.TODO] == Count(len(cards), 3)
        everything = [card.id for card in (await resting.boards.read(owner, project)).columns["TODO"].cards]
        some = await resting.boards.some(owner, project, everything, chosen)
        assert [card.id for card in some] == [card.id for card in cards]
        return [card.title for card in cards]

    assert await left(text="t") == ["Two", "Three"]
    assert await left(text="CAL-3") == ["Three"]
    assert await left(labels=frozenset({"a", "b"})) == ["One", "Two"]
    assert await left(labels=frozenset({'it\'s "b"'})) == ["One"]
    assert await left(priorities=frozenset({Priority.HIGH, Priority.URGENT})) == ["One", "Three"]
    assert await left(assignees=frozenset({owner.user_id})) == ["Two"]
    assert await left(unassigned=True) == ["One", "Three"]
    assert await left(unassigned=True, assignees=frozenset({owner.user_id})) == ["One", "Two", "Three"]
    assert await left(labels=frozenset({"a"}), priorities=frozenset({Priority.LOW})) == []


async def test_labels_are_counted_on_the_board_alone(resting: Services, owner: Actor, project: UUID) -> None:
    await fill(resting, project, 3)
    elsewhere = await resting.projects.create(owner, NewProject(name="Other"))
    await resting.tasks.create(owner, elsewhere.id, NewTask(title="x", labels=["other"]))
    gone = await resting.tasks.create(owner, project, NewTask(title="x", labels=["gone"]))
    await resting.tasks.delete(owner, project, gone.id)
    assert await resting.boards.labels(owner, project) == {"api": 1, "docs": 3}


async def test_what_needs_a_person(resting: Services, owner: Actor, project: UUID) -> None:
    cards = {
        name: await resting.tasks.create(owner, project, NewTask(title=name))
        for name in ("failed", "stopped", "answer", "review", "empty", "done", "other", "archived")
    }
    other = await resting.users.add(None, "other@example.org", "Other", "correct horse battery")
    await resting.members.put(owner, project, other.id, ProjectRole.EDITOR)
    todo, review = TaskStatus.TODO, TaskStatus.AI_REVIEW
    await ran(resting, cards["failed"], SessionStatus.FAILED, column=todo)
    await ran(resting, cards["archived"], SessionStatus.FAILED, column=todo)
    await ran(resting, cards["stopped"], SessionStatus.CANCELLED, column=todo)
    await ran(resting, cards["answer"], SessionStatus.COMPLETED, asking=True, column=TaskStatus.HUMAN_REVIEW)
    for name in ("review", "empty", "other"):
        await ran(resting, cards[name], SessionStatus.COMPLETED, column=review)
    await ran(resting, cards["done"], SessionStatus.COMPLETED, column=TaskStatus.DONE)
    for name in ("review", "done", "other"):
        await changed(resting, cards[name])
    await resting.tasks.archive(owner, project, cards["archived"].id)
    async with resting.database.transaction() as db:
        await db.execute(update(Task).where(col(Task.id) == cards["other"].id).values(assignee_id=other.id))
    page = await resting.tasks.page(owner, project, None, "", 1, 20)
    assert {card.title: str(card.attention or "") for card in page.items if card.attention} == {
        "failed": "failed",
        "answer": "answer",
        "review": "review",
        "other": "review",
    }
    home = await resting.home.read(owner)
    assert {each.card.title for each in home.needs_you.cards} == {"failed", "answer", "review"}
    assert (home.needs_you.total_count, home.projects[0].needs_you) == (3, 3)
    assert home.needs_you.cards[0].project == "Calendar"
    board = await resting.boards.read(owner, project, Filter(needs=owner.user_id))
    assert sum(count.shown for count in board.counts.values()) == 3
    assert await resting.home.counts(owner) == {project: (0, 3)}
    theirs = Actor(other.id, other.role, other.email, other.name)
    assert (await resting.home.needs_you(theirs)).total_count == 4


async def test_home_shows_what_runs_and_what_ended_over_all_projects(
    resting: Services, owner: Actor, project: UUID
) -> None:
    second = (await resting.projects.create(owner, NewProject(name="Alpha"))).id
    ended = await resting.tasks.create(owner, project, NewTask(title="Ended"))
    await ran(resting, ended, SessionStatus.FAILED, column=TaskStatus.TODO)
    await ran(resting, ended, SessionStatus.COMPLETED, column=TaskStatus.DONE)
    live = await resting.tasks.create(owner, second, NewTask(title="Live"))
    await resting.starts.execute(owner, second, live.id)
    gone = await resting.tasks.create(owner, second, NewTask(title="Gone"))
    await ran(resting, gone, SessionStatus.COMPLETED, column=TaskStatus.DONE)
    await resting.tasks.delete(owner, second, gone.id)
    home = await resting.home.read(owner)
    assert [(each.project, each.card.title) for each in home.running.cards] == [("Alpha", "Live")]
    assert [(each.project, each.card.title) for each in home.finished.cards] == [("Calendar", "Ended")]
    assert [(tile.name, tile.live) for tile in home.projects] == [("Alpha", 1), ("Calendar", 0)]
    assert all(len(tile.week) == 7 for tile in home.projects)
    today = home.projects[1].week[-1]
    assert (today.day, today.completed, today.failed) == (str(now().date()), 1, 1)


async def test_nobody_sees_a_foreign_board(resting: Services, owner: Actor, project: UUID) -> None:
    user = await resting.users.add(None, "other@example.org", "Other", "correct horse battery")
    other = Actor(user.id, user.role, user.email, user.name)
    for verb in (
        resting.boards.read(other, project),
        resting.boards.some(other, project, []),
        resting.boards.labels(other, project),
    ):
        with pytest.raises(Forbidden):
            await verb
    task = await resting.tasks.create(owner, project, NewTask(title="Mine"))
    await ran(resting, task, SessionStatus.FAILED, column=TaskStatus.TODO)
    home = await resting.home.read(other)
    assert (home.needs_you.total_count, home.finished.cards, home.projects) == (0, [], [])
