"""The whole story in a browser, from an installation without accounts to a file in the workspace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from tests.e2e.browser import DESKTOP, Board, Watch, line_or_later
from tests.e2e.installation import PASSWORD, Api, Installation, installed

TITLE = "Add a README file"


@dataclass
class Newcomer:
    """Somebody with a fresh installation and an empty browser."""

    installation: Installation
    page: Page
    watch: Watch

    async def open_set_up(self) -> None:
        """Follow the one-time link and fill the form in."""
        await self.page.goto(f"{self.installation.url}/setup?token={self.installation.setup_token}")
        await self.page.get_by_label("Name").fill("Ada")
        await self.page.get_by_label("E-mail").fill("ada@example.org")
        await self.page.get_by_label("Password").fill(PASSWORD)

    async def set_up(self) -> None:
        """Make the first account."""
        await self.open_set_up()
        await self.page.get_by_role("button", name="Create account").click()
        await expect(self.page).to_have_url(f"{self.installation.url}/")

    async def begin_project(self, name: str, repository: str = "") -> Board:
        """Create a project, of a repository where one is given, and return its board."""
        await self.page.get_by_role("button", name="New project").first.click()
        await self.page.get_by_role("dialog").get_by_label("Name").fill(name)
        if repository:
            await self.page.get_by_role("dialog").get_by_label("Repository to clone").fill(repository)
        await self.page.get_by_role("button", name="Create project").click()
        await expect(self.page.get_by_role("heading", name=name, level=1)).to_be_visible()
        board = Board(self.page, self.installation.url, self.page.url.rpartition("/")[2])
        await board.ready()
        return board

    async def api(self) -> Api:
        """The same person, as a program."""
        anyone = Api(self.installation.url)
        login = {"email": "ada@example.org", "password": PASSWORD}
        answer = await anyone("POST", "/auth/login", json=login)
        await anyone.close()
        return Api(self.installation.url, answer["access_token"])


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(browser: Browser, tmp_path: Path, migrated: Path) -> AsyncIterator[Newcomer]:
    """A server without accounts, and a browser on it."""
    async with installed(tmp_path, migrated) as installation:
        context = await browser.new_context(viewport=DESKTOP)
        context.set_default_timeout(15_000)
        watch = Watch(installation.url)
        watch.follow(context)
        yield Newcomer(installation, await context.new_page(), watch)
        faults = await watch.end()
    assert faults == []


async def test_from_the_first_account_to_a_file_in_the_workspace(newcomer: Newcomer) -> None:
    await newcomer.set_up()
    board = await newcomer.begin_project("Handbook")
    card = await board.write(TITLE)
    execute = card.get_by_role("button", name="Execute")
    await card.locator(".v-card-title").click()
    await board.drawer.get_by_role("button", name="Execute").click()
    await expect(board.drawer.get_by_role("button", name="Execute")).to_have_count(0)
    await expect(execute).to_have_count(0)
    await expect(board.card(TITLE, "In progress")).to_be_visible()
    await expect(board.card(TITLE).locator(".v-run")).to_contain_text("Running", timeout=40_000)

    await expect(board.terminal.get_by_text("LIVE")).to_be_visible()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("I start by looking around the workspace.")
    seen = int(await board.terminal.locator(".vt-host").get_attribute("data-lines") or 0)
    await expect(board.card(TITLE, "In progress")).to_be_visible()  # so the lines came during the run
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=30_000)
    await expect(board.card(TITLE).locator(".v-run")).to_contain_text("Review")
    await expect(rows).to_contain_text("Session completed")
    assert int(await board.terminal.locator(".vt-host").get_attribute("data-lines") or 0) > seen
    await expect(board.terminal.get_by_text("LIVE")).to_have_count(0)

    await board.drawer.get_by_role("link", name="History").click()
    entry = board.drawer.locator(".v-session")
    await expect(entry).to_have_count(1)
    head = entry.get_by_role("button")
    await expect(head).to_contain_text("Completed")
    await expect(head).to_contain_text(re.compile(r"\d+ tokens in, \d+ out"))
    # What the agent said last stands there, in place of its first words.
    await expect(entry).to_contain_text("I am only the rehearsal model")
    await expect(entry.locator(".v-preview")).to_have_count(0)
    await head.click()
    texts = entry.locator("pre")
    await expect(texts.first).to_contain_text(TITLE)
    await expect(texts.last).to_contain_text("I start by looking around the workspace.")

    session = board.page.locator(".v-session code")
    api = await newcomer.api()
    path = f"/projects/{board.project}"
    kept = (await api("GET", f"{path}/sessions"))["sessions"][0]
    await expect(session).to_have_text(kept["id"][:8])
    (card,) = (await api("GET", f"{path}/tasks"))["tasks"]
    where = {"path": "README.md", "task": card["number"]}
    content = await api("GET", f"{path}/files/content", params=where)
    await api.close()
    on_disk = (newcomer.installation.tree(board.project, card["number"]) / "README.md").read_text()
    assert TITLE in on_disk
    assert content["content"] == on_disk


async def test_the_first_account_waits_for_its_link_to_be_read(newcomer: Newcomer) -> None:
    held = asyncio.Event()

    async def hold(browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()

        async def pass_on(message: str | bytes) -> None:
            await held.wait()
            browser.send(message)

        server.on_message(pass_on)

    await newcomer.page.route_web_socket(re.compile(r"/_event"), hold)
    await newcomer.open_set_up()
    create = newcomer.page.get_by_role("button", name="Create account")
    await expect(create).to_be_disabled()
    await newcomer.page.keyboard.press("Enter")
    await expect(newcomer.page.get_by_role("alert")).to_have_count(0)
    held.set()
    await create.click()
    await expect(newcomer.page).to_have_url(f"{newcomer.installation.url}/")


@pytest.mark.timeout(180)
async def test_with_the_server_killed_and_restarted_in_the_middle(newcomer: Newcomer) -> None:
    newcomer.watch.away = True
    await newcomer.set_up()
    board = await newcomer.begin_project("Handbook")
    card = await board.write(TITLE, "rehearse: print 400 lines at 40 per second")
    await card.get_by_role("button", name="Execute").click()
    await board.card(TITLE).locator(".v-card-title").click()
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text(
        line_or_later(40, 400), timeout=40_000
    )
    newcomer.installation.kill()
    await newcomer.installation.start()
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text(
        "rehearsal line 399 of 400", timeout=40_000
    )
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=30_000)
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session completed")
    lines = [line for line in await board.output() if re.fullmatch(r"rehearsal line \d+ of 400", line)]
    assert lines == [f"rehearsal line {number} of 400" for number in range(1, 401)]
    assert int(await board.terminal.locator(".vt-host").get_attribute("data-lines") or 0) == len(
        await board.output()
    )
    # One run, not one for each life of the server.
    await board.drawer.get_by_role("link", name="History").click()
    await expect(board.drawer.locator(".v-session")).to_have_count(1)
