"""The files of a workspace in a browser, edited beside the agent that changes them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import WebSocketRoute, expect

from tests.e2e.axe import Look
from tests.e2e.conftest import Project, Visit
from tests.e2e.explorer import START, Card, Explorer, card, explore, workspace
from tests.e2e.installation import Installation
from tests.waiting import eventually

__all__ = ["card", "workspace"]

pytestmark = pytest.mark.timeout(180)


async def test_an_edit_beside_the_agents(
    project: Project, visit: Visit, server: Installation, card: Card
) -> None:
    explorer = await explore(
        visit, project, server, address="/notes.txt", refused=(404, 409), tree=card.number
    )
    page, notes = explorer.page, card.folder / "notes.txt"
    await explorer.type("mine, ")
    await expect(page.get_by_text("Not saved")).to_be_visible()
    await card.goes_on("rehearse: run printf 'of the agent\\n' > notes.txt")
    banner = page.get_by_role("alert").filter(has_text="changed this file since you opened it")
    await expect(banner).to_be_visible(timeout=START)  # while it is open, without being asked
    await expect(explorer.text).to_contain_text("mine, first line")
    look = Look(page)
    await look.at("a file that the agent changes meanwhile")
    look.nothing_found()
    await banner.get_by_role("button", name="Keep mine").click()
    await expect(banner).to_have_count(0)
    await eventually(lambda: notes.read_text() == "mine, first line\nsecond line\n")
    await explorer.button("Bring theirs back").click()
    await expect(explorer.text).to_have_text("of the agent")
    await page.keyboard.press("Control+s")
    await explorer.text.click()
    await page.keyboard.press("Control+s")
    await eventually(lambda: notes.read_text() == "of the agent\n")

    # A save that comes too late is refused, and both texts stay in reach.
    await explorer.text.click()
    await page.keyboard.press("Control+Home")
    await page.keyboard.type("again ")
    notes.write_text("theirs\n")
    await explorer.button("Save").dblclick()
    await expect(banner).to_be_visible()
    assert notes.read_text() == "theirs\n"
    await banner.get_by_role("button", name="Reload theirs").click()
    await expect(explorer.text).to_have_text("theirs")
    await explorer.text.click()
    await page.keyboard.press("Control+z")
    await expect(explorer.text).to_contain_text("again of the agent")
    notes.unlink()
    await explorer.button("Save").click()
    await page.get_by_role("button", name="Save it again").click()
    await eventually(lambda: notes.is_file() and notes.read_text() == "again of the agent\n")


async def test_what_is_typed_while_theirs_is_being_read_stays(
    project: Project, visit: Visit, server: Installation, card: Card
) -> None:
    explorer = Explorer(await visit("eve"), project, server, card.number)
    page, asked, held = explorer.page, asyncio.Event(), list[str | bytes]()
    sockets: list[WebSocketRoute] = []

    def hold(socket: WebSocketRoute) -> None:
        """Keep back what the server says, from their text on."""
        sockets.append(socket)

        def down(message: str | bytes) -> None:
            if '"theirs\\n"' in str(message):
                asked.set()
            if asked.is_set():
                held.append(message)
            else:
                socket.send(message)

        socket.connect_to_server().on_message(down)

    await page.route_web_socket(re.compile("/_event"), hold)
    await explorer.open("/notes.txt")
    await explorer.button("Edit").click()
    await expect(explorer.text).to_be_focused()
    await card.goes_on("rehearse: run printf 'theirs\\n' > notes.txt")
    await asyncio.wait_for(asked.wait(), 60)
    await page.keyboard.press("Control+Home")
    await page.keyboard.type("mine, ")
    asked.clear()
    for message in held:
        sockets[-1].send(message)
    banner = page.get_by_role("alert").filter(has_text="changed this file since you opened it")
    await expect(banner).to_be_visible()
    await expect(explorer.text).to_contain_text("mine, first line")
    look = Look(page)
    await look.at("a file that the agent changes meanwhile")
    look.nothing_found()
    await banner.get_by_role("button", name="Keep mine").click()
    await eventually(lambda: (card.folder / "notes.txt").read_text() == "mine, first line\nsecond line\n")


async def test_unsaved_changes_are_not_left_by_accident(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    explorer = await explore(visit, project, server)
    page = explorer.page
    await explorer.row("notes.txt").click()
    await explorer.type("kept ")
    await explorer.row("src").click()
    await explorer.board.dialog.get_by_role("button", name="Stay").click()
    await expect(explorer.text).to_contain_text("kept first line")
    await expect(page).to_have_url(f"{explorer.base}/notes.txt")
    await page.go_back()
    await explorer.board.dialog.get_by_role("button", name="Stay").click()
    await expect(explorer.text).to_contain_text("kept first line")
    await expect(page).to_have_url(f"{explorer.base}/notes.txt")
    await explorer.row("src").click()
    await explorer.board.dialog.get_by_role("button", name="Leave").click()
    await expect(page).to_have_url(f"{explorer.base}/src")
    assert (workspace / "notes.txt").read_text() == "first line\nsecond line\n"


async def test_what_a_run_writes_shows_while_it_runs_and_what_it_changed_is_marked(
    project: Project, visit: Visit, server: Installation, card: Card
) -> None:
    # What git ignores is no part of a change.
    (card.folder / ".gitignore").write_text("notes.txt\n")
    explorer = await explore(visit, project, server)
    # From the base branch's files in the same tab, at an address that begins otherwise.
    explorer = Explorer(explorer.board, project, server, card.number)
    await explorer.open()
    page = explorer.page
    await expect(explorer.row("src")).to_be_visible()
    wait = "rehearse: print 30 lines at 10 per second"
    await card.goes_on(f"rehearse: run echo new > fresh.txt; echo x > src/deep/x\n{wait}")
    task = card.path.rpartition("/")[2]
    await expect(explorer.row("fresh.txt")).to_be_visible(timeout=START)
    # Once it is kept, it is known what the card has changed.
    mark = page.get_by_role("img", name="Changed for this card")
    await expect(explorer.row("fresh.txt").filter(has=mark)).to_be_visible(timeout=START)
    await expect(explorer.row("src").filter(has=mark)).to_be_visible()
    await expect(explorer.row("notes.txt")).to_be_visible()
    await expect(explorer.row("notes.txt").filter(has=mark)).to_have_count(0)
    files = (await project.api("GET", f"{card.path}/change"))["files"]
    await page.get_by_role("link", name=f"{len(files)} changed files").click()
    await expect(page).to_have_url(f"{explorer.board.url}/p/{project.id}/t/{task}/changes")
    await expect(explorer.board.drawer).to_contain_text("fresh.txt")
