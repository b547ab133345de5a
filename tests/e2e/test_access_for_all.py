"""What axe-core finds on each page, light and dark, wide and narrow: nothing serious, nothing critical."""

from __future__ import annotations

import re
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page, expect

from tests.e2e.browser import DESKTOP, PHONE
from tests.e2e.conftest import Project, Visit

RUN = """
async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations
    .filter((fault) => ["serious", "critical"].includes(fault.impact))
    .map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map(({html}) => html.slice(0, 200)).join(" | ")}`);
}
"""
# What fades in or out is paler than it will be.
SETTLED = """
() => Promise.allSettled(
  document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished)
).then(() => null)
"""
SIZES = (DESKTOP, PHONE)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

SETTINGS = {"": "Profile", "logins": "Logins", "tokens": "Access tokens", "people": "People"}
"""The parts of one's own settings, by their addresses."""


class Look:
    """Looks at a page in each theme, wide and narrow, and keeps what was found with the place."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: list[str] = []

    async def at(self, where: str) -> None:
        """Look at the page as it is now, with the mouse out of the way: it colours what it is over."""
        await self.page.mouse.move(0, 0)
        await self.page.evaluate(AXE_SCRIPT)
        for size in SIZES:
            await self.page.set_viewport_size(size)
            for theme in THEMES:
                await self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                await expect(self.page.locator("html")).to_have_class(re.compile(theme))
                await self.page.evaluate(SETTLED)
                place = f"{where}, {theme}, {size['width']} px"
                self.found += [f"{place}: {fault}" for fault in await self.page.evaluate(RUN)]
        await self.page.set_viewport_size(DESKTOP)

    def nothing_found(self) -> None:
        """Check that there was nothing, or say all of it."""
        assert not self.found, "\n".join(self.found)


async def test_sign_in(visit: Visit) -> None:
    board = await visit(None, refused=(401,))
    look = Look(board.page)
    await board.page.goto(f"{board.url}/login")
    await board.page.get_by_label("E-mail").fill("nobody@example.org")
    await look.at("sign in")
    await board.page.get_by_label("Password").fill("wrong wrong wrong")
    await board.page.get_by_role("button", name="Sign in").click()
    await expect(board.page.get_by_role("alert")).to_be_visible()
    await look.at("a refused sign-in")
    look.nothing_found()


async def test_projects_and_settings(project: Project, visit: Visit) -> None:
    board = await visit("ada")
    page, look = board.page, Look(board.page)
    await page.goto(board.url)
    await expect(page.get_by_role("heading", name=project.name)).to_be_visible()
    await look.at("projects")
    await page.get_by_role("button", name="New project").click()
    await expect(board.dialog).to_be_visible()
    await look.at("new project")
    for part, title in SETTINGS.items():
        await page.goto(f"{board.url}/settings/{part}")
        await expect(page.get_by_role("heading", name=title, level=2)).to_be_visible()
        await expect(page.locator(".rt-Skeleton")).to_have_count(0)
        await look.at(f"settings, {title}")
    look.nothing_found()


async def test_an_empty_board_and_its_dialogs(project: Project, visit: Visit) -> None:
    board = await visit("ada", project)
    page, look = board.page, Look(board.page)
    await look.at("empty board")
    await page.get_by_role("button", name="New task").click()
    await expect(board.dialog.get_by_label("Title")).to_be_focused()
    await look.at("new task")
    await page.keyboard.press("Escape")
    await expect(board.dialog).to_have_count(0)
    await page.keyboard.press("?")
    await expect(board.dialog).to_be_visible()
    await look.at("keys")
    await page.keyboard.press("Escape")
    for part in ("General", "Members", "Repository", "Changes", "Limits", "Network", "Delete"):
        await board.settings(part)
        await look.at(f"project settings, {part}")
    look.nothing_found()


async def test_a_board_with_cards_in_every_state(project: Project, visit: Visit) -> None:
    await project.api("PATCH", project.path, json={"session_limit": 2})
    ran = await project.task("Finished", "rehearse: say hello", priority="urgent", labels=["docs"])
    failed = await project.task("Failed", "rehearse: fail 401", priority="high", labels=["api"])
    await project.task("Waiting to begin", "Some **bold** words and `code`", priority="low")
    for task in (ran, failed):
        await project.api("POST", f"{project.path}/tasks/{task}/execute")
    board = await visit("eve", project)
    look = Look(board.page)
    await board.open("t", failed)
    await expect(board.drawer.get_by_role("button", name="Retry")).to_be_visible(timeout=60_000)
    await look.at("a failed run")
    busy = await project.task("Busy", "rehearse: run sleep 600")
    await project.api("POST", f"{project.path}/tasks/{busy}/execute")
    await board.open("t", busy)
    await expect(board.drawer.locator(".v-chip", has_text="Running")).to_be_visible(timeout=40_000)
    await expect(board.terminal.get_by_text("LIVE")).to_be_visible()
    await look.at("a live run")
    await board.open("t", ran, "history")
    await board.drawer.locator(".v-session-head").click()
    await expect(board.drawer.locator("pre").last).to_be_visible()
    await look.at("history")
    await board.drawer.get_by_role("link", name="Overview").click()
    await board.drawer.get_by_role("button", name="Edit").click()
    await expect(board.drawer.get_by_label("Description")).to_be_visible()
    await look.at("the form of a card")
    await board.drawer.get_by_role("link", name="Close").click()
    await expect(board.drawer).to_have_count(0)
    await look.at("board")
    look.nothing_found()
