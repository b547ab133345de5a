"""A card in review, and who looks at its change."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.seeding import seed_change
from tests.web.conftest import Open, Tab
from vibe_app.board.changes.schemas import NewComment
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.wiring import Services

ONE, TWO = "1" * 40, "2" * 40
TEXTS = {"a.py": ("one\ntwo\n", "one\nthree\n"), "b.py": (None, "new\n")}


@pytest.fixture
async def task(parts: Services, tokens: dict[str, str], project: ProjectView) -> TaskView:
    """A card in review, with a change of two files."""
    owner = await parts.accounts.who(tokens["owner"])
    made = await parts.tasks.create(owner, project.id, NewTask(title="Make it greet", description="Kindly."))
    await seed_change(parts.database, made.id, TEXTS, ONE)
    return made


async def looking(tab: Open, role: str, task: TaskView, below: str = "/changes") -> Tab:
    """A tab of somebody with the card's drawer."""
    someone: Tab = await tab(role, f"/p/{task.project_id}/t/{task.id}{below}")
    await someone.call("DrawerState.arrive")
    return someone


async def comment(parts: Services, tokens: dict[str, str], task: TaskView, **values: Any) -> UUID:
    """Comment on the changed line of the first file, as the owner."""
    owner = await parts.accounts.who(tokens["owner"])
    facts = {"revision": ONE, "path": "a.py", "line": 2, "quote": "three", "body": "Why?"}
    new = NewComment.model_validate(facts | values)
    return (await parts.comments.add(owner, task.project_id, task.id, new)).id


async def owner(parts: Services, task: TaskView):
    """Return who made the card."""
    made_by = await parts.users.names([task.created_by])
    login = await parts.accounts.login(made_by[task.created_by].email, "correct horse battery")
    return await parts.accounts.who(login.token)
