"""What somebody types is lost neither to a closed dialog, nor to a reload, nor to a server that goes away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Route, expect

from tests.e2e.browser import Board
from tests.e2e.installation import Installation, installed
from tests.e2e.team import Team, assembled
from tests.seeding import seed_change
from vibe_app.db import Database

LONG = 'What should be there: ä, "quotes", <b>, \\n and 64 KiB.\n' + "x" * 65_000
VIEWER = re.compile(r"/assets/diff_viewer[^/]*\.js")
BACK = "What you had typed is back"


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AsyncIterator[Installation]:
    """A server that may be killed."""
    async with installed(tmp_path_factory.mktemp("drafts"), migrated) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def team(server: Installation, browser: Browser) -> AsyncIterator[Team]:
    """Somebody with a project on it."""
    async with assembled(browser, server) as team:
        yield team


async def _again(server: Installation, team: Team, board: Board, mark: str) -> None:
    """Kill the server and start it again, until the tab shows a card that only the new one has."""
    server.kill()
    await server.start()
    await team.task(mark)
    await expect(board.card(mark)).to_be_visible()


async def _filled(form: Locator, title: str, priority: str) -> None:
    await expect(form.get_by_label("Title")).to_have_value(title)
    await expect(form.get_by_label("Description")).to_have_value(LONG)
    await expect(form.get_by_label("Labels")).to_have_value("docs, api")
    await expect(form.get_by_role("combobox", name="Priority")).to_have_text(priority)


async def test_a_new_card_survives_what_may_happen_while_it_is_written(
    server: Installation, team: Team
) -> None:
    board = await team.visit(away=True)
    page, dialog = board.page, board.dialog
    await page.get_by_role("button", name="New task").click()
    await expect(dialog.get_by_text(BACK)).to_have_count(0)
    await dialog.get_by_label("Title").fill("Write it down")
    await dialog.get_by_label("Labels").fill("docs, api")
    await dialog.get_by_role("combobox", name="Priority").click()
    await page.get_by_role("option", name="High").click()
    await dialog.get_by_label("Description").fill(LONG)
    await _filled(dialog, "Write it down", "High")

    await _again(server, team, board, "Mark of a new card")
    await _filled(dialog, "Write it down", "High")
    await page.reload()
    await _filled(dialog, "Write it down", "High")
    await expect(dialog.get_by_text(BACK)).to_be_visible()
    await dialog.get_by_label("Title").fill("Write it down, please")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="New task").click()
    await _filled(dialog, "Write it down, please", "High")

    await dialog.get_by_role("button", name="Add task").click()
    await expect(board.card("Write it down, please", "To do")).to_be_visible()
    listed = (await team.api("GET", f"{team.path}/tasks"))["tasks"]
    (task,) = (task for task in listed if task["title"] == "Write it down, please")
    assert (task["description"], task["priority"], task["labels"]) == (LONG, "high", ["docs", "api"])
    await page.get_by_role("button", name="New task").click()
    await expect(dialog.get_by_label("Title")).to_have_value("")
    await expect(dialog.get_by_role("combobox", name="Priority")).to_have_text("Normal")
    await dialog.get_by_label("Title").fill("Not this one")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="New task").click()
    await expect(dialog.get_by_label("Title")).to_have_value("")
    await expect(dialog.get_by_text(BACK)).to_have_count(0)


async def test_details_survive_what_may_happen_while_they_are_edited(
    server: Installation, team: Team
) -> None:
    task = await team.task("Edited", "before")
    board = await team.visit(away=True)
    page, area = board.page, board.drawer.get_by_label("Description")
    await board.open("t", task, "overview")
    await board.drawer.get_by_role("button", name="Edit").click()
    await area.fill(LONG)
    await _again(server, team, board, "Mark of details")
    await expect(area).to_have_value(LONG)
    await page.reload()
    await expect(area).to_have_value(LONG)
    await board.drawer.get_by_role("link", name="Output").click()
    await expect(board.drawer.get_by_text("Nothing has run yet")).to_be_visible()
    await board.drawer.get_by_role("link", name="Overview").click()
    await board.drawer.get_by_role("button", name="Edit").click()
    await expect(area).to_have_value(LONG)
    await board.drawer.get_by_role("button", name="Save").click()
    await expect(area).to_have_count(0)
    assert (await team.api("GET", f"{team.path}/tasks/{task}"))["description"] == LONG

    await board.drawer.get_by_role("button", name="Edit").click()
    await area.fill("after all not")
    await board.drawer.get_by_role("button", name="Cancel").click()
    await board.drawer.get_by_role("button", name="Edit").click()
    await expect(area).to_have_value(LONG)
    await expect(board.drawer.get_by_text(BACK)).to_have_count(0)


async def test_a_review_survives_a_server_that_goes_away(server: Installation, team: Team) -> None:
    task = await team.task("Greet by name")
    database = Database(f"sqlite+aiosqlite:///{server.data / 'vibe.db'}")
    await seed_change(database, UUID(task), {"greet.txt": (None, "Hello\n")})
    await database.close()
    board = await team.visit(away=True)

    async def at_once(route: Route) -> None:
        server.kill()
        await route.abort()
        await server.start()

    # What shows the lines is fetched when it is needed, and just then the server is away.
    await board.page.route(VIEWER, at_once, times=1)
    await board.page.goto(f"{board.url}/p/{team.project}/t/{task}/changes")
    number = board.drawer.locator("diffs-container [data-column-number]")
    await expect(number).to_have_text(["1"], timeout=40_000)

    await number.click()
    area = board.drawer.get_by_label("Comment on these lines")
    await area.fill("Whom?")
    await _again(server, team, board, "A mark of the review")
    # Which line it was on is not known any more; what was typed there is.
    await expect(area).to_have_count(0)
    await number.click()
    await expect(area).to_have_value("Whom?")
    await board.page.keyboard.press("Control+Enter")
    await expect(board.drawer.locator(".v-comment")).to_contain_text("Whom?")
    await expect(area).to_have_count(0)
    listed = await team.api("GET", f"{team.path}/tasks/{task}/change/comments")
    assert [each["body"] for each in listed["comments"]] == ["Whom?"]


async def test_filters_say_what_they_do(server: Installation, team: Team) -> None:
    for title in ("A needle", "Hay"):
        await team.task(title)
    other = (await team.api("POST", "/projects", json={"name": "Another"}))["id"]
    board = await team.visit(away=True)
    page, search = board.page, board.page.get_by_label("Search tasks")
    await search.fill("needle")
    await expect(board.card("Hay")).to_have_count(0)
    await _again(server, team, board, "Another needle")
    # The address has it, so that it outlives a server that is started again, and a reload.
    await expect(search).to_have_value("needle")
    await expect(board.card("Hay")).to_have_count(0)
    await page.reload()
    await expect(search).to_have_value("needle")
    await expect(board.card("A needle")).to_be_visible()
    await expect(board.card("Hay")).to_have_count(0)
    await page.get_by_role("link", name="Another").first.click()
    await expect(page).to_have_url(f"{board.url}/p/{other}")
    await expect(search).to_have_value("")
    await page.get_by_role("link", name="Shared").first.click()
    await expect(board.card("Hay")).to_be_visible()
    await expect(search).to_have_value("")


async def test_who_signs_out_leaves_nothing_typed_behind(server: Installation, team: Team) -> None:
    board = await team.visit(away=True)  # signing out ends the tab's socket, which may just be opening
    await board.page.keyboard.press("n")
    await board.dialog.get_by_label("Title").fill("Mine alone")
    await board.page.keyboard.press("Escape")
    await board.page.get_by_role("button", name="Sign out").click()
    await expect(board.page.get_by_label("E-mail")).to_be_visible()
    kept = await board.page.evaluate("JSON.stringify(window.sessionStorage)")
    assert "Mine alone" not in kept
