"""Who gets in: a page on another port of the board's host has its cookie and gets nowhere with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from uuid import uuid4

import httpx
from playwright.async_api import Browser, expect

from tests.e2e.conftest import People, Project, Visit
from tests.e2e.installation import Installation


class Neighbour:
    """A server on another port of the board's host, as an agent may start one; keeps what it is sent."""

    def __init__(self) -> None:
        self.cookies: list[str] = []
        self.heads: list[str] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a request's cookies and answer with an empty page."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        for line in head.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "cookie":
                self.cookies.append(value)
        page = b"<!doctype html><title>Preview</title>"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(page) + page)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def neighbour() -> AsyncIterator[Neighbour]:
    """A neighbour that serves."""
    made = Neighbour()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield made


# Opens the board's socket from wherever the page is, and tells what the board does with its first event.
SOCKET = """
([url, path]) => new Promise((done) => {
  const token = crypto.randomUUID();
  const query = `EIO=4&transport=websocket&token=${token}`;
  const socket = new WebSocket(`${url.replace("http", "ws")}/_event/?${query}`);
  const said = [];
  const name = "reflex___state____state.hydrate_and_load";
  const event = {name, payload: {}, router_data: {pathname: path, asPath: path, query: {}}};
  socket.onmessage = ({data}) => {
    if (data.startsWith("0")) socket.send("40/_event," + JSON.stringify({event}));
    else said.push(data);
    if (data.includes("_redirect")) socket.close();
  };
  socket.onclose = () => done(said.join("\\n"));
  setTimeout(() => socket.close(), 4000);
})
"""


async def test_a_page_on_another_port_gets_nowhere_with_the_cookie(
    server: Installation, project: Project, people: People, browser: Browser
) -> None:
    task = await project.task("Nobody else's business")
    place = f"/p/{project.id}/t/{task}"
    context = await browser.new_context(storage_state=people.cookies["eve"])
    page = await context.new_page()
    async with neighbour() as other:
        await page.goto(other.url)
        assert other.cookies, "the browser sent no cookie to the other port"
        assert "x-vibe-key" not in "".join(other.heads).lower()
        assert await page.evaluate("localStorage.length") == 0
        assert "Nobody else" not in await page.evaluate(SOCKET, [server.url, place])
    # With the cookie alone not even from the board's own origin.
    await page.goto(f"{server.url}/vibe.css")
    said = await page.evaluate(SOCKET, [server.url, place])
    assert "/login" in said
    assert "Nobody else" not in said
    await context.close()
    cookie = SimpleCookie(other.cookies[0])["vibe_login"].value
    api = f"{server.url}/api/projects/{project.id}"
    reads = ("", "/tasks", f"/tasks/{task}/output?session_id={uuid4()}", "/files",
             "/files/download?path=README.md",
             "/files/archive", "/opencode/session")  # fmt: skip
    disguises: list[dict[str, str]] = [
        {"Authorization": f"Bearer {cookie}"},
        {"Cookie": f"vibe_login={cookie}"},
        {"Cookie": f"vibe_login={cookie}", "X-Vibe-Key": cookie},
        {"Cookie": f"vibe_login={cookie}; vibe_key={cookie}", "Origin": server.url},
        {"Cookie": f"vibe_login={cookie}", "Sec-Fetch-Site": "same-origin", "X-Vibe-Key": "0" * 64},
    ]
    async with httpx.AsyncClient(timeout=10) as thief:
        for headers in disguises:
            for read in reads:
                answer = await thief.get(api + read, headers=headers)
                assert answer.status_code == 401, (read, headers.keys())
            own = headers | {"Origin": server.url}
            planted = ((f"{api}/tasks", {"title": "Planted"}), (f"{server.url}/api/tokens", {"name": "x"}))
            for path, body in planted:
                answer = await thief.post(path, headers=own, json=body)
                assert answer.status_code == 401, path
    assert [
        each["title"] for each in (await people.eve("GET", f"/projects/{project.id}/tasks"))["tasks"]
    ] == ["Nobody else's business"]


async def test_a_browser_without_the_key_signs_in_again(server: Installation, visit: Visit) -> None:
    board = await visit("eve", None, refused=(401,))
    page = board.page
    await page.goto(f"{server.url}/settings")
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    await page.evaluate("localStorage.removeItem('vibe.key')")
    await page.reload()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("E-mail").fill("eve@example.org")
    await page.get_by_label("Password").fill("correct-horse-9")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    assert page.url.rstrip("/") == f"{server.url}/settings"
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert await page.evaluate("localStorage.getItem('vibe.key')") is None
