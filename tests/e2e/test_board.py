"""Hands on the board: mouse, keyboard, menu, search, addresses."""

from __future__ import annotations

import re

import psutil
import pytest
from playwright.async_api import expect

from tests.e2e.browser import line_or_later
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import Installation
from tests.e2e.test_workers import frozen
from tests.waiting import eventually

SNAP = 3_000
"""Milliseconds within which an own action shows, on a busy machine too."""


async def statuses(project: Project) -> dict[str, str]:
    tasks = (await project.api("GET", f"{project.path}/tasks"))["tasks"]
    return {task["title"]: task["status"] for task in tasks}


async def test_dragging_by_mouse_moves_a_card_to_where_it_is_dropped(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title)
    board = await visit("eve", project)
    before = await board.titles("To do")
    await board.drag(board.card(before[0]), board.column("Done"))
    await expect(board.card(before[0], "Done")).to_be_visible(timeout=SNAP)
    await board.drag(board.card(before[2]), board.card(before[1]), height=0.2)
    await expect(board.column("To do").locator(".v-card-title")).to_have_text([before[2], before[1]])

    async def kept() -> bool:  # what shows at once is not yet what is kept
        tasks = (await project.api("GET", f"{project.path}/tasks"))["tasks"]
        return [task["title"] for task in tasks if task["status"] == "TODO"] == [before[2], before[1]]

    await eventually(kept)
    await board.page.reload()
    await expect(board.column("To do").locator(".v-card-title")).to_have_text([before[2], before[1]])
    await expect(board.card(before[0], "Done")).to_be_visible()


async def test_a_drop_on_in_progress_executes(project: Project, visit: Visit) -> None:
    task = await project.task("Drop me", "rehearse: say done")
    board = await visit("eve", project)
    await board.drag(board.card("Drop me"), board.column("In progress"))
    await expect(board.card("Drop me", "In progress")).to_be_visible(timeout=SNAP)
    await expect(board.card("Drop me", "AI review")).to_be_visible(timeout=40_000)
    assert len(await project.sessions(task)) == 1


async def test_a_refused_drop_flies_back_with_the_reason(project: Project, visit: Visit) -> None:
    task = await project.task("Done already")
    await project.api("POST", f"{project.path}/tasks/{task}/move", json={"status": "DONE"})
    board = await visit("eve", project)
    await board.drag(board.card("Done already", "Done"), board.column("In progress"))
    await expect(board.toasts).to_contain_text("can be executed")
    await expect(board.card("Done already", "Done")).to_be_visible(timeout=SNAP)
    assert await statuses(project) == {"Done already": "DONE"}
    assert await project.sessions(task) == []


async def test_space_and_arrows_move_a_card_and_tell_a_screen_reader(project: Project, visit: Visit) -> None:
    await project.task("By keyboard")
    await project.task("Neighbour")
    board = await visit("eve", project)
    keys, said = board.page.keyboard, board.page.locator("[id^=rfd-announcement]")
    await board.card("By keyboard").focus()
    await keys.press("Space")
    await expect(said).to_contain_text("picked up")
    await keys.press("ArrowRight")
    await expect(said).to_contain_text("In progress")
    await keys.press("ArrowRight")
    await expect(said).to_contain_text("AI review")
    await keys.press("Space")
    await expect(board.card("By keyboard", "AI review")).to_be_focused()

    async def kept() -> bool:  # what shows at once is not yet what is kept
        return (await statuses(project))["By keyboard"] == "AI_REVIEW"

    await eventually(kept)
    await board.card("Neighbour").focus()
    await keys.press("Space")
    await keys.press("ArrowRight")
    await keys.press("Escape")
    await expect(said).to_contain_text("cancelled")
    await board.page.reload()
    await expect(board.card("By keyboard", "AI review")).to_be_visible()
    await expect(board.card("Neighbour", "To do")).to_be_visible()


async def test_the_move_menu_is_a_way_without_dragging(project: Project, visit: Visit) -> None:
    await project.task("By menu")
    board = await visit("eve", project)
    await board.card("By menu").focus()
    await board.page.keyboard.press("m")
    await expect(board.dialog).to_contain_text("By menu")
    await board.dialog.get_by_role("button", name="Human review").click()
    await expect(board.card("By menu", "Human review")).to_be_visible(timeout=SNAP)
    await expect(board.dialog).to_have_count(0)
    await board.card("By menu").hover()
    await board.card("By menu").get_by_role("button", name="Move to…").click()
    await board.dialog.get_by_role("button", name="Done").click()
    await expect(board.card("By menu", "Done")).to_be_visible(timeout=SNAP)

    async def kept() -> bool:  # what shows at once is not yet what is kept
        return await statuses(project) == {"By menu": "DONE"}

    await eventually(kept)


