"""Two people edit one card in two browsers: who comes second sees both texts, and nothing is lost."""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit


async def _edit(board: Board, task: str) -> None:
    await board.open("t", task, "overview")
    await board.drawer.get_by_role("button", name="Edit").click()


async def _read(project: Project, task: str) -> dict[str, object]:
    return await project.api("GET", f"{project.path}/tasks/{task}")


async def test_the_second_save_of_a_card_shows_both_and_undoes_nothing(
    project: Project, visit: Visit
) -> None:
    task = await project.task("Shared", "As it was")
    eve, ada = await visit("eve", project), await visit("ada", project)
    await _edit(eve, task)
    await _edit(ada, task)
    await eve.drawer.get_by_label("Labels").fill("docs")
    await eve.drawer.get_by_label("Description").fill("Eve's text")
    await ada.drawer.get_by_label("Description").fill("Ada's text")
    await ada.drawer.get_by_role("button", name="Save").dblclick()
    await expect(ada.drawer.get_by_text("Ada's text")).to_be_visible()
    await expect(ada.drawer.get_by_label("Two versions")).to_have_count(0)

    await eve.drawer.get_by_role("button", name="Save").click()
    both = eve.drawer.get_by_label("Two versions")
    row = both.get_by_role("group", name="Description")
    await expect(row.get_by_text("Eve's text")).to_be_visible()
    await expect(row.get_by_text("Ada's text")).to_be_visible()
    assert (await _read(project, task))["description"] == "Ada's text"

    # What was typed is still there, also after a reload.
    await both.get_by_role("button", name="Decide later").click()
    await expect(both).to_have_count(0)
    await expect(eve.drawer.get_by_label("Description")).to_have_value("Eve's text")
    await eve.page.reload()
    await expect(eve.drawer.get_by_label("Description")).to_have_value("Eve's text")
    await eve.drawer.get_by_role("button", name="Save").click()
    await row.get_by_role("button", name="Take theirs").click()
    await both.get_by_role("group", name="Labels").get_by_role("button", name="Keep mine").press("Enter")
    await expect(both).to_have_count(0)
    await expect(eve.drawer.get_by_role("button", name="Edit")).to_be_visible()
    kept = await _read(project, task)
    assert (kept["description"], kept["labels"]) == ("Ada's text", ["docs"])


async def test_a_title_that_somebody_else_changes_while_it_is_typed(project: Project, visit: Visit) -> None:
    task = await project.task("Before")
    eve, ada = await visit("eve", project), await visit("ada", project)
    await eve.open("t", task)
    await ada.open("t", task)
    title = eve.drawer.get_by_role("textbox", name="Title")
    await title.fill("Eve's title")
    await ada.drawer.get_by_label("Title").fill("Ada's title")
    await ada.page.keyboard.press("Enter")
    await expect(eve.card("Ada's title")).to_be_visible()
    await expect(title).to_have_value("Eve's title")
    await eve.page.reload()
    await expect(title).to_have_value("Eve's title")
    await title.press("Enter")
    both = eve.drawer.get_by_label("Two versions")
    await expect(both.get_by_text("Ada's title")).to_be_visible()
    await both.get_by_role("button", name="Take theirs").click()
    await expect(both).to_have_count(0)
    await expect(title).to_have_value("Ada's title")
    await title.fill("Eve's again")
    await title.press("Enter")
    await expect(ada.card("Eve's again")).to_be_visible()
    await expect(ada.drawer.get_by_role("textbox", name="Title")).to_have_value("Eve's again")
    assert (await _read(project, task))["title"] == "Eve's again"
