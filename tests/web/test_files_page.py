"""The State of the page of files: whose they are, how the workspace is, when to look again."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.web.files import watching
from vibe_app.wiring import Services
from vibe_app.workspaces.states import WorkspaceStatus
from vibe_app.workspaces.usage import used


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look as often as there is something to see."""
    monkeypatch.setattr(watching, "PULSE", 0.01)


@pytest.fixture
async def task(parts: Services, tokens: dict[str, str], project: ProjectView) -> TaskView:
    """A card in To do."""
    owner = await parts.accounts.who(tokens["owner"])
    return await parts.tasks.create(owner, project.id, NewTask(title="Add a README file", description=""))


async def shown(tab: Tab, **expected: object) -> None:
    """Wait until the tab was sent these values."""
    await eventually(lambda: {name: tab.var("FilesState", name) for name in expected} == expected)


@pytest.mark.parametrize(("role", "can_edit"), [("owner", True), ("editor", True), ("viewer", False)])
async def test_a_member_sees_whose_files_they_are(
    parts: Services, project: ProjectView, tab: Open, role: str, can_edit: bool
):
    someone: Tab = await tab(role, f"/p/{project.id}/files/src/a.py")
    await someone.call("FilesState.arrive")
    assert someone.var("FilesState", "project_id") == str(project.id)
    assert someone.var("FilesState", "name") == project.name
    assert someone.var("FilesState", "limit_mib") == parts.settings.upload_mib
    assert bool(someone.var("FilesState", "can_edit")) is can_edit


async def test_the_base_of_a_project_that_delivers_by_request_is_told_apart_from_cards(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner = await parts.accounts.who(tokens["owner"])
    someone: Tab = await tab("editor", f"/p/{project.id}/files")
    await someone.send("WatchState.watch")
    await shown(someone, by_request=False, name=project.name)
    patch = ProjectPatch(repo_url="https://github.com/team/app.git", delivery="request")
    await parts.projects.change(owner, project.id, patch)
    await shown(someone, by_request=True)
    card: Tab = await tab("editor", f"/p/{project.id}/trees/1/files")
    await card.call("FilesState.arrive")
    assert not card.var("FilesState", "by_request")


async def test_files_are_followed_although_the_subscriber_comes_before_the_arrival(
    parts: Services, project: ProjectView, tab: Open
):
    someone: Tab = await tab("editor", f"/p/{project.id}/files")
    await someone.send("WatchState.watch")
    await shown(someone, name=project.name)
    await someone.call("FilesState.arrive")
    await shown(someone, workspace="ready")
    await parts.reconciler.told(project.id, WorkspaceStatus.FAILED, "No room", None)
    await shown(someone, workspace="failed", workspace_reason="No room")


@pytest.mark.parametrize("path", ["/p/nothing/files", f"/p/{UUID(int=1)}/files"])
async def test_an_address_of_no_project_says_so(tab: Open, path: str):
    someone: Tab = await tab("viewer", path)
    await someone.call("FilesState.arrive")
    assert someone.var("FilesState", "missing")


async def test_a_stranger_learns_nothing_of_a_project(project: ProjectView, tab: Open):
    someone: Tab = await tab("stranger", f"/p/{project.id}/files")
    await someone.call("FilesState.arrive")
    assert someone.var("FilesState", "missing")
    assert not someone.var("FilesState", "name")
    await someone.call("FilesState.wake")
    assert "toast" in someone.told


async def test_the_page_wakes_the_workspace_and_shows_how_it_is(
    parts: Services, project: ProjectView, tab: Open
):
    someone: Tab = await tab("viewer", f"/p/{project.id}/files")
    await someone.call("FilesState.arrive")
    await someone.send("WatchState.watch")
    await shown(someone, workspace="ready", workspace_reason="")
    await parts.reconciler.told(project.id, WorkspaceStatus.FAILED, "No room", None)
    await shown(someone, workspace="failed", workspace_reason="No room")
    await someone.call("FilesState.wake")
    await shown(someone, workspace="ready", workspace_reason="")


async def test_an_open_page_of_files_keeps_its_workspace_warm_and_takes_it_from_nobody(
    parts: Services, project: ProjectView, tab: Open
):
    someone: Tab = await tab("viewer", f"/p/{project.id}/files")
    await someone.call("FilesState.arrive")
    await shown(someone, name=project.name)
    assert not parts.usage._looks
    await someone.send("WatchState.watch")
    await shown(someone, workspace="ready")
    async with parts.database.read() as db:
        assert await used(db) == set()
    assert parts.usage._looks == {project.id: 1}, "for as long as it is open"
    await someone.disconnect()
    await eventually(lambda: not parts.usage._looks)
