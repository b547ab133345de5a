"""The story in a browser where workspaces are pods: the real services of two projects, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.browser import DESKTOP, Board, Watch, line_or_later
from tests.e2e.installation import installed
from tests.e2e.test_story import TITLE, Newcomer
from tests.e2e.two_cards import TwoCards, told
from tests.workspaces.runtimes.kubernetes.kube.agent import NodeAgent
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.containers import why_not
from tests.workspaces.runtimes.kubernetes.kube.houses import KEY
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name, pod_name

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"NO REAL PODS ON THIS MACHINE: {why_not()}"),
    pytest.mark.timeout(300),
]


@pytest_asyncio.fixture(loop_scope="session")
async def node(tmp_path: Path) -> AsyncIterator[NodeAgent]:
    """A cluster of one node."""
    async with FakeApi() as api, NodeAgent(api, tmp_path / "node", load_settings().opencode_binary) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(
    browser: Browser, tmp_path: Path, migrated: Path, node: NodeAgent
) -> AsyncIterator[Newcomer]:
    """A server on the cluster, without accounts, and a browser on it."""
    data = tmp_path / "data"
    data.mkdir()
    environment = {
        "VIBE_RUNTIME": "kubernetes",
        "VIBE_KUBERNETES_CONFIG": str(node.api.kubeconfig(tmp_path)),
        "VIBE_SECRET_KEY": KEY,
        "OPENCODE_SERVER_IMAGE": "registry.example.org/vibe:1",
    }
    async with installed(data, migrated, environment) as installation:
        context = await browser.new_context(viewport=DESKTOP)
        context.set_default_timeout(30_000)
        watch = Watch(installation.url)
        watch.follow(context)
        yield Newcomer(installation, await context.new_page(), watch)
        faults = await watch.end()
    assert faults == []


async def test_two_projects_at_once_from_execute_to_their_files(newcomer: Newcomer, node: NodeAgent) -> None:
    await newcomer.set_up()
    first = await newcomer.begin_project("Handbook")
    another = Newcomer(newcomer.installation, await newcomer.page.context.new_page(), newcomer.watch)
    await another.page.goto(newcomer.installation.url)
    second = await another.begin_project("Website")
    await asyncio.gather(*(executed(board) for board in (first, second)))
    api = await newcomer.api()
    for board in (first, second):
        workspace = node.volume(claim_name(UUID(board.project))) / "workspace"
        where = {"path": "README.md", "task": 1}
        content = await api("GET", f"/projects/{board.project}/files/content", params=where)
        assert TITLE in content["content"] == (workspace / "tasks" / "1" / "README.md").read_text()
        project = await api("GET", f"/projects/{board.project}")
        assert project["workspace"]["status"] == "ready"
        await api("DELETE", f"/projects/{board.project}", params={"confirm": project["name"]})
    await api.close()
    assert not any(node.api.objects.values())


async def test_a_pod_that_is_gone_in_the_middle_of_a_run(newcomer: Newcomer, node: NodeAgent) -> None:
    await newcomer.set_up()
    board = await newcomer.begin_project("Handbook")
    card = await board.write(TITLE, "rehearse: print 400 lines at 40 per second")
    await card.get_by_role("button", name="Execute").click()
    await board.card(TITLE).locator(".v-card-title").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text(line_or_later(40, 400), timeout=60_000)
    node.api.remove("pods", pod_name(UUID(board.project)))
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=120_000)
    await expect(rows).to_contain_text("Session completed")
    assert "Attempt 1 failed: " in "\n".join(await board.output())


async def test_two_cards_that_change_the_same_line(newcomer: Newcomer, node: NodeAgent) -> None:
    newcomer.watch.away = True
    await newcomer.set_up()
    board = await newcomer.begin_project("Greetings")
    api = await newcomer.api()
    workspace = node.volume(claim_name(UUID(board.project))) / "workspace"
    await told(TwoCards(board, newcomer.installation, api, workspace))
    await api.close()


async def executed(board: Board) -> None:
    """Write a card, execute it, and see it come to review with its output."""
    await board.write(TITLE)
    await board.card(TITLE).locator(".v-card-title").click()
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("I start by looking around the workspace.", timeout=90_000)
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=60_000)
    await expect(rows).to_contain_text("Session completed")
