"""What a person does about a workspace from its chip."""

from __future__ import annotations

import pytest

from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.wiring import Services

AGAIN = "The workspace is started anew."


@pytest.fixture
def runtime() -> FakeRuntime:
    """Workspaces whose agents work until they are stopped."""
    return FakeRuntime(Script.endless())


async def test_it_is_restarted(parts: Services, runtime: FakeRuntime, project: ProjectView, tab: Open):
    await parts.workspaces.ensure(project.id)
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.call("WorkspaceState.restart")
    assert AGAIN in someone.told
    await eventually(lambda: runtime.starts[project.id] == 2)


async def test_who_only_looks_restarts_nothing(
    parts: Services, runtime: FakeRuntime, project: ProjectView, tab: Open
):
    endpoint = await parts.workspaces.ensure(project.id)
    someone: Tab = await tab("viewer", f"/p/{project.id}")
    for handler in ("restart", "interrupt"):
        await someone.call(f"WorkspaceState.{handler}")
    assert AGAIN not in someone.told
    assert await parts.workspaces.ensure(project.id) == endpoint
    assert runtime.stops[project.id] == 0


async def test_under_a_session_it_must_be_meant(
    parts: Services, runtime: FakeRuntime, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner = await parts.accounts.who(tokens["owner"])
    task = await parts.tasks.create(owner, project.id, NewTask(title="Long"))
    session = await parts.starts.execute(owner, project.id, task.id)

    async def running() -> bool:
        return (await parts.sessions.read(owner, project.id, task.id, session.id)).status == "running"

    await eventually(running)
    someone: Tab = await tab("editor", f"/p/{project.id}")
    await someone.call("WorkspaceState.restart")
    assert "A session runs in this workspace" in someone.var("WorkspaceState", "in_the_way")
    assert AGAIN not in someone.told
    await someone.call("WorkspaceState.leave")
    assert not someone.var("WorkspaceState", "in_the_way")
    assert runtime.stops[project.id] == 0
    await someone.call("WorkspaceState.interrupt")
    assert AGAIN in someone.told
    await eventually(lambda: runtime.starts[project.id] == 2)
    await parts.sessions.stop(owner, project.id, task.id)
    await parts.sessions.wait_until_over(session.id, 20)
