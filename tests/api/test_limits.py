"""Limits of a project's sessions over the API: who may set them, to what, and what a session says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Board
from tests.conftest import settings_for
from vibe_app.settings import Settings, load_settings

NONE = {"usd": None, "tokens": None, "minutes": None, "requests": None}


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """An installation whose sessions may spend 2 dollars in 60 minutes."""
    return settings_for(tmp_path, database_url).model_copy(
        update={"limit_usd": load_settings(limit_usd="2", data=tmp_path).limit_usd, "limit_minutes": 60}
    )


async def test_a_project_tightens_the_installation_s_and_its_sessions_start_with_both(board: Board) -> None:
    project = (await board.owner.get(board.path)).json()
    assert project["limits"] == NONE
    assert project["limits_in_force"] == NONE | {"usd": 2.0, "minutes": 60}
    given = {"limits": {"usd": 0.5, "tokens": 100_000}}
    changed = (await board.owner.patch(board.path, json=given)).json()
    assert changed["limits"] == NONE | {"usd": 0.5, "tokens": 100_000}
    in_force = {"usd": 0.5, "tokens": 100_000, "minutes": 60, "requests": None}
    assert changed["limits_in_force"] == in_force
    task = await board.task()
    await board.editor.post(f"{task}/execute")
    session = (await board.viewer.get(f"{task}/sessions")).json()["sessions"][0]
    assert session["limits"] == in_force
    await board.owner.patch(board.path, json={"limits": {"usd": None, "tokens": None}})
    assert (await board.viewer.get(f"{task}/sessions")).json()["sessions"][0]["limits"] == in_force
    assert (await board.owner.get(board.path)).json()["limits_in_force"]["usd"] == 2.0


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"usd": 2.01}, "limit_too_high"),
        ({"minutes": 61}, "limit_too_high"),
        ({"usd": 0}, "invalid_limit"),
        ({"tokens": -1}, "invalid_limit"),
        ({"requests": 10**9}, "invalid_limit"),
        ({"usd": "much"}, "invalid_request"),
        ({"hours": 1}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
async def test_what_cannot_be_a_limit_is_refused_and_changes_nothing(
    board: Board, limits: Any, code: str
) -> None:
    await board.owner.patch(board.path, json={"limits": {"requests": 7}})
    refused = await board.owner.patch(board.path, json={"limits": limits, "name": "Other"})
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    project = (await board.owner.get(board.path)).json()
    assert project["limits"] == NONE | {"requests": 7}
    assert project["name"] != "Other"


async def test_only_owners_set_limits(board: Board) -> None:
    for person in (board.editor, board.viewer, board.stranger):
        refused = await person.patch(board.path, json={"limits": {"usd": 1}})
        assert refused.status_code == 403
    assert (await board.owner.get(board.path)).json()["limits"] == NONE
