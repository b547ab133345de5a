"""The page of files in the words of the person before it, and a workspace to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import Installation
from tests.waiting import eventually

START = 60_000
"""Milliseconds in which a workspace starts, on a busy machine too."""


class Explorer:
    """A tab with a project's files, in the words of the person before it."""

    def __init__(self, board: Board, project: Project, server: Installation, tree: int = 0) -> None:
        self.page: Page = board.page
        self.board = board
        below = f"/trees/{tree}" if tree else ""
        self.base = f"{board.url}/p/{project.id}{below}/files"
        self.folder: Path = server.tree(project.id, tree) if tree else server.base(project.id)

    async def open(self, address: str = "") -> None:
        """Go to an address below the page's and wait until the workspace answers."""
        await self.page.goto(self.base + address)
        shown = self.page.locator(".ve-actions, .v-empty").first
        await expect(shown).to_be_visible(timeout=START)

    def row(self, name: str) -> Locator:
        """A row of the tree."""
        words = self.page.locator(".ve-name").get_by_text(name, exact=True)
        return self.page.get_by_role("treeitem").filter(has=words)

    def entry(self, name: str) -> Locator:
        """A link in the list beside the tree."""
        return self.page.locator(".ve-entry").filter(has_text=name)

    def button(self, name: str) -> Locator:
        """A button, or a link that looks like one."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def text(self) -> Locator:
        """The text of the file that is open."""
        return self.page.locator(".cm-content")

    async def type(self, text: str) -> None:
        """Edit the open file: write at its beginning."""
        await self.button("Edit").click()
        await expect(self.text).to_have_attribute("contenteditable", "true")
        await self.page.keyboard.press("Control+Home")
        await self.page.keyboard.type(text)


@pytest_asyncio.fixture(loop_scope="session")
async def workspace(server: Installation, project: Project) -> Path:
    """The folder of the base branch's files, with a few that are no commit yet."""
    await project.api("GET", f"{project.path}/files")
    return _filled(server.base(project.id))


def _filled(folder: Path) -> Path:
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("def answer():\n    return 42\n")
    (folder / "src" / "deep" / "inner.txt").write_text("deep inside\n")
    (folder / "notes.txt").write_text("first line\nsecond line\n")
    return folder


@dataclass(frozen=True)
class Card:
    """A card with a tree of its own, in which a few files lie."""

    project: Project
    path: str
    number: int
    folder: Path

    async def goes_on(self, words: str) -> str:
        """Have the agent go on with it; return the session's id."""
        asked = {"message": words}
        return str((await self.project.api("POST", f"{self.path}/follow-up", json=asked))["session_id"])


@pytest_asyncio.fixture(loop_scope="session")
async def card(server: Installation, project: Project) -> Card:
    """A card that has run once, with a few files in its tree that it has not changed."""
    path = f"{project.path}/tasks/{await project.task('Write', 'rehearse: say hello')}"
    await project.api("POST", f"{path}/execute")

    async def over() -> bool:
        return (await project.api("GET", path))["status"] == "AI_REVIEW"

    await eventually(over, seconds=60)
    number = (await project.api("GET", path))["number"]
    return Card(project, path, number, _filled(server.tree(project.id, number)))


async def explore(
    visit: Visit,
    project: Project,
    server: Installation,
    person: str = "eve",
    address: str = "",
    refused: tuple[int, ...] = (),
    tree: int = 0,
) -> Explorer:
    explorer = Explorer(await visit(person, refused=refused), project, server, tree)
    await explorer.open(address)
    return explorer