async def test_a_card_with_a_live_session_cannot_be_moved(project: Project, visit: Visit) -> None:
    await project.task("Busy", "rehearse: run sleep 600")
    board = await visit("eve", project)
    await board.card("Busy").get_by_role("button", name="Execute").click()
    await expect(board.card("Busy", "In progress")).to_be_visible()
    await board.drag(board.card("Busy"), board.column("Done"))
    await expect(board.card("Busy", "In progress")).to_be_visible()
    await board.card("Busy").focus()
    await board.page.keyboard.press("m")
    await expect(board.toasts.last).to_contain_text("Stop it first")
    assert await statuses(project) == {"Busy": "IN_PROGRESS"}


async def test_search_and_filters_show_what_matches(project: Project, visit: Visit) -> None:
    await project.task("Write the manual", labels=["docs"], priority="high")
    await project.task("Mend the pump", "It leaks at the manual valve", labels=["repair"])
    await project.task("Paint the door", labels=["repair"], priority="high")
    board = await visit("eve", project)
    titles = board.page.locator(".v-card-title")
    await expect(titles).to_have_count(3)
    await board.page.keyboard.press("/")
    await expect(board.page.get_by_label("Search tasks")).to_be_focused()
    await board.page.get_by_label("Search tasks").fill("manual")
    await expect(titles).to_have_count(2)
    await expect(board.page.get_by_text("2 of 3 tasks")).to_be_visible()
    await board.page.get_by_role("button", name="Show all").click()
    await expect(titles).to_have_count(3)
    await board.page.get_by_role("combobox", name="Label").click()
    await board.page.get_by_role("option", name="repair").click()
    await expect(titles).to_have_count(2)
    await board.page.get_by_role("combobox", name="Priority").click()
    await board.page.get_by_role("option", name="High").click()
    await expect(titles).to_have_text(["Paint the door"])
    await board.page.get_by_role("button", name="Show all").click()
    await expect(titles).to_have_count(3)


async def test_double_clicks_make_one(project: Project, visit: Visit) -> None:
    board = await visit("eve", project)
    await board.page.get_by_role("button", name="New task").click()
    await board.dialog.get_by_label("Title").fill("Only once")
    await board.dialog.get_by_label("Description").fill("rehearse: say once")
    await board.dialog.get_by_role("button", name="Add task").dblclick()
    await expect(board.dialog).to_have_count(0)
    await expect(board.card("Only once")).to_have_count(1)
    await board.card("Only once").get_by_role("button", name="Execute").dblclick()
    await expect(board.card("Only once", "AI review")).to_be_visible(timeout=40_000)
    tasks = (await project.api("GET", f"{project.path}/tasks"))["tasks"]
    assert [task["title"] for task in tasks] == ["Only once"]
    assert len(await project.sessions(tasks[0]["id"])) == 1


async def test_back_forward_and_reload_keep_the_place(project: Project, visit: Visit) -> None:
    task = await project.task("A place")
    board = await visit("eve", project)
    await board.card("A place").locator(".v-card-title").click()
    await expect(board.page).to_have_url(re.compile(f"/t/{task}$"))
    await expect(board.drawer.get_by_text("No description.")).to_be_visible()
    await board.drawer.get_by_role("link", name="Output").click()
    await expect(board.page).to_have_url(re.compile(f"/t/{task}/output$"))
    await expect(board.drawer.get_by_text("Nothing has run yet")).to_be_visible()
    await board.page.reload()
    await expect(board.drawer.get_by_text("Nothing has run yet")).to_be_visible()
    await board.page.go_back()
    await expect(board.drawer.get_by_text("No description.")).to_be_visible()
    await board.page.go_back()
    await expect(board.drawer).to_have_count(0)
    await board.page.go_forward()
    await expect(board.drawer.get_by_role("heading", name="A place")).to_be_attached()


async def test_escape_closes_one_layer(project: Project, visit: Visit) -> None:
    task = await project.task("In layers", "rehearse: say hello")
    board = await visit("eve", project)
    await project.api("POST", f"{project.path}/tasks/{task}/execute")
    await board.open("t", task)
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session completed", timeout=40_000)
    keys = board.page.keyboard
    await board.terminal.get_by_role("button", name="Enlarge").click()
    await board.terminal.get_by_role("button", name="Search", exact=True).click()
    await board.terminal.get_by_label("Search the output").fill("hello")
    await expect(board.terminal.locator(".vt-count")).to_have_text(re.compile(r"\d of \d"))
    await keys.press("Escape")
    await expect(board.terminal.get_by_label("Search the output")).to_have_count(0)
    await expect(board.terminal).to_have_class(re.compile("vt-large"))
    await keys.press("Escape")
    await expect(board.terminal).not_to_have_class(re.compile("vt-large"))
    await board.drawer.get_by_role("button", name="Move to…").click()
    await expect(board.dialog).to_be_visible()
    await keys.press("Escape")
    await expect(board.dialog).to_have_count(0)
    await expect(board.drawer).to_be_visible()
    await keys.press("Escape")
    await expect(board.drawer).to_have_count(0)
    await expect(board.card("In layers")).to_be_focused()


