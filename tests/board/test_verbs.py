"""What the API cannot show of the board's verbs: announcements, prompts, cleaning."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from tests.boards import titles
from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.starting import compose_prompt
from vibe_app.board.tasks.schemas import NewTask, TaskPatch
from vibe_app.errors import Conflict, InvalidRequest, VibeError
from vibe_app.wiring import Services


async def task_of(parts: Services, owner: Actor) -> tuple[UUID, UUID]:
    """Make a project and a card of it; return their ids."""
    project = await parts.projects.create(owner, NewProject(name="Sample"))
    return project.id, (await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))).id


async def test_two_executes_at_once_make_one_session(resting: Services, owner: Actor) -> None:
    project, task = await task_of(resting, owner)

    async def execute() -> str:
        try:
            await resting.starts.execute(owner, project, task)
        except Conflict as error:
            return error.code
        return "made"

    outcomes = sorted(await asyncio.gather(*(execute() for _ in range(20))))
    assert outcomes == ["already_active"] * 19 + ["made"]
    assert (await resting.sessions.history(owner, project, task)).total_count == 1


async def test_an_execute_and_a_move_at_once_agree(resting: Services, owner: Actor) -> None:
    project, task = await task_of(resting, owner)
    for _ in range(10):
        outcomes = await asyncio.gather(
            resting.starts.execute(owner, project, task),
            resting.tasks.move(owner, project, task, "DONE"),
            return_exceptions=True,
        )
        card = await resting.tasks.read(owner, project, task)
        executed = not isinstance(outcomes[0], VibeError)
        assert (card.status == "IN_PROGRESS") == executed
        live = (await resting.sessions.of_project(owner, project, active=True)).total_count
        assert live == int(executed)
        if executed:
            await resting.sessions.stop(owner, project, task)
        else:
            await resting.tasks.move(owner, project, task, "TODO")


async def test_stopping_what_nobody_runs_ends_it_at_once(resting: Services, owner: Actor) -> None:
    project, task = await task_of(resting, owner)
    session = await resting.starts.execute(owner, project, task)
    stopped = await resting.sessions.stop(owner, project, task)
    assert stopped.status == "cancelled"
    [event] = (await resting.event_log.read(session.id)).events
    assert (event.seq, event.type, event.text) == (1, "done", "Session cancelled")
    with pytest.raises(InvalidRequest, match="no running session"):
        await resting.sessions.stop(owner, project, task)


async def test_changes_are_announced_once_they_can_be_read(resting: Services, owner: Actor) -> None:
    project, task = await task_of(resting, owner)
    with resting.database.bus.subscribe(f"project:{project}", "queue") as changes:
        await resting.tasks.change(owner, project, task, 1, TaskPatch(title="Renamed"))
        assert await changes.wait(0) == {f"project:{project}"}
        await resting.starts.execute(owner, project, task)
        assert await changes.wait(0) == {f"project:{project}", "queue"}
        with pytest.raises(Conflict):
            await resting.tasks.change(owner, project, task, 2, TaskPatch(title="Again"))
        assert await changes.wait(0) == set()


async def test_a_new_priority_reaches_the_waiting_session(resting: Services, owner: Actor) -> None:
    project, task = await task_of(resting, owner)
    session = await resting.starts.execute(owner, project, task)
    await resting.tasks.change(owner, project, task, 1, TaskPatch(priority="urgent"))
    async with resting.database.read() as db:
        row = await db.get(Session, session.id)
    assert row is not None
    assert row.priority == Priority.URGENT.rank


def test_a_prompt_is_what_was_written() -> None:
    assert compose_prompt("Title", "") == "Title"
    assert compose_prompt("Title", "Body", "More") == "Title\n\nBody\n\nMore"


@pytest.mark.parametrize(
    ("status", "column"),
    [
        ("TODO", "To do"),
        ("IN_PROGRESS", "In progress"),
        ("AI_REVIEW", "AI review"),
        ("HUMAN_REVIEW", "Human review"),
        ("DONE", "Done"),
    ],
)
def test_sentences_name_a_column_as_the_board_does(status: str, column: str):
    assert TaskStatus(status).column == column


async def test_below_another_card_whatever_stands_there(resting: Services, owner: Actor) -> None:
    project = (await resting.projects.create(owner, NewProject(name="In order"))).id
    cards = [await resting.tasks.create(owner, project, NewTask(title=title)) for title in "abcd"]
    first, _, third, last = (card.id for card in cards)

    async def order() -> str:
        return "".join(await titles(resting, owner, project))

    await resting.tasks.move(owner, project, last, "TODO", after_id=first)
    assert await order() == "adbc"
    await resting.tasks.move(owner, project, first, "TODO", after_id=third)
    assert await order() == "dbca"
    await resting.tasks.move(owner, project, first, "TODO", after_id=first)
    assert await order() == "dbca"
