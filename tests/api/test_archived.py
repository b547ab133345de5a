"""A session whose output was compressed, over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests.api.conftest import Board
from tests.fakes import FakeRuntime, Script
from vibe_app.board.sessions.models import Session, SessionArchive
from vibe_app.runs.archive import PORTION, Archive
from vibe_app.wire import now
from vibe_app.wiring import Services

COUNT = PORTION + 5


@pytest.fixture
def runtime() -> FakeRuntime:
    """Workspaces whose sessions say more than one portion."""
    return FakeRuntime(Script.lines(COUNT))


async def seen(board: Board, task: str, session: str) -> list[Any]:
    """Everything that the API answers about a session."""
    answers: list[httpx.Response] = []
    for path in (f"{task}/sessions", f"{task}/sessions/{session}", f"{board.path}/sessions", task):
        answers.append(await board.viewer.get(path))
    for after in (0, 7, PORTION - 1, PORTION, COUNT, COUNT + 1):
        params = {"session_id": session, "after": after}
        answers.append(await board.viewer.get(f"{task}/output", params=params))
        headers = {"Last-Event-ID": str(after)}
        answers.append(
            await board.viewer.get(f"{task}/output", params={"session_id": session}, headers=headers)
        )
    return [(answer.status_code, answer.text) for answer in answers]


async def executed(board: Board) -> tuple[str, str]:
    task = await board.task()
    session = (await board.editor.post(f"{task}/execute")).json()["session_id"]
    await board.session_is(task, "completed")
    return task, session


async def compress(parts: Services, session: str) -> None:
    """Compress a session as if it were old, and say again when it ended."""
    row = update(Session).where(col(Session.id) == UUID(session))
    async with parts.database.transaction() as db:
        ended = await db.scalar(select(col(Session.completed_at)).where(col(Session.id) == UUID(session)))
        await db.execute(row.values(completed_at=now() - timedelta(days=40)))
    assert await Archive(parts.database, 30).compress_due() == 1
    async with parts.database.transaction() as db:
        await db.execute(row.values(completed_at=ended))


async def test_it_answers_as_before(board: Board, parts: Services) -> None:
    task, session = await executed(board)
    before = await seen(board, task, session)
    assert {status for status, _ in before} == {200, 204}
    await compress(parts, session)
    assert await seen(board, task, session) == before


async def test_damage_is_a_sentence_and_never_an_error(board: Board, parts: Services) -> None:
    task, session = await executed(board)
    await compress(parts, session)
    async with parts.database.transaction() as db:
        await db.execute(update(SessionArchive).values(data=b"rubbish"))
    answers = await seen(board, task, session)
    assert {status for status, _ in answers} == {200, 204}
    one = (await board.viewer.get(f"{task}/sessions/{session}")).json()
    assert "its archive in the database is damaged" in one["output"]
    stream = (await board.viewer.get(f"{task}/output", params={"session_id": session})).text
    assert [line for line in stream.splitlines() if line.startswith("id: ")] == [
        f"id: {PORTION}",
        f"id: {COUNT + 1}",
    ]
    assert stream.count("damaged") == 2
    assert '"type": "done"' in stream