async def test_every_key_of_the_list_works(project: Project, visit: Visit) -> None:
    await project.task("Left", "rehearse: run sleep 600")
    right = await project.task("Right")
    await project.api("POST", f"{project.path}/tasks/{right}/move", json={"status": "DONE"})
    board = await visit("eve", project)
    keys = board.page.keyboard
    await expect(board.card("Right", "Done")).to_be_visible()
    await keys.press("?")
    await expect(board.dialog.get_by_text("Show this list")).to_be_visible()
    await keys.press("Escape")
    await expect(board.dialog).to_have_count(0)
    await keys.press("n")
    await expect(board.dialog.get_by_label("Title")).to_be_focused()
    await keys.type("By keys")
    await keys.press("Enter")
    await expect(board.card("By keys", "To do")).to_be_visible()
    await expect(board.dialog).to_have_count(0)
    await board.card("Left").focus()
    await keys.press("ArrowRight")
    await expect(board.card("Right")).to_be_focused()
    await keys.press("ArrowLeft")
    todo = board.column("To do").locator("[data-card-id]")
    await expect(todo.nth(0)).to_be_focused()
    await keys.press("ArrowDown")
    await expect(todo.nth(1)).to_be_focused()
    await keys.press("ArrowUp")
    await expect(todo.nth(0)).to_be_focused()
    await board.card("Left").focus()
    await keys.press("Enter")
    await expect(board.drawer.get_by_role("heading", name="Left")).to_be_attached()
    await keys.press("Escape")
    await expect(board.drawer).to_have_count(0)
    await keys.press("e")
    await expect(board.card("Left", "In progress")).to_be_visible(timeout=SNAP)
    await expect(board.card("Left").locator(".v-run")).to_contain_text("Running", timeout=40_000)
    await board.card("Left").focus()
    await keys.press("s")
    await expect(board.card("Left", "To do")).to_be_visible()


