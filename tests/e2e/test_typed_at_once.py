"""What is typed before the server has answered the key or the press that opens its field is not lost."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.explorer import Explorer
from tests.e2e.held import Held
from tests.e2e.installation import Installation
from tests.e2e.test_changes import Seed, lines, seeded
from tests.waiting import eventually

__all__ = ["seeded"]


async def late(visit: Visit, project: Project, *below: str) -> tuple[Board, Held]:
    """A tab at an address of a project whose server's words can be kept back."""
    board, held = await visit("eve", project), Held()
    await held.between(board.page)
    await board.open(*below)
    return board, held


Begin = Callable[[Board], Awaitable[None]]


def by_key(key: str) -> Begin:
    """Press a key."""
    return lambda board: board.page.keyboard.press(key)


def by_press(name: str) -> Begin:
    """Press a button."""
    return lambda board: board.page.get_by_role("button", name=name).first.click()


@pytest.mark.parametrize("begin", [by_key("n"), by_press("New task")], ids=["key", "press"])
async def test_the_title_of_a_new_card(project: Project, visit: Visit, begin: Begin) -> None:
    task = await project.task("Paint the fence")
    board, held = await late(visit, project)
    # A card that has the focus, whose keys the letters would be.
    await board.card("Paint the fence").focus()
    held.hold()
    await begin(board)
    await board.page.keyboard.type("exit sel?mmx")
    await board.page.keyboard.press("Backspace")
    await board.page.keyboard.press("Enter")
    held.let_go()
    await expect(board.card("exit sel?mm", "To do")).to_be_visible()
    await expect(board.dialog).to_have_count(0)
    await expect(board.card("Paint the fence", "To do")).to_be_visible()
    await expect(board.page.locator("[data-choosing=true]")).to_have_count(0)
    assert await project.sessions(task) == []


@pytest.mark.parametrize("begin", [by_key("Control+k"), by_press("Go to or do…")], ids=["key", "press"])
async def test_the_command_bar(project: Project, visit: Visit, begin: Begin) -> None:
    await project.task("Paint the fence")
    task = await project.task("Paint the gate")
    board, held = await late(visit, project)
    held.hold()
    await begin(board)
    await board.page.keyboard.type("paint the g")
    await board.page.keyboard.press("Enter")
    held.let_go()
    await expect(board.page).to_have_url(re.compile(f"/t/{task}$"))


async def test_labels_of_a_card(project: Project, visit: Visit) -> None:
    task = await project.task("Paint the fence")
    board, held = await late(visit, project)
    await board.card("Paint the fence").focus()
    held.hold()
    await board.page.keyboard.press("l")
    await board.page.keyboard.type("colour")
    await board.page.keyboard.press("Enter")
    held.let_go()
    await expect(board.card("Paint the fence")).to_contain_text("colour")
    assert await project.sessions(task) == []


