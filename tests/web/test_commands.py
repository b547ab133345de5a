"""The command bar: what it finds, for whom, and what a line does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Open, Tab
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import NewProject, ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.wiring import Services


@pytest.fixture
async def card(parts: Services, tokens: dict[str, str], project: ProjectView) -> TaskView:
    """A card of the project."""
    owner = await parts.accounts.who(tokens["owner"])
    return await parts.tasks.create(owner, project.id, NewTask(title="Fix the 100% bug"))


def rows(tab: Tab) -> list[dict[str, Any]]:
    """What the bar shows."""
    return tab.var("CommandState", "rows")


def titles(tab: Tab, kind: str) -> list[str]:
    """The titles of the lines of a kind."""
    return [row["title"] for row in rows(tab) if row["kind"] == kind]


@pytest.mark.parametrize("query", ["100%", "FIX the", "#1", "1", "SAM-1"])
async def test_a_card_is_found_by_its_words_and_by_its_number(
    card: TaskView, project: ProjectView, tab: Open, query: str
):
    someone: Tab = await tab("viewer")
    await someone.call("CommandState.open")
    await someone.call("CommandState.find", query=query)
    assert titles(someone, "card") == [card.title]
    await someone.call("CommandState.enter", form={"query": query})
    assert f"/p/{project.id}/t/{card.id}" in someone.told
    assert someone.var("CommandState", "opened") is False


@pytest.mark.parametrize("query", ["%", "_", "", "Fix", "Sample"])
async def test_nothing_of_other_peoples_projects_is_found(card: TaskView, tab: Open, query: str):
    stranger: Tab = await tab("stranger")
    await stranger.call("CommandState.open")
    await stranger.call("CommandState.find", query=query)
    assert titles(stranger, "card") == titles(stranger, "project") == titles(stranger, "execute") == []


async def test_letters_that_were_typed_last_count_for_enter(
    parts: Services, tokens: dict[str, str], card: TaskView, tab: Open
):
    owner = await parts.accounts.who(tokens["owner"])
    garden = await parts.projects.create(owner, NewProject(name="Garden"))
    someone: Tab = await tab("owner")
    await someone.call("CommandState.open")
    await someone.call("CommandState.find", query="fix")
    await someone.call("CommandState.step", by=1)
    await someone.call("CommandState.enter", form={"query": "gard"})
    assert f"/p/{garden.id}" in someone.told
    # The second of two presses finds the bar closed.
    told = len(someone.events)
    await someone.call("CommandState.enter", form={"query": "gard"})
    assert len(someone.events) == told


async def test_a_card_is_executed_by_who_may(
    parts: Services, tokens: dict[str, str], project: ProjectView, card: TaskView, tab: Open
):
    viewer: Tab = await tab("viewer")
    await viewer.call("CommandState.open")
    await viewer.call("CommandState.find", query="fix")
    assert titles(viewer, "execute") == []
    target = f"{project.id}/{card.id}"
    await viewer.call("CommandState.run", kind="execute", target=target)
    assert "only look at" in viewer.told
    owner = await parts.accounts.who(tokens["owner"])
    assert (await parts.tasks.read(owner, project.id, card.id)).status is TaskStatus.TODO

    editor: Tab = await tab("editor")
    await editor.call("CommandState.open")
    await editor.call("CommandState.find", query="fix")
    assert titles(editor, "execute") == [f"Execute “{card.title}”"]
    await editor.call("CommandState.run", kind="execute", target=target)
    assert (await parts.tasks.read(owner, project.id, card.id)).status is not TaskStatus.TODO
    assert f"/p/{project.id}/t/{card.id}" in editor.told


async def test_on_a_project_it_offers_a_new_task_to_who_may_write_one(
    project: ProjectView, card: TaskView, tab: Open
):
    for role, offered in (("editor", ["New task"]), ("viewer", [])):
        someone: Tab = await tab(role, f"/p/{project.id}/files")
        await someone.call("CommandState.open")
        assert titles(someone, "new") == offered
        assert titles(someone, "options") == ["Project settings"]
    await someone.call("CommandState.run", kind="new", target=str(project.id))
    assert someone.var("ComposerState", "opened") == f"/p/{project.id}"
