"""A card's drawer in the browser: what happened is told, what was taken away comes back, room is used."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.test_changes import Seed, seeded
from tests.e2e.test_rounds import RUN, executed, files, round_over, talk

__all__ = ["seeded"]


def activity(board: Board) -> Locator:
    """What happened to the card, line by line."""
    return board.drawer.get_by_role("region", name="Activity").get_by_role("listitem")


async def test_what_happens_to_a_card_is_told_in_every_tab(project: Project, visit: Visit) -> None:
    task = await project.task("Write it down")
    eve, vic = await visit("eve", project), await visit("vic", project)
    for board in (eve, vic):
        await board.open("t", task, "overview")
        await expect(activity(board)).to_have_count(1)
        await expect(activity(board)).to_contain_text("Ada made the card")
        await expect(activity(board).get_by_text("just now")).to_be_visible()
    title = eve.drawer.get_by_label("Title")
    await title.fill("Write it down again")
    await title.press("Enter")
    for board in (eve, vic):
        await expect(activity(board).first).to_contain_text("Eve changed title")
    await project.api("POST", f"{project.path}/tasks/{task}/move", json={"status": "DONE"})
    for board in (eve, vic):
        await expect(activity(board).first).to_contain_text("Ada moved it from To do to Done")
        await expect(activity(board)).to_have_count(3)


async def test_a_card_that_was_deleted_in_its_drawer_comes_back_by_a_key(
    project: Project, visit: Visit
) -> None:
    task = await project.task("Not for long")
    board = await visit("eve", project)
    await board.open("t", task, "overview")
    await board.drawer.get_by_role("button", name="Delete").click()
    await expect(board.toasts.filter(has_text="“Not for long” is deleted.")).to_be_visible()
    await expect(board.drawer).to_have_count(0)
    await expect(board.card("Not for long")).to_have_count(0)
    await board.page.keyboard.press("z")
    await expect(board.card("Not for long", "To do")).to_be_visible()


async def test_many_labels_are_folded_and_open(project: Project, visit: Visit) -> None:
    task = await project.task("Labelled", labels=[f"label {number}" for number in range(1, 21)])
    board = await visit("vic", project)
    await board.open("t", task, "overview")
    await expect(board.drawer.get_by_text("label 6", exact=True)).to_be_visible()
    await expect(board.drawer.get_by_text("label 7", exact=True)).to_be_hidden()
    await board.drawer.get_by_text("+14").click()
    await expect(board.drawer.get_by_text("label 20", exact=True)).to_be_visible()


async def test_two_texts_stand_beside_each_other_while_there_is_room(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded()
    board = await visit("vic", project)
    await board.open("t", task, "changes")
    split = board.drawer.locator("diffs-container [data-diff-type=split]")
    await expect(board.drawer.locator("diffs-container [data-line]").first).to_be_visible()
    await expect(split).to_have_count(0)
    edge = board.page.get_by_role("slider", name="Width of the card")
    await edge.focus()
    await edge.press("End")
    await expect(split.first).to_be_visible()
    await edge.press("Home")
    await expect(split).to_have_count(0)


async def test_lines_between_the_changes_are_shown_on_demand(project: Project, visit: Visit) -> None:
    task = await executed(project, "Count to 200", "rehearse: run seq 200 > numbers.txt")
    board = await visit("eve", project)
    await board.open("t", task, "changes")
    await expect(files(board)).to_have_text(["numbers.txt"])
    await talk(board).fill("rehearse: run sed -i 's/^100$/hundred/' numbers.txt")
    await board.page.keyboard.press("Control+Enter")
    await expect(board.drawer.get_by_role("link", name="Output")).to_have_attribute("aria-current", "page")
    await round_over(project, task, 2)
    await board.drawer.get_by_role("link", name="Changes").click()
    await board.drawer.get_by_label("Since the last round").click()
    lines = board.drawer.locator("diffs-container [data-line]")
    await expect(lines.filter(has_text="hundred")).to_be_visible(timeout=RUN)
    await expect(board.drawer.get_by_text("96 unmodified lines").first).to_be_visible()
    await expect(lines.filter(has_text="110")).to_have_count(0)
    between = board.drawer.get_by_role("button", name="Show the lines between")
    await between.last.focus()
    await board.page.keyboard.press("Enter")
    await expect(lines.filter(has_text="110")).to_be_visible()
