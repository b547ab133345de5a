"""What a patch of a card changes: what is given, cleaned, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from vibe_app.board.lifecycle import Priority
from vibe_app.board.tasks.schemas import ChangeTask, TaskPatch
from vibe_app.errors import InvalidRequest


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, {}),
        ({"title": "  A \x07 title "}, {"title": "A title"}),
        ({"priority": "high"}, {"priority": Priority.HIGH}),
        ({"labels": ["a", "", " a "]}, {"labels": ["a"]}),
        # None of these can be missing, so null changes nothing.
        ({"title": None, "description": None, "priority": None, "labels": None}, {}),
        ({"description": ""}, {"description": ""}),
    ],
)
def test_what_is_given_is_written(fields: dict[str, Any], given: dict[str, Any]) -> None:
    assert TaskPatch(**fields).given() == given
    assert ChangeTask(version=3, **fields).given() == given


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"title": " "}, "empty_title"),
        ({"title": "x" * 201}, "title_too_long"),
        ({"priority": "x"}, "invalid_priority"),
    ],
)
def test_what_cannot_be_accepted_is_a_sentence(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        TaskPatch(**fields)
    assert refused.value.code == code


def test_a_misspelt_field_is_noticed() -> None:
    with pytest.raises(ValidationError, match="titel"):
        TaskPatch(**{"titel": "A title"})
