"""What a patch of a project changes: null takes away what may be missing."""

from __future__ import annotations

from typing import Any

import pytest

from vibe_app.board.projects.schemas import ProjectPatch, RepoCredential
from vibe_app.errors import InvalidRequest


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, {}),
        ({"name": " A \x07 name ", "description": None}, {"name": "A name"}),
        ({"name": None, "session_limit": None}, {}),
        ({"repo_url": None, "branch": None}, {"repo_url": None, "branch": None}),
        ({"repo_credential": None}, {"repo_credential": None}),
        ({"repo_credential": {"token": "t"}}, {"repo_credential": RepoCredential(username="git", token="t")}),
        ({"session_limit": 100}, {"session_limit": 100}),
    ],
)
def test_what_is_given_is_written(fields: dict[str, Any], given: dict[str, Any]) -> None:
    assert ProjectPatch(**fields).given() == given


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_limit_that_cannot_be_is_a_sentence(limit: int) -> None:
    with pytest.raises(InvalidRequest, match="between 1 and 100"):
        ProjectPatch(session_limit=limit)
