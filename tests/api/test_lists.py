"""A list is bounded, in bytes too: it carries no whole outputs, and a page of long texts ends early."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Engine, event

from tests.api.conftest import Board
from tests.boards import column
from tests.conftest import BOTH
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.pages import PAGE_BYTES
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.wire import now
from vibe_app.wiring import Services

MEGABYTE = "é" + "x" * 999_998
LONG = "y" * 60_000


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


async def ended(parts: Services, board: Board, task: str, count: int) -> list[str]:
    """Put sessions with 1 MB of output each into a card's history; returns their ids, newest first."""
    ids = [uuid4() for _ in range(count)]
    async with parts.database.transaction() as db:
        for session_id in ids:
            db.add(
                Session(
                    id=session_id,
                    task_id=UUID(task.rpartition("/")[2]),
                    project_id=UUID(board.project),
                    status=SessionStatus.COMPLETED,
                    prompt=LONG,
                    output=MEGABYTE,
                    completed_at=now(),
                )
            )
            await db.flush()
    return [str(session_id) for session_id in reversed(ids)]


@pytest.mark.parametrize("path", ["{task}/sessions", "{project}/sessions"])
async def test_five_sessions_of_a_megabyte_are_a_short_list(parts: Services, board: Board, path: str) -> None:
    task = await board.task()
    ids = await ended(parts, board, task, 5)
    answer = await board.viewer.get(path.format(task=task, project=board.path))
    assert len(answer.content) < 100_000
    sessions = answer.json()["sessions"]
    assert {session["id"] for session in sessions} == set(ids)
    for session in sessions:
        assert (session["output"], session["output_size"]) == (MEGABYTE[:1000], 1_000_000)
        assert (session["prompt"], session["prompt_size"]) == (LONG[:1000], len(LONG))
    whole = (await board.viewer.get(f"{task}/sessions/{ids[0]}")).json()
    assert (whole["output"], whole["prompt"]) == (MEGABYTE, LONG)


async def everything(client: httpx.AsyncClient, path: str, key: str) -> tuple[list[dict[str, Any]], int]:
    """Return all items of a list, by its cursors, and how many pages they took."""
    items, pages, after = [], 0, None
    while pages == 0 or after is not None:
        answer = await client.get(path, params={"page_size": 100} | ({"after": after} if after else {}))
        assert answer.status_code == 200, answer.text
        assert len(answer.content) < PAGE_BYTES + 100_000
        page = answer.json()
        assert page["total_count"] == 40
        items += page[key]
        pages, after = pages + 1, page["next"]
    return items, pages


async def test_a_page_of_cards_ends_before_it_is_too_large_and_the_cursor_leads_on(board: Board) -> None:
    for number in range(40):
        await board.task(f"Card {number:02}", description=LONG)
    cards, pages = await everything(board.viewer, f"{board.path}/tasks", "tasks")
    assert [card["title"] for card in cards] == [f"Card {number:02}" for number in range(40)]
    assert all(card["description"] == LONG for card in cards)
    assert pages == 3
    first = (await board.viewer.get(f"{board.path}/tasks", params={"page_size": 5})).json()
    second = await board.viewer.get(f"{board.path}/tasks", params={"page_size": 5, "after": first["next"]})
    assert [card["title"] for card in second.json()["tasks"]] == [
        f"Card {number:02}" for number in range(5, 10)
    ]


async def test_so_does_a_page_of_projects(board: Board) -> None:
    for number in range(39):  # beside the one that is there
        made = await board.owner.post("/projects", json={"name": f"p{number % 7}", "description": LONG})
        assert made.status_code == 201
    projects, pages = await everything(board.owner, "/projects", "projects")
    assert len({project["id"] for project in projects}) == 40
    assert [project["name"].lower() for project in projects] == sorted(p["name"].lower() for p in projects)
    assert pages == 3


@pytest.mark.parametrize("after", ["", "x", "WzEsMl0=", "bnVsbA==", "é", "W251bGwsbnVsbF0=", "9" * 5000])
@pytest.mark.parametrize("path", ["{project}/tasks", "/projects"])
async def test_what_is_no_cursor_is_said_to_be_none(board: Board, path: str, after: str) -> None:
    answer = await board.owner.get(path.format(project=board.path), params={"after": after})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_board_reads_no_description(parts: Services, board: Board) -> None:
    await board.task(description=LONG)
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        actor = await parts.accounts.who(board.tokens["viewer"])
        (card,) = await column(parts, actor, UUID(board.project))
        assert any("tasks.title" in statement for statement in asked)
        assert not any("tasks.description" in statement for statement in asked)
        assert not hasattr(card, "description")
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_a_new_card_is_cleaned_where_it_is_declared() -> None:
    assert NewTask(title="  A \x1b[31mred\x07 title ", labels=["a", " a "]).model_dump(mode="json") == {
        "title": "A red title",
        "description": "",
        "priority": "normal",
        "labels": ["a"],
        "assignee_id": None,
        "due_on": None,
        "needs": [],
    }
