"""Several people and tabs on one board: what one does the others see, and who may do what."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.async_api import Page, WebSocket, expect

from tests.e2e.browser import Board
from tests.e2e.conftest import People, Project, Visit

SOON = 3_000
"""Milliseconds within which the others see a change: a second on a machine that does nothing else, and
far less than the half minute after which a board looks by itself."""

# Presses a button and tells whether it is disabled, or gone, by the next frame.
PRESS = """
(button) => new Promise((done) => {
  button.click();
  requestAnimationFrame(() => done(button.disabled || !button.isConnected));
})
"""

# Sends an event over the page's own kind of socket, with this browser's cookies, and collects the answers.
SEND = """
async ({name, payload, path}) => {
  const token = crypto.randomUUID();
  const socket = new WebSocket(`ws://${location.host}/_event/?EIO=4&transport=websocket&token=${token}`);
  const said = [];
  return await new Promise((done) => {
    socket.onmessage = ({data}) => {
      if (data.startsWith("0")) {
        const name = "reflex___state____state.hydrate_and_load";
        const event = {name, payload: {}, router_data: {pathname: path, asPath: path, query: {}}};
        window.__reflex_otel.onEventSend(event);
        socket.send("40/_event," + JSON.stringify({event}));
      }
      else if (data.startsWith("40/_event")) {
        const event = {name, payload, router_data: {pathname: path, asPath: path, query: {}}};
        socket.send("42/_event," + JSON.stringify(["event", event]));
      } else if (data === "2") socket.send("3");
      else {
        said.push(data);
        if (/_call_function|_redirect|toast/.test(data)) { socket.close(); done(said.join("\\n")); }
      }
    };
    setTimeout(() => { socket.close(); done(said.join("\\n")); }, 4000);
  });
}
"""


BOARD = "board___columns____board_state"


async def tell(
    page: Page, handler: str, project: Project, below: str = "", of: str = BOARD, **payload: Any
) -> str:
    """Call a handler over a socket of one's own; return everything that came back.

    Args:
        page: Whose cookies go along.
        handler: Its name.
        project: The project that the address names.
        below: What the address names below that.
        of: The handler's State, as the pages write it.
        payload: What the handler gets.
    """
    state = f"reflex___state____state.vibe_app___web___{of}"
    sent = {"name": f"{state}.{handler}", "payload": payload, "path": f"/p/{project.id}{below}"}
    return await page.evaluate(SEND, sent)


async def test_what_one_tab_does_the_other_shows(project: Project, visit: Visit) -> None:
    await project.task("Kept")
    eve, ada = await visit("eve", project), await visit("ada", project)
    await eve.write("Written by Eve", labels="docs")
    await expect(ada.card("Written by Eve", "To do")).to_be_visible(timeout=SOON)
    await ada.drag(ada.card("Written by Eve"), ada.column("Human review"))
    await expect(eve.card("Written by Eve", "Human review")).to_be_visible(timeout=SOON)
    await eve.card("Written by Eve").locator(".v-card-title").click()
    await expect(eve.drawer).to_be_visible()
    await eve.drawer.get_by_label("Title").fill("Renamed by Eve")
    await eve.page.keyboard.press("Enter")
    await expect(ada.card("Renamed by Eve", "Human review")).to_be_visible(timeout=SOON)
    await eve.drawer.get_by_role("link", name="Overview").click()
    await eve.drawer.get_by_role("button", name="Delete").click()
    await expect(ada.card("Renamed by Eve")).to_have_count(0, timeout=SOON)
    await expect(ada.card("Kept", "To do")).to_be_visible()


async def test_a_run_shows_in_every_tab(project: Project, visit: Visit) -> None:
    task = await project.task("Watched", "rehearse: print 80 lines at 40 per second")
    eve, vic = await visit("eve", project), await visit("vic", project)
    await vic.open("t", task)
    await expect(eve.page.get_by_text("Workspace ready")).to_be_visible(timeout=40_000)
    execute = eve.card("Watched").get_by_role("button", name="Execute")
    assert await execute.evaluate(PRESS), "the button could be pressed again"
    await expect(vic.card("Watched", "In progress")).to_be_visible(timeout=SOON)
    await expect(vic.terminal.locator(".xterm-rows")).to_contain_text("rehearsal line", timeout=10_000)
    await expect(vic.card("Watched", "AI review")).to_be_visible(timeout=20_000)
    await expect(eve.card("Watched", "AI review")).to_be_visible(timeout=SOON)


async def test_a_viewer_sees_everything_and_can_change_nothing(project: Project, visit: Visit) -> None:
    task = await project.task("Look only")
    vic = await visit("vic", project)
    card = vic.card("Look only", "To do")
    await expect(card).to_be_visible()
    for name in ("Execute", "Move to…", "New task"):
        await expect(vic.page.get_by_role("button", name=name)).to_have_count(0)
    await card.focus()
    await vic.page.keyboard.press("e")
    await vic.page.keyboard.press("n")
    await vic.drag(card, vic.column("Done"))
    await vic.open("t", task)
    await expect(vic.drawer.get_by_role("heading", name="Look only")).to_be_attached()
    await expect(vic.drawer.get_by_role("button", name="Execute")).to_have_count(0)
    await expect(vic.drawer.get_by_label("Title")).to_be_disabled()
    await vic.drawer.get_by_role("link", name="Overview").click()
    await expect(vic.drawer.get_by_text("Created")).to_be_visible()
    await expect(vic.drawer.get_by_role("button", name="Delete")).to_have_count(0)
    await expect(vic.card("Look only", "To do")).to_be_visible()
    assert await project.sessions(task) == []


async def test_a_handler_called_by_another_users_browser_changes_nothing_and_says_so(
    project: Project, visit: Visit
) -> None:
    task = await project.task("Not yours")
    for name in ("vic", "sam"):
        board = await visit(name)
        await board.page.goto(board.url)
        for handler, payload in (
            ("execute", {"card_id": task}),
            ("move", {"card_id": task, "column": "DONE", "before_id": ""}),
            ("stop", {"card_id": task}),
        ):
            answer = await tell(board.page, handler, project, **payload)
            assert "toast" in answer, f"{name} {handler}: nothing was said: {answer}"
            assert "went wrong" not in answer, f"{name} {handler}: {answer}"
    found = await project.api("GET", f"{project.path}/tasks/{task}")
    assert found["status"] == "TODO"
    assert await project.sessions(task) == []


async def test_a_handler_called_by_nobody_leads_to_the_sign_in_page(project: Project, visit: Visit) -> None:
    task = await project.task("Not anybody's")
    board = await visit(None)
    await board.page.goto(f"{board.url}/login")
    answer = await tell(board.page, "execute", project, card_id=task)
    assert "/login" in answer
    assert await project.sessions(task) == []


async def test_a_stranger_is_told_that_there_is_nothing(project: Project, visit: Visit) -> None:
    await project.task("A secret title")
    sam = await visit("sam")
    await sam.page.goto(f"{sam.url}/p/{project.id}")
    await expect(sam.page.get_by_role("heading", name="No board here")).to_be_visible()
    assert "A secret title" not in await sam.page.content()


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(project: Project, visit: Visit) -> None:
    board = await visit(None)
    path = f"/p/{project.id}"
    await board.page.goto(board.url + path)
    await expect(board.page).to_have_url(re.compile(r"/login\?next="))
    await board.page.get_by_label("E-mail").fill("vic@example.org")
    await board.page.get_by_label("Password").fill("correct-horse-9")
    await board.page.get_by_role("button", name="Sign in").click()
    await expect(board.page).to_have_url(board.url + path)
    await board.ready()


async def test_a_wrong_password_is_told_and_the_form_kept(visit: Visit) -> None:
    board = await visit(None, refused=(401,))
    await board.page.goto(f"{board.url}/login")
    await board.page.get_by_label("E-mail").fill("vic@example.org")
    await board.page.get_by_label("Password").fill("not the password")
    await board.page.get_by_role("button", name="Sign in").click()
    await expect(board.page.get_by_role("alert")).to_be_visible()
    await expect(board.page.get_by_label("E-mail")).to_have_value("vic@example.org")


async def sign_in(board: Board, email: str) -> None:
    await board.page.get_by_label("E-mail").fill(email)
    await board.page.get_by_label("Password").fill("correct-horse-9")
    await board.page.get_by_role("button", name="Sign in").click()
    await expect(board.page).to_have_url(f"{board.url}/")


async def test_signing_out_ends_the_other_tabs_and_leaves_nothing_for_the_next_person(
    project: Project, visit: Visit, people: People
) -> None:
    task = await project.task("A title for members only", "A description for members only")
    board = await visit(None)
    await board.page.goto(f"{board.url}/login")
    await sign_in(board, "eve@example.org")
    board.project = project.id
    await board.open("t", task)
    await expect(board.drawer.get_by_role("heading", name="A title for members only")).to_be_attached()
    other = Board(await board.page.context.new_page(), board.url, project.id)
    await other.open()
    await board.page.goto(board.url)
    await board.page.get_by_role("button", name="Sign out").click()
    await expect(board.page).to_have_url(re.compile("/login"))

    # By itself: nobody touches it.
    await expect(other.page).to_have_url(re.compile("/login"))

    frames: list[str] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(str(frame)))

    board.page.on("websocket", listen)
    await sign_in(board, "sam@example.org")
    await expect(board.page.get_by_role("heading", name="Home", level=1)).to_be_visible()
    await expect(board.page.get_by_role("complementary")).to_contain_text("Sam")
    assert "for members only" not in json.dumps(frames)
    titles = [each["title"] for each in (await people.ada("GET", f"{project.path}/tasks"))["tasks"]]
    assert titles == ["A title for members only"]
