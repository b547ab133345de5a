"""What people paste: shown as it is, harmless, and never in the way of a run."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser import PROBE, Board
from tests.e2e.conftest import People, Project, Visit

HTML = f'<img src=x onerror="{PROBE}"><script>{PROBE}</script></script><svg/onload="{PROBE}">'
MARKDOWN = f"""[a link](javascript:{PROBE.replace(" ", "%20")})
![a picture](https://pictures.example/one.png)
<iframe srcdoc="<script>parent.{PROBE}</script>"></iframe>
"""


async def no_wider_than_the_window(page: Page) -> None:
    widths = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], f"the page is {widths[0]} px wide in a window of {widths[1]} px"


async def test_html_in_every_field_stays_text(project: Project, people: People, visit: Visit) -> None:
    await people.ada("PATCH", project.path, json={"name": HTML[:100], "description": HTML})
    task = await project.task(HTML, HTML + MARKDOWN, labels=[f"<img src=x onerror={PROBE[:12]}>"])
    say = "rehearse: say " + json.dumps(HTML + "\x1b]0;title\x07\x1b[31mred\x1b[0m")
    spoken = await project.task("Say it", say)
    board = await visit("eve")
    await board.page.goto(board.url)
    await expect(board.page.get_by_role("heading", name=HTML[:100])).to_be_visible()
    board.project = project.id
    await board.open("t", task, "overview")
    await expect(board.card(HTML)).to_be_visible()
    await expect(board.drawer.get_by_text("a link")).to_be_visible()
    assert await board.page.locator("img, iframe").count() == 0
    assert await board.page.locator("[href^='javascript:']").count() == 0
    await board.open("t", spoken)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("Session completed", timeout=40_000)
    await expect(rows).to_contain_text("<script>")
    assert any(HTML in line for line in await board.output())
    await board.drawer.get_by_role("link", name="History").click()
    await board.drawer.locator(".v-session-head").click()
    await expect(board.drawer.locator("pre").last).to_contain_text(HTML)


async def test_a_long_title_and_a_huge_description(project: Project, visit: Visit) -> None:
    title = "Ein" + "langes" * 32 + " Wort"
    assert len(title) == 200
    pasted = ("\x00\x07\x1b[31mred\x1b[0m \x1b]8;;http://x\x07" + HTML + "\r\n") * 1000
    pasted = pasted[: 60 * 1024] + "\nTHE END"
    board = await visit("eve", project)
    await board.write(title, pasted)
    await no_wider_than_the_window(board.page)
    await board.card(title).locator(".v-card-title").click()
    await board.drawer.get_by_role("link", name="Overview").click()
    await expect(board.drawer.get_by_text("THE END")).to_be_attached()
    await no_wider_than_the_window(board.page)
    (task,) = (await project.api("GET", f"{project.path}/tasks"))["tasks"]
    assert task["title"] == title
    assert "\x1b" not in task["description"]
    assert task["description"].endswith("THE END")
    await board.drawer.get_by_role("button", name="Execute").click()
    await expect(board.card(title, "AI review")).to_be_visible(timeout=60_000)
    (session,) = await project.sessions(task["id"])
    assert session["status"] == "completed"
    assert session["prompt"].endswith("THE END")


async def test_too_much_is_refused_with_a_sentence_and_kept_in_the_form(
    project: Project, visit: Visit
) -> None:
    board = await visit("eve", project)
    await board.page.get_by_role("button", name="New task").click()
    await board.dialog.get_by_label("Title").fill("Too much")
    await board.dialog.get_by_label("Description").fill("x" * (65 * 1024))
    await board.dialog.get_by_role("button", name="Add task").click()
    await expect(board.dialog.get_by_role("alert")).to_contain_text("64 KiB")
    await expect(board.dialog.get_by_label("Title")).to_have_value("Too much")
    assert len(await board.dialog.get_by_label("Description").input_value()) == 65 * 1024
    await board.dialog.get_by_label("Description").fill("less")
    await board.dialog.get_by_role("button", name="Add task").click()
    await expect(board.card("Too much", "To do")).to_be_visible()


async def test_a_title_of_blanks_is_refused(project: Project, visit: Visit) -> None:
    board = await visit("eve", project)
    await board.page.get_by_role("button", name="New task").click()
    await board.dialog.get_by_label("Title").fill("   ")
    await board.dialog.get_by_role("button", name="Add task").click()
    await expect(board.dialog.get_by_role("alert")).to_contain_text("title")
    assert (await project.api("GET", f"{project.path}/tasks"))["total_count"] == 0


@pytest.mark.parametrize("address", ["p/nothing", "p/{id}/t/{id}", "nowhere"])
async def test_addresses_of_nothing_say_so(project: Project, visit: Visit, address: str) -> None:
    board: Board = await visit("eve", refused=(404,))
    await board.page.goto(f"{board.url}/{address.format(id=project.id)}")
    words = board.page.get_by_text("No board here").or_(board.page.get_by_text("Not here"))
    await expect(words.or_(board.page.get_by_text("There is no page here")).first).to_be_visible()
