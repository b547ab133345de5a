"""Both state machines, over every pair of statuses: as tables, and as guarded updates."""

from __future__ import annotations

from itertools import product
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import (
    LIVE,
    SESSION_MOVES,
    TASK_AFTER,
    TASK_MOVES,
    Priority,
    SessionStatus,
    TaskStatus,
    session_sources,
)
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.db import Database
from vibe_app.errors import Conflict, IllegalMove
from vibe_app.wiring import Services

S, T = SessionStatus, TaskStatus
ALLOWED_SESSIONS = {
    (S.PENDING, S.RUNNING), (S.PENDING, S.FAILED), (S.PENDING, S.CANCELLED),
    (S.RUNNING, S.COMPLETED), (S.RUNNING, S.FAILED), (S.RUNNING, S.CANCELLED),
}  # fmt: skip
BY_HAND = set(T) - {T.IN_PROGRESS}


@pytest.mark.parametrize(("source", "target"), list(product(S, S)))
def test_session_moves(source: SessionStatus, target: SessionStatus) -> None:
    allowed = (source, target) in ALLOWED_SESSIONS
    assert (target in SESSION_MOVES[source]) == allowed
    assert (source in session_sources(target)) == allowed


@pytest.mark.parametrize(("source", "target"), list(product(T, T)))
def test_task_moves_by_hand(source: TaskStatus, target: TaskStatus) -> None:
    assert (target in TASK_MOVES[source]) == ({source, target} <= BY_HAND)


def test_where_a_card_goes_when_its_session_ends() -> None:
    assert {S.PENDING, S.RUNNING} == LIVE
    assert TASK_AFTER == {S.COMPLETED: T.AI_REVIEW, S.FAILED: T.TODO, S.CANCELLED: T.TODO}
    assert [priority.rank for priority in Priority] == [0, 1, 2, 3]


@pytest.fixture
async def card(resting: Services, owner: Actor) -> Task:
    """A card with one session; nothing runs it."""
    project = await resting.projects.create(owner, NewProject(name="Sample"))
    task = await resting.tasks.create(owner, project.id, NewTask(title="Add a README file"))
    await resting.starts.execute(owner, project.id, task.id)
    async with resting.database.read() as db:
        row = await db.get(Task, task.id)
        assert row is not None
        return row


async def put(database: Database, card: Task, session: SessionStatus, task: TaskStatus) -> None:
    """Put both machines into any state, past all rules."""
    async with database.transaction() as db:
        assert card.last_session_id is not None
        await db.execute(
            update(Session).where(col(Session.id) == card.last_session_id).values(status=str(session))
        )
        await db.execute(update(Task).where(col(Task.id) == card.id).values(status=str(task)))


@pytest.mark.parametrize(("source", "target"), list(product(S, S)))
async def test_guarded_session_moves(
    resting: Services, card: Task, source: SessionStatus, target: SessionStatus
) -> None:
    await put(resting.database, card, source, T.IN_PROGRESS)
    assert card.last_session_id is not None

    async def move() -> None:
        async with resting.database.transaction() as db:
            assert card.last_session_id is not None
            await session_queries.move_session(db, card.last_session_id, target)

    if (source, target) in ALLOWED_SESSIONS:
        await move()
    else:
        with pytest.raises(IllegalMove, match=f"cannot become {target} any more"):
            await move()
    async with resting.database.read() as db:
        row = await db.get(Session, card.last_session_id)
    assert row is not None
    assert row.status == (target if (source, target) in ALLOWED_SESSIONS else source)


@pytest.mark.parametrize(("source", "target"), list(product(T, T)))
async def test_guarded_task_moves(
    resting: Services, owner: Actor, card: Task, source: TaskStatus, target: TaskStatus
) -> None:
    live = source is T.IN_PROGRESS
    await put(resting.database, card, S.RUNNING if live else S.FAILED, source)
    allowed = {source, target} <= BY_HAND
    if allowed:
        moved = await resting.tasks.move(owner, card.project_id, card.id, target)
        assert moved.status == target
    else:
        sentence = "Stop it first" if live else "Press Execute"
        with pytest.raises(Conflict, match=sentence):
            await resting.tasks.move(owner, card.project_id, card.id, target)
        assert (await resting.tasks.read(owner, card.project_id, card.id)).status == source


async def test_the_database_itself_refuses_a_second_live_session(resting: Services, card: Task) -> None:
    second = Session(task_id=card.id, project_id=card.project_id, prompt="again")
    with pytest.raises(IntegrityError, match=r"sessions_one_live|sessions\.task_id"):
        async with resting.database.transaction() as db:
            db.add(second)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("sessions", "status", "paused"), ("tasks", "status", "LATER"), ("tasks", "priority", "none")],
)
async def test_the_database_itself_refuses_an_unknown_word(
    resting: Services, card: Task, table: str, column: str, value: str
) -> None:
    with pytest.raises(IntegrityError, match=r"CHECK|check constraint"):
        async with resting.database.transaction() as db:
            await db.execute(text(f"UPDATE {table} SET {column} = :value"), {"value": value})


async def test_a_move_of_nothing_is_illegal(resting: Services) -> None:
    async with resting.database.transaction() as db:
        with pytest.raises(IllegalMove):
            await session_queries.move_session(db, uuid4(), S.FAILED)
        with pytest.raises(IllegalMove):
            await task_queries.move_task(db, uuid4(), [T.TODO], T.DONE)
