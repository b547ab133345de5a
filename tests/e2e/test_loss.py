"""What the board shows, and what is left behind, when a part of a workspace dies or a run is stopped."""

from __future__ import annotations

import re
import time

from playwright.async_api import expect

from tests.e2e.browser import APART_MS, line_or_later
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import Installation
from tests.waiting import eventually

TITLE = "Count to three hundred"
LINES = [f"rehearsal line {number} of 300" for number in range(1, 301)]
COUNTING = "rehearse: print 300 lines at 40 per second"
# The rehearsal model lives in the sidecar and dies with it; a tool goes on inside OpenCode.
COUNTING_TOOL = 'rehearse: run for n in $(seq 300); do echo "rehearsal line $n of 300"; sleep 0.02; done'


def printed(lines: list[str]) -> list[str]:
    return [line for line in lines if re.fullmatch(r"rehearsal line \d+ of 300", line)]


async def test_the_sidecar_killed_in_mid_run(server: Installation, project: Project, visit: Visit) -> None:
    task = await project.task(TITLE, COUNTING_TOOL)
    board = await visit("eve", project)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text(line_or_later(30, 300), timeout=40_000)
    module = "vibe_app.workspace_services.sidecar"
    (sidecar,) = (each for each in server.agents(project.id, module) if each.cmdline()[-1] == module)
    sidecar.kill()
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=40_000)
    await expect(rows).to_contain_text("Session completed")
    lines = await board.output()
    assert printed(lines) == LINES
    (session,) = await project.sessions(task)
    assert (session["status"], session["error"]) == ("completed", None)
    assert printed(session["output"].splitlines()) == LINES


async def test_opencode_killed_in_mid_run(server: Installation, project: Project, visit: Visit) -> None:
    task = await project.task(TITLE, COUNTING)
    board = await visit("eve", project)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text(line_or_later(30, 300), timeout=40_000)
    (opencode,) = server.agents(project.id, "serve --hostname")
    opencode.kill()
    await expect(rows).to_contain_text("OpenCode", timeout=20_000)
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=60_000)
    (session,) = await project.sessions(task)
    assert (session["status"], session["attempt"]) == ("completed", 2)
    lines = await board.output()
    said = [line for line in lines if "OpenCode" in line]
    assert said, "nothing tells why there was a second attempt"
    # The second attempt is whole, whatever the first one had come to.
    assert printed(lines)[-300:] == LINES
    await board.drawer.get_by_role("link", name="History").click()
    entry = board.drawer.locator(".v-session")
    await entry.get_by_role("button").click()
    await expect(entry.locator(".v-facts")).to_contain_text("Attempts")


async def test_stop_ends_what_the_agent_had_started(
    server: Installation, project: Project, visit: Visit
) -> None:
    task = await project.task("Sleep", "rehearse: run sleep 600")
    board = await visit("eve", project)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    await eventually(lambda: server.agents(project.id, "sleep 600"), 40)
    await expect(board.drawer.locator(".v-chip", has_text="Running")).to_be_visible()
    pressed = time.monotonic()
    await board.drawer.get_by_role("button", name="Stop").click()
    await expect(board.drawer.locator(".v-chip", has_text="Cancelled")).to_be_visible()
    await eventually(lambda: not server.agents(project.id, "sleep 600"), 1)
    assert time.monotonic() - pressed < 5
    await expect(board.card("Sleep", "To do")).to_be_visible()
    await expect(board.drawer.get_by_role("button", name="Execute")).to_be_visible()
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session cancelled")
    # The workspace is ready for the next one.
    assert len(server.agents(project.id, "serve --hostname")) == 1


