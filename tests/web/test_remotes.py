"""What the board and the settings say of a project's remote, called as a browser's socket calls it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.board.projects.models import Project
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.web.board.remote_line import remote_words
from vibe_app.wiring import Services

DIVERGED = {
    "outcome": "diverged",
    "branch": "main",
    "ahead": 1,
    "behind": 2,
    "at": "2026-11-22T09:30:00.000000Z",
}


async def stands(parts: Services, project: ProjectView, state: dict[str, Any] | None) -> None:
    """Have a project's remote be so."""
    values = {"remote_state": state, "repo_url": "https://example.org/team/app.git"}
    async with parts.database.transaction() as db:
        await db.execute(update(Project).where(col(Project.id) == project.id).values(**values))
        db.announce(f"project:{project.id}")


async def watching(tab: Open, role: str, project: ProjectView) -> Tab:
    someone: Tab = await tab(role, f"/p/{project.id}")
    await someone.call("BoardState.arrive")
    await someone.send("BoardState.watch")
    await eventually(lambda: someone.var("BoardState", "loaded"))
    return someone


async def test_the_board_says_what_needs_somebody_and_falls_silent(
    parts: Services, project: ProjectView, tab: Open
):
    await stands(parts, project, DIVERGED)
    viewer = await watching(tab, "viewer", project)
    assert viewer.var("BoardState", "remote") == "diverged"
    assert "1 commit here, 2 commits there" in viewer.var("BoardState", "remote_words")
    await stands(parts, project, {**DIVERGED, "outcome": "same", "behind": 0})
    await eventually(lambda: viewer.var("BoardState", "remote") == "")


async def test_one_button_makes_a_card_and_has_it_executed(parts: Services, project: ProjectView, tab: Open):
    await stands(parts, project, DIVERGED)
    viewer, editor = await watching(tab, "viewer", project), await watching(tab, "editor", project)
    await viewer.call("RemoteState.join", project_id=str(project.id))
    assert "/t/" not in viewer.told
    await editor.call("RemoteState.join", project_id=str(project.id))
    await eventually(lambda: editor.var("BoardState", "joining"))
    card = editor.var("BoardState", "joining")
    assert f"/p/{project.id}/t/{card}" in editor.told
    await eventually(lambda: any(each["id"] == card for each in moved(editor)))
    # Pressed again it leads to the same card.
    await editor.call("RemoteState.join", project_id=str(project.id))
    await editor.settled()
    assert editor.told.count(f"/p/{project.id}/t/{card}") == 2


def moved(someone: Tab) -> list[dict[str, Any]]:
    """The cards that left To do."""
    return [*someone.cards("IN_PROGRESS"), *someone.cards("AI_REVIEW")]


async def test_who_asks_for_what_is_new_is_told_what_stands_against_it(
    parts: Services, project: ProjectView, tab: Open
):
    editor = await watching(tab, "editor", project)
    await editor.send("RemoteState.fetch", project_id=str(project.id))
    await eventually(lambda: "names no repository" in editor.told)
    assert editor.var("RemoteState", "fetching") is False
    viewer = await watching(tab, "viewer", project)
    await viewer.send("RemoteState.fetch", project_id=str(project.id))
    await eventually(lambda: viewer.var("RemoteState", "fetching") is False)
    assert "names no repository" not in viewer.told


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "The repository has not been asked for what is new yet."),
        ({"outcome": "same", "branch": "main"}, "main is as its repository has it."),
        ({"outcome": "merged", "branch": "main", "ahead": 2}, "main is 2 commits ahead of its repository."),
        ({"outcome": "gone", "branch": "main"}, "The repository has no branch main any more."),
        # As a version before has noted it.
        ({"outcome": "gone"}, "The repository has no such branch any more."),
        ({"outcome": "same"}, "The base branch is as its repository has it."),
        ({"outcome": "unreachable", "why": "no."}, "The repository could not be asked for what is new: no."),
    ],
)
def test_how_it_stands_is_a_sentence(said: dict[str, Any] | None, words: str):
    assert remote_words(said) == words
