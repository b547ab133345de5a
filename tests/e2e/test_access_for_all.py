"""What axe-core finds on each page, light and dark, wide and narrow: nothing."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, expect

from tests.e2e.axe import Look
from tests.e2e.browser import DESKTOP
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import installed
from tests.e2e.test_front import tab

SETTINGS = {"": "Profile", "logins": "Logins", "tokens": "Access tokens", "people": "People"}
"""The parts of one's own settings, by their addresses."""


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


async def test_the_first_account(tmp_path: Path, migrated: Path, browser: Browser) -> None:
    async with installed(tmp_path, migrated) as server, tab(browser) as page:
        look = Look(page)
        await page.goto(f"{server.url}/setup?token={server.setup_token}")
        await expect(page.get_by_label("Password")).to_be_visible()
        await look.at("set-up")
        await page.goto(f"{server.url}/setup")
        await expect(page.get_by_label("Password")).to_have_count(0)
        await look.at("set-up without its link")
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


async def test_selected_cards_and_the_archive(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title, labels=["docs", "api"])
    board = await visit("eve", project)
    page, look = board.page, Look(board.page)
    bar = page.get_by_role("toolbar", name="Selected cards")
    await page.get_by_role("combobox", name="Label").click()
    await expect(page.get_by_label("Find a label")).to_be_visible()
    await look.at("labels to choose from")
    await page.keyboard.press("Escape")
    await page.get_by_role("combobox", name="Priority").click()
    await expect(page.get_by_role("option", name="Urgent")).to_be_visible()
    # What is below an open list is hidden and out of reach, which axe knows of dialogs alone. It closes
    # with another size.
    await look.at("priorities to choose from", within="[role=listbox]", sizes=(DESKTOP,))
    await page.keyboard.press("Escape")
    await board.card("One").focus()
    await page.keyboard.press("m")
    await expect(board.dialog).to_contain_text("One")
    await look.at("where a card goes")
    await page.keyboard.press("Escape")
    await expect(board.dialog).to_have_count(0)
    await board.card("One").focus()
    await page.keyboard.press("x")
    await board.card("Two").click(modifiers=["Shift"])
    await expect(bar).to_contain_text("2 selected")
    await look.at("selected cards")
    for name in ("Move to…", "Label…"):
        await bar.get_by_role("button", name=name).click()
        await expect(board.dialog).to_be_visible()
        await look.at(f"{name} with selected cards")
        await page.keyboard.press("Escape")
        await expect(board.dialog).to_have_count(0)
    await bar.get_by_role("button", name="Archive").click()
    await expect(board.toasts.first).to_be_visible()
    await look.at("what can be taken back", over=board.toasts.first)
    await expect(board.toasts.first).to_be_visible()
    await page.goto(f"{board.url}/p/{project.id}?show=archived")
    await expect(board.card("One")).to_be_visible()
    await look.at("archive")
    look.nothing_found()


async def test_two_versions(project: Project, visit: Visit) -> None:
    task = await project.task("Shared", "As it was")
    board = await visit("eve", project)
    drawer, look = board.drawer, Look(board.page)
    await board.open("t", task)
    await drawer.get_by_role("button", name="Edit").click()
    await drawer.get_by_label("Description").fill("Mine")
    path = f"{project.path}/tasks/{task}"
    theirs = {"description": "Theirs", "version": (await project.api("GET", path))["version"]}
    await project.api("PATCH", path, json=theirs)
    await drawer.get_by_role("button", name="Save").click()
    await expect(drawer.get_by_label("Two versions")).to_contain_text("Theirs")
    await look.at("a card that two people edit")
    admin = await visit("ada", project)
    part, other = await admin.settings("General"), Look(admin.page)
    await part.get_by_label("Description").fill("Mine")
    await project.api("PATCH", project.path, json={"description": "Theirs"})
    await part.get_by_role("button", name="Save", exact=True).click()
    await expect(part.get_by_role("region", name="Two versions")).to_contain_text("Theirs")
    await other.at("settings that two people edit")
    look.nothing_found()
    other.nothing_found()