async def test_a_comment_on_the_line_that_the_keys_have_led_to(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    board, held = await late(visit, project, "t", await seeded())
    await expect(lines(board).first).to_be_visible()
    await board.page.keyboard.press("j")
    await expect(board.drawer.locator(".v-unseen[role=status]")).to_have_text(re.compile("added line 1"))
    held.hold()
    await board.page.keyboard.press("c")
    await board.page.keyboard.type("Jack, keep")
    await board.page.keyboard.press("Enter")
    await board.page.keyboard.type("this one")
    held.let_go()
    area = board.drawer.get_by_label("Comment on these lines")
    await expect(area).to_have_value("Jack, keep\nthis one")
    await board.page.keyboard.press("Control+Enter")
    await expect(board.drawer.get_by_text("Jack, keep")).to_be_visible()


async def test_the_search_of_the_board(project: Project, visit: Visit) -> None:
    await project.task("Paint the fence")
    await project.task("Mow the lawn")
    board, held = await late(visit, project)
    held.hold()
    await board.page.keyboard.press("/")
    await board.page.keyboard.type("fence")
    await expect(board.page.get_by_role("searchbox", name="Search tasks")).to_have_value("fence")
    held.let_go()
    await expect(board.card("Mow the lawn")).to_have_count(0)
    await expect(board.card("Paint the fence")).to_be_visible()


async def test_the_search_of_a_terminal_opens_by_itself(project: Project, visit: Visit) -> None:
    task = await project.task("Say it", "rehearse: run printf 'a needle\\n'")
    await project.api("POST", f"{project.path}/tasks/{task}/execute")
    board, held = await late(visit, project, "t", task, "output")
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("Session completed", timeout=60_000)
    await board.terminal.locator(".xterm-helper-textarea").focus()
    held.hold()
    await board.page.keyboard.press("Control+f")
    await board.page.keyboard.type("needle")
    field = board.terminal.get_by_label("Search the output")
    await expect(field).to_have_value("needle")
    # It closes by itself too, and what is pressed next is not meant for it.
    await board.page.keyboard.press("Escape")
    await expect(field).to_have_count(0)
    await board.terminal.get_by_role("button", name="Search").click()
    await board.page.keyboard.type("a needle")
    held.let_go()
    await expect(board.terminal.locator(".vt-count")).to_have_text(re.compile(r"^\d+ of \d+$"))
    await expect(field).to_have_value("a needle")


async def test_the_search_of_files(project: Project, visit: Visit, server: Installation) -> None:
    await project.api("PUT", f"{project.path}/files/content", params={"path": "notes.txt"}, content=b"x")
    board, held = await visit("eve", project), Held()
    explorer = Explorer(board, project, server)
    await held.between(board.page)
    await explorer.open()
    held.hold()
    await board.page.keyboard.press("/")
    await board.page.keyboard.type("no")
    await eventually(lambda: held.count)
    await board.page.keyboard.type("tes")
    held.let_go()
    await expect(board.page.get_by_role("searchbox", name="Search files")).to_have_value("notes")
    await expect(explorer.entry("notes.txt")).to_be_visible()
    await expect(board.page).to_have_url(re.compile("q=notes"))
    await expect(board.page.get_by_role("searchbox", name="Search files")).to_have_value("notes")


async def test_the_name_of_a_file(project: Project, visit: Visit, server: Installation) -> None:
    await project.api("PUT", f"{project.path}/files/content", params={"path": "notes.txt"}, content=b"x")
    board, held = await visit("eve", project), Held()
    explorer = Explorer(board, project, server)
    await held.between(board.page)
    await explorer.open("/notes.txt")
    await expect(explorer.button("Edit")).to_be_visible()
    await expect(explorer.row("notes.txt")).to_be_visible()
    await board.page.get_by_role("tree").focus()
    held.hold()
    await board.page.keyboard.press("F2")
    await board.page.keyboard.type("later")  # in the place of the name, without its ending
    await board.page.keyboard.press("Enter")
    held.let_go()
    await eventually(lambda: (explorer.folder / "later.txt").exists())
    await expect(board.page).to_have_url(f"{explorer.base}/later.txt")
    await explorer.open()
    await expect(explorer.button("New file").first).to_be_visible()
    held.hold()
    await by_press("New file")(board)
    await board.page.keyboard.type("today.md")
    await board.page.keyboard.press("Enter")
    held.let_go()
    await eventually(lambda: (explorer.folder / "today.md").exists())


async def test_a_press_elsewhere_ends_the_waiting(project: Project, visit: Visit) -> None:
    await project.task("Paint the fence")
    board, held = await late(visit, project)
    held.hold()
    await board.page.keyboard.press("n")
    await board.page.keyboard.type("gone")
    await board.page.get_by_role("searchbox", name="Search tasks").click()
    await board.page.keyboard.type("fence")
    await expect(board.page.get_by_role("searchbox", name="Search tasks")).to_have_value("fence")
    held.let_go()
    await expect(board.dialog.get_by_label("Title")).to_have_value("")
