"""The frame around the pages: the command bar, an address that nothing has, and where toasts stand."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.axe import Look
from tests.e2e.browser import DESKTOP, PHONE
from tests.e2e.conftest import Project, Visit


async def ask(page: Page, letters: str) -> None:
    """Open the command bar and type into it."""
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox", name="Go to or do")).to_be_focused()
    await page.keyboard.type(letters)


async def test_by_keyboard_alone_to_a_card_a_project_and_a_new_task(project: Project, visit: Visit) -> None:
    task = await project.task("Paint the fence")
    await project.task("Paint the gate")
    board = await visit("eve", project)
    page, look = board.page, Look(board.page)
    await ask(page, "PAINT the f")
    options = page.get_by_role("option")
    await expect(options.first).to_contain_text("Paint the fence")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(options.first).to_contain_text("Open")
    await look.at("the command bar")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/t/{task}$"))
    await expect(board.drawer).to_be_visible()
    # The arrows choose, from the last to the first.
    await ask(page, "paint")
    await expect(options).to_have_count(4)
    await page.keyboard.press("ArrowUp")
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    # What takes the focus from the field within the bar gives it back.
    await page.locator(".v-command-bar").click(position={"x": 4, "y": 4})
    await expect(page.get_by_role("combobox", name="Go to or do")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(options).to_have_count(0)
    await expect(board.drawer).to_be_visible()
    # From another page to a new task.
    await page.goto(f"{board.url}/p/{project.id}/files")
    await expect(page.get_by_role("heading", name=project.name)).to_be_visible()
    await ask(page, "new task")
    await page.keyboard.press("Enter")
    await expect(board.dialog.get_by_label("Title")).to_be_focused()
    await page.keyboard.press("Escape")
    # And what has been typed just before Enter counts.
    await ask(page, project.name)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{board.url}/p/{project.id}")
    look.nothing_found()


async def test_the_theme_is_changed_and_the_keys_are_shown_from_the_command_bar(visit: Visit) -> None:
    board = await visit("vic", color_scheme="light")
    page = board.page
    await page.goto(board.url)
    await expect(page.get_by_role("heading", name="Home")).to_be_visible()
    await ask(page, "theme")
    await expect(page.get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_class(re.compile("dark"))
    await ask(page, "keyboard")
    await page.keyboard.press("Enter")
    await expect(board.dialog.get_by_role("heading", name="Keyboard")).to_be_visible()


@pytest.mark.parametrize("path", ["/nothing", "/nothing/at/all"])
async def test_an_address_that_nothing_has_says_so_and_leads_back(visit: Visit, path: str) -> None:
    board = await visit("vic", refused=(404,))
    page, look = board.page, Look(board.page)
    answer = await page.goto(f"{board.url}{path}")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", name="There is no page here")).to_be_visible()
    await expect(page.locator(".v-rail")).to_be_visible()
    await look.at("an address that nothing has")
    await page.get_by_role("link", name="Go home").click()
    await expect(page.get_by_role("heading", name="Home")).to_be_visible()
    look.nothing_found()


async def test_an_address_that_nothing_has_leads_strangers_to_sign_in(visit: Visit) -> None:
    board = await visit(None, refused=(404,))
    await board.page.goto(f"{board.url}/nothing")
    await expect(board.page.get_by_role("heading", name="There is no page here")).to_be_visible()
    await board.page.get_by_role("link", name="Sign in").click()
    await expect(board.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_toast_covers_no_button_in_use_and_can_be_closed(
    project: Project, visit: Visit, size: dict[str, int]
) -> None:
    board = await visit("ada", project, viewport=size)
    part = await board.settings("General")
    save = part.get_by_role("button", name="Save", exact=True)
    await part.get_by_label("Description").fill("Written down")
    await save.click()
    toast = board.toasts.filter(has_text="Project saved.")
    await expect(toast).to_be_visible()
    for button in (save, board.page.get_by_role("link", name="Board", exact=True)):
        one, other = await toast.bounding_box(), await button.bounding_box()
        assert one
        assert other
        apart_x = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        apart_y = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert apart_x or apart_y
    await toast.get_by_role("button", name="Close toast").click()
    await expect(toast).to_have_count(0)
