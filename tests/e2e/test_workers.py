"""One server of two workers: whichever of them serves a tab or runs a session, and if it dies at that."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from redis import Redis

from tests import postgres, redis_server
from tests.e2e.browser import Board
from tests.e2e.installation import PASSWORD, Installation, serving
from tests.e2e.team import EMAIL, Team, assembled
from tests.waiting import eventually

TITLE = "Count"
ROOT = "reflex___state____state"
SETTINGS = f"{ROOT}.vibe_app___web___settings___project____project_settings_state"

# Sends an event over a new socket of the page's own kind, as the tab of that token; returns what came back
# until something matched. A new socket goes to whichever worker takes it.
ASK = """
async ({name, payload, path, token, until}) => {
  const socket = new WebSocket(`ws://${location.host}/_event/?EIO=4&transport=websocket&token=${token}`);
  const said = [];
  return await new Promise((done) => {
    const end = () => { socket.close(); };
    socket.onclose = () => done(said.join("\\n"));
    socket.onmessage = ({data}) => {
      if (data.startsWith("0")) {
        const router_data = {pathname: path, asPath: path, query: {}};
        const event = {name, payload, router_data, key: localStorage.getItem("vibe.key")};
        socket.send("40/_event," + JSON.stringify({event}));
      } else if (data === "2") socket.send("3");
      else if (!data.startsWith("40/_event")) {
        said.push(data);
        if (data.includes(until)) end();
      }
    };
    setTimeout(end, 5000);
  });
}
"""
SOON = 3_000
"""Milliseconds: far less than the half minute after which a board looks by itself."""


@pytest.fixture(scope="module")
def shared(redis: redis_server.Server) -> str:
    """Where the workers keep what they share of the tabs."""
    return redis.url()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: postgres.Server,
    migrated_template: str,
    shared: str,
) -> AsyncIterator[Installation]:
    """A server of two workers on PostgreSQL and Redis."""
    with postgres_server.database(migrated_template) as database:
        settings = {
            "VIBE_DATABASE_URL": database,
            "VIBE_REDIS_URL": shared,
            "VIBE_WORKERS": "2",
            "VIBE_LEASE": "4",
            "VIBE_HEARTBEAT": "1",
        }
        async with serving(Installation(tmp_path_factory.mktemp("workers"), settings)) as server:
            await eventually(lambda: answering(server) == 3, 30)
            yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def team(server: Installation, browser: Browser) -> AsyncIterator[Team]:
    """Somebody with a project on it."""
    async with assembled(browser, server) as team:
        yield team


def answering(server: Installation) -> int:
    """Return how many workers and engines have come up since the server was started."""
    return len(re.findall(r"(?:worker|the engine) \d+ answers", server.log()))


def counting(count: int) -> tuple[str, list[str]]:
    """Return what to ask for, and what is to be printed."""
    lines = [f"rehearsal line {number} of {count}" for number in range(1, count + 1)]
    return f"rehearse: print {count} lines at 40 per second", lines


def printed(lines: list[str]) -> list[str]:
    """Return what the model has printed."""
    return [line for line in lines if re.fullmatch(r"rehearsal line \d+ of \d+", line)]


@contextmanager
def frozen(worker: psutil.Process) -> Iterator[None]:
    """A worker that does not move for as long as the block lasts."""
    worker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGCONT)


async def test_sign_in_write_execute_watch_and_stop(
    server: Installation, team: Team, browser: Browser
) -> None:
    context = await browser.new_context()
    board = Board(await context.new_page(), server.url, team.project)
    await board.page.goto(f"{server.url}/login?next=/p/{team.project}")
    await board.page.get_by_label("E-mail").fill(EMAIL)
    await board.page.get_by_label("Password").fill(PASSWORD)
    await board.page.get_by_role("button", name="Sign in").click()
    await board.ready()
    other = await team.visit()
    title = "Count and be stopped"
    await board.write(title, counting(2000)[0])
    await expect(other.card(title, "To do")).to_be_visible(timeout=SOON)
    await board.card(title).locator(".v-card-title").click()
    await board.drawer.get_by_role("button", name="Execute").click()
    await expect(other.card(title, "In progress")).to_be_visible(timeout=SOON)
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("rehearsal line", timeout=60_000)
    await board.drawer.get_by_role("button", name="Stop").click()
    await expect(board.card(title, "To do")).to_be_visible(timeout=SOON)
    await expect(other.card(title, "To do")).to_be_visible(timeout=SOON)
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session cancelled")
    assert server.log().count("The board is at") == 1


async def test_reloaded_in_mid_run_again_and_again(server: Installation, team: Team) -> None:
    asked, lines = counting(400)
    task = await team.task("Count under reloads", asked)
    board = await team.visit()
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("rehearsal line", timeout=60_000)
    for _ in range(5):
        await board.page.reload()
        await expect(rows).to_contain_text("rehearsal line")
    await expect(rows).to_contain_text("Session completed", timeout=60_000)
    assert printed(await board.output()) == lines
    (session,) = await team.sessions(task)
    assert printed(session["output"].splitlines()) == lines


async def test_a_tab_finds_its_state_on_the_other_worker(
    server: Installation, team: Team, shared: str
) -> None:
    board = await team.visit()
    first, second = server.workers()
    path, token = f"/p/{team.project}", str(uuid4())

    async def ask(event: str, until: str, token: str = token, **payload: str) -> str:
        asked = {"name": event, "payload": payload, "path": path, "token": token, "until": until}
        answer = await board.page.evaluate(ASK, asked)
        # A worker frozen before it has noted that the socket is closed would keep the tab to itself: the
        # other would take the next socket for a second tab, and give it a state of its own.
        with Redis.from_url(shared) as redis:
            await eventually(lambda: not redis.exists(f"token_manager_socket_record_{token}"))
        return answer

    with frozen(second):
        assert "needle" in await ask(f"{SETTINGS}.set_typed_name", "needle", name="needle")
        mine = await ask(f"{ROOT}.hydrate", "is_hydrated")
        assert '"typed_name_rx_state_":"needle"' in mine
    with frozen(first):
        moved = await ask(f"{ROOT}.hydrate", "is_hydrated")
        assert '"typed_name_rx_state_":"needle"' in moved
        strange = await ask(f"{ROOT}.hydrate", "is_hydrated", token=str(uuid4()))
        assert "needle" not in strange


async def test_each_worker_killed_in_mid_run(server: Installation, team: Team) -> None:
    asked, lines = counting(600)
    task = await team.task(TITLE, asked)
    board, other = await team.visit(away=True), await team.visit(away=True)
    for each in (board, other):
        await each.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("rehearsal line", timeout=60_000)
    before, up = [*server.workers(), *server.workers("engine")], answering(server)
    for worker in before:
        # One serves each tab, and the engine runs session and workspace.
        worker.kill()
        up += 1
        await eventually(lambda up=up: answering(server) == up, 30)
    assert not set(before) & {*server.workers(), *server.workers("engine")}
    for each in (board, other):
        await expect(each.terminal.locator(".xterm-rows")).to_contain_text(
            "Session completed", timeout=60_000
        )
        assert printed(await each.output()) == lines
        await expect(each.card(TITLE, "AI review")).to_be_visible()
    (session,) = await team.sessions(task)
    assert (session["status"], session["attempt"]) == ("completed", 1)
    assert printed(session["output"].splitlines()) == lines
    assert len(re.findall(r"was ended by SIGKILL: starting another", server.log())) == 3

    async def looked_after() -> bool:  # the lease of the engine that was killed has run out
        async with httpx.AsyncClient() as browser:
            return (await browser.get(f"{server.url}/api/ready")).status_code == 200

    await eventually(looked_after, 30)