async def test_a_reload_in_mid_run_loses_nothing(project: Project, visit: Visit) -> None:
    await project.task("Reloaded", "rehearse: print 200 lines at 40 per second")
    board = await visit("eve", project)
    await board.card("Reloaded").get_by_role("button", name="Execute").click()
    await board.card("Reloaded").locator(".v-card-title").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text(line_or_later(20, 200), timeout=40_000)
    await board.page.reload()
    await expect(rows).to_contain_text("Session completed", timeout=30_000)
    lines = [line for line in await board.output() if line.startswith("rehearsal line")]
    assert lines == [f"rehearsal line {number} of 200" for number in range(1, 201)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_theme_is_kept(visit: Visit, scheme: str) -> None:
    board = await visit("vic", color_scheme=scheme)
    await board.page.goto(board.url)
    root = board.page.locator("html")
    await expect(root).to_have_class(re.compile(scheme))
    other = {"light": "dark", "dark": "light"}[scheme]
    await board.page.get_by_role("button", name=f"{other.title()} theme").click()
    await expect(root).to_have_class(re.compile(other))
    await board.page.reload()
    await expect(root).to_have_class(re.compile(other))


async def test_a_drawer_shows_no_other_card_than_the_address_names(
    server: Installation, project: Project, visit: Visit
) -> None:
    first = await project.task("First")
    await project.task("Second")
    board = await visit("eve", project)
    await board.open("t", first)
    execute = board.drawer.get_by_role("button", name="Execute")
    await expect(execute).to_be_visible()
    assert server.running is not None
    with frozen(psutil.Process(server.running.pid)):
        await board.card("Second").locator(".v-card-title").click()
        await expect(execute).to_have_count(0)
    await expect(execute).to_be_visible()
    await expect(board.drawer.get_by_label("Title")).to_have_value("Second")
    await board.open("t", first.upper())
    await expect(board.drawer.get_by_label("Title")).to_have_value("First")


async def test_a_column_comes_in_windows(project: Project, visit: Visit) -> None:
    for number in range(33):
        await project.task(f"Card {number}")
    board = await visit("eve", project)
    cards = board.column("To do").locator("[data-card-id]")
    await expect(board.page.get_by_role("region", name="To do, 33 cards")).to_be_visible()
    await expect(cards).to_have_count(30)
    await board.page.get_by_role("button", name="Show more").click()
    await expect(cards).to_have_count(33)


@pytest.mark.timeout(150)
async def test_windows_grow_as_one_scrolls_to_their_end_on_the_board_and_in_the_archive(
    project: Project, visit: Visit
) -> None:
    ids = [await project.task(f"Card {number}") for number in range(120)]
    board = await visit("eve", project)
    page, column = board.page, board.column("To do")
    cards = column.locator("[data-card-id]")

    async def to_the_end() -> None:
        """Turn the wheel over the column until its last card is in sight."""
        await cards.first.hover()
        await page.mouse.wheel(0, 20_000)

    async def all_of_them() -> None:
        await expect(cards).to_have_count(30)
        for count in (60, 90, 120):
            await to_the_end()
            await expect(cards).to_have_count(count)
        await expect(column.get_by_role("button", name="Show more")).to_have_count(0)

    await all_of_them()
    await to_the_end()
    await expect(board.card("Card 119")).to_be_in_viewport()
    await expect(board.card("Card 0")).not_to_be_in_viewport()
    for some in (ids[:100], ids[100:]):
        await project.api("POST", f"{project.path}/tasks/bulk", json={"action": "archive", "ids": some})
    await page.get_by_role("button", name="Archive", exact=True).click()
    await expect(page).to_have_url(re.compile("show=archived"))
    await all_of_them()


async def test_filters_are_in_the_address(project: Project, visit: Visit) -> None:
    await project.task("Write the manual", labels=["docs"])
    await project.task("Read the manual", labels=["docs"])
    await project.task("Paint the door", labels=["repair"])
    board = await visit("eve", project)
    titles = board.page.locator(".v-card-title")
    await board.page.get_by_role("combobox", name="Label").click()
    await board.page.get_by_role("option", name="docs").click()
    await expect(board.page).to_have_url(re.compile("label=docs"))
    await board.page.get_by_label("Search tasks").fill("write")
    await expect(board.page).to_have_url(re.compile("q=write"))
    await expect(titles).to_have_text(["Write the manual"])
    await board.page.reload()
    await expect(titles).to_have_text(["Write the manual"])
    await expect(board.page.get_by_label("Search tasks")).to_have_value("write")
    await board.page.get_by_role("button", name="Show all").click()
    await expect(board.page).not_to_have_url(re.compile("q=write"))
    await expect(titles).to_have_count(3)
    await board.page.go_back()
    await expect(titles).to_have_text(["Write the manual"])
    await expect(board.page.get_by_label("Search tasks")).to_have_value("write")
    await board.page.go_back()
    await expect(titles).to_have_count(3)
    await expect(board.page.get_by_label("Search tasks")).to_have_value("")


async def test_a_key_that_is_held_down_acts_once(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title)
    board = await visit("eve", project)
    await board.card("One").focus()
    for _ in range(6):  # a key that is down already repeats itself
        await board.page.keyboard.down("Delete")
        await board.page.wait_for_timeout(60)
    await board.page.keyboard.up("Delete")
    await expect(board.column("To do").locator(".v-card-title")).to_have_text(["Two", "Three"])
    await expect(board.card("Two")).to_be_focused()


async def test_a_question_closes_with_the_way_back(project: Project, visit: Visit) -> None:
    task = await project.task("Stay")
    board = await visit("eve", project)
    await board.card("Stay").get_by_role("link").click()
    await expect(board.page).to_have_url(re.compile(task))
    await board.page.keyboard.press("m")
    await expect(board.dialog.get_by_role("button", name="Done")).to_be_visible()
    await board.page.go_back()
    await expect(board.page).not_to_have_url(re.compile(task))
    await expect(board.dialog).to_have_count(0)


async def test_several_are_selected_deleted_and_taken_back(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title)
    board = await visit("eve", project)
    bar = board.page.get_by_role("toolbar", name="Selected cards")
    await board.card("One").focus()
    await board.page.keyboard.press("x")
    await expect(bar).to_contain_text("1 selected")
    await board.card("Three").click(modifiers=["Shift"])
    await expect(bar).to_contain_text("3 selected")
    await bar.get_by_role("button", name="Delete").click()
    await expect(board.page.locator("[data-card-id]")).to_have_count(0)
    await board.toasts.get_by_role("button", name="Undo").first.click()
    await expect(board.column("To do").locator(".v-card-title")).to_have_text(["One", "Two", "Three"])


async def test_a_move_is_taken_back_by_a_key(project: Project, visit: Visit) -> None:
    await project.task("There and back")
    board = await visit("eve", project)
    await board.card("There and back").focus()
    await board.page.keyboard.press("m")
    await board.dialog.get_by_role("button", name="Done").click()
    await expect(board.card("There and back", "Done")).to_be_visible(timeout=SNAP)
    await expect(board.dialog).to_have_count(0)
    await board.page.keyboard.press("z")
    await expect(board.card("There and back", "To do")).to_be_visible()