async def test_stop_while_the_workspace_is_starting(project: Project, visit: Visit) -> None:
    task = await project.task("Never begun", "rehearse: run sleep 600")
    board = await visit("eve")
    path = f"{board.url}/p/{project.id}/t/{task}"
    await board.page.goto(path)
    await board.drawer.get_by_role("button", name="Execute").click()
    # Within this time a second press is taken for the other half of a double click.
    await board.page.wait_for_timeout(APART_MS)
    await board.drawer.get_by_role("button", name="Stop").click()
    await expect(board.drawer.locator(".v-chip", has_text="Cancelled")).to_be_visible()
    await expect(board.card("Never begun", "To do")).to_be_visible()
    (session,) = await project.sessions(task)
    assert session["status"] == "cancelled"


async def test_a_second_card_waits_in_line_and_then_runs(project: Project, visit: Visit) -> None:
    await project.api("PATCH", project.path, json={"session_limit": 1})
    first = await project.task("First", "rehearse: run sleep 600")
    second = await project.task("Second", "rehearse: say hello")
    board = await visit("eve", project)
    for title in ("First", "Second"):
        await board.execute(title)
        await expect(board.card(title, "In progress")).to_be_visible()
    waiting = board.card("Second").locator(".v-run")
    await expect(waiting).to_have_text("Queued, 1st: waits for this project's limit", timeout=40_000)
    await board.open("t", second, "output")
    empty = board.drawer.locator(".vt-empty")
    await expect(empty).to_contain_text("Not begun yet")
    await board.open()
    await board.card("First").focus()
    await board.page.keyboard.press("s")
    await expect(board.card("First", "To do")).to_be_visible()
    await expect(board.card("Second", "AI review")).to_be_visible(timeout=30_000)
    await board.open("t", second, "output")
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("hello")
    await expect(empty).to_be_hidden()
    (session,) = await project.sessions(first)
    assert session["status"] == "cancelled"


async def test_a_run_that_fails_says_why_and_can_be_tried_again(project: Project, visit: Visit) -> None:
    await project.task("Ask in vain", "rehearse: fail 401")
    board = await visit("eve", project)
    card = board.card("Ask in vain")
    await card.get_by_role("button", name="Execute").click()
    await expect(board.toasts).to_contain_text("Ask in vain", timeout=40_000)
    await expect(board.card("Ask in vain", "To do").locator(".v-run")).to_contain_text("Failed")
    await expect(card.get_by_role("button", name="Retry")).to_be_visible()


async def test_opening_a_run_in_its_middle_and_after_it_shows_what_came_before(
    project: Project, visit: Visit
) -> None:
    task = await project.task(TITLE, COUNTING)
    eve = await visit("eve", project)
    await eve.card(TITLE).get_by_role("button", name="Execute").click()
    await expect(eve.card(TITLE).locator(".v-run")).to_contain_text("rehearsal line", timeout=40_000)
    board = await visit("vic", project)
    await board.open("t", task)
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("rehearsal line")
    await board.page.reload()
    await expect(rows).to_contain_text("Session completed", timeout=40_000)
    assert printed(await board.output()) == LINES
    await board.open("t", task)
    await expect(rows).to_contain_text("Session completed")
    assert printed(await board.output()) == LINES


async def test_what_is_pressed_while_nothing_connects_is_not_done_later(
    project: Project, visit: Visit
) -> None:
    away, here = [await project.task(title, "rehearse: say done") for title in ("Away", "Here")]
    board = await visit("eve", project, away=True)
    lost = board.page.locator(".v-lost")
    await board.page.context.set_offline(True)
    await expect(lost).to_contain_text("You are offline.")
    await board.card("Away").focus()
    await board.page.keyboard.press("e")
    await board.card("Away").hover()
    await board.card("Away").get_by_role("button", name="Execute").click()
    await board.page.context.set_offline(False)
    await expect(lost).to_be_hidden()
    await board.card("Here").focus()
    await board.page.keyboard.press("e")
    await expect(board.card("Here", "AI review")).to_be_visible(timeout=40_000)
    assert await project.sessions(away) == []
    assert len(await project.sessions(here)) == 1
