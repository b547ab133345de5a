"""Who may execute where there is no wall around agents, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.api.conftest import Board
from tests.conftest import settings_for
from vibe_app.settings import Settings
from vibe_app.wiring import Services
from vibe_app.workspaces import protection
from vibe_app.workspaces.runtimes.local.wall import NoWall


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    """Settings on a machine without a wall, where one is wanted unless the test says otherwise."""
    monkeypatch.setattr(protection, "find", lambda _: NoWall("bubblewrap is not installed.", "Install it."))
    wanted = getattr(request, "param", "on")
    return settings_for(tmp_path, database_url).model_copy(update={"sandbox": wanted})


async def test_without_a_wall_only_admins_make_agents_work(board: Board) -> None:
    task = await board.task()
    for method, path in (("POST", f"{task}/execute"), ("GET", f"{board.path}/opencode/session")):
        for client in (board.owner, board.editor):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (403, "no_sandbox")
            assert "only admins" in answer.json()["error"]
    assert await board.sessions(task) == []
    assert (await board.admin.post(f"{task}/execute")).status_code == 200


async def test_what_a_member_executed_before_does_not_begin_without_a_wall(
    board: Board, parts: Services
) -> None:
    task = await board.task()
    member = replace(await parts.accounts.who(board.tokens["editor"]), kept_from="")
    await parts.starts.execute(member, UUID(board.project), UUID(task.rpartition("/")[2]))
    session = await board.session_is(task, "failed")
    assert "only admins" in session["error"]
    assert await board.status(task) == "TODO"


@pytest.mark.parametrize("settings", ["off"], indirect=True)
async def test_where_it_is_meant_members_execute_without_one(board: Board, parts: Services) -> None:
    assert (await board.editor.post(f"{await board.task()}/execute")).status_code == 200
    assert "VIBE_SANDBOX=off" in parts.protection.notice


async def test_it_is_said_at_the_start(caplog: pytest.LogCaptureFixture, parts: Services) -> None:
    assert parts.protection.reason == "There is no wall around agents: bubblewrap is not installed."
    said = [record.getMessage() for record in caplog.get_records("setup")]
    assert f"{parts.protection.reason} Install it." in said
