"""A board of 5,000 cards: how soon it is there, how soon a move shows, here and elsewhere, what it holds."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from itertools import cycle
from uuid import uuid4

from playwright.async_api import Browser, Page

from bench.browser import chromium, renderers, window
from bench.figures import Figure, percentile, spread
from bench.server import App, NotReady, app
from tests.scripted import ScriptedSidecar
from vibe_app.wire import now

CARDS = 5000
FIRST_MS, MOVE_MS, ELSEWHERE_MS, PAGE_MB = 1500, 60, 1000, 250
COLUMNS = ("TODO", "AI_REVIEW", "HUMAN_REVIEW", "DONE")


async def fill(served: App, project: str, count: int) -> None:
    """Make cards, as many in each column that a person can fill.

    They are written into the database at once, as by REST each would cost a request or two.
    """
    await served.task(project, "The first one")
    project_id = project.rsplit("/", 1)[-1].replace("-", "")
    made = now().strftime("%Y-%m-%d %H:%M:%S.%f")
    rows = [
        (
            uuid4().hex,
            project_id,
            f"Card {number}: read the settings once and hand them down",
            "What is to be done, in a few words.\n\n- first this\n- then that",
            ("low", "normal", "high", "urgent")[number % 4],
            json.dumps([f"area-{number % 7}", "backend"]),
            COLUMNS[number % 4],
            float(1024 * number),
            number + 1,
            made,
            made,
        )
        for number in range(1, count)
    ]
    named = "id, project_id, title, description, priority, labels, status, position, number"
    columns = f"{named}, created_at, updated_at"
    with closing(sqlite3.connect(served.data / "vibe.db")) as db, db:
        db.executemany(f"INSERT INTO tasks ({columns}, version) VALUES ({', '.join('?' * 11)}, 1)", rows)
        db.execute("UPDATE projects SET next_number = ? WHERE id = ?", (count + 1, project_id))


Times = tuple[list[float], list[float]]


async def arrivals(browser: Browser, served: App, project: str, times: int) -> Times:
    """Open the board; return how many milliseconds passed to the first card, without and with a cache."""
    cold, warm = [], []
    for _ in range(times):
        context = await window(browser, served)
        page = await context.new_page()
        for found in (cold, warm):
            await page.goto(served.page(project))
            await page.wait_for_function("probe.firstCard")
            found.append(await page.evaluate("probe.firstCard"))
            await page.goto("about:blank")
        await context.close()
    return cold, warm


async def drag(page: Page, card: str, target: str, look: str) -> tuple[float, float]:
    """Drag a card to the top of a column.

    Returns:
        The milliseconds from letting go of it until `look` is true there, and when that was, since 1970.
    """
    start = await page.locator(f'[data-card-id="{card}"]').bounding_box()
    end = await page.locator(f'[data-column="{target}"]').bounding_box()
    if start is None or end is None:
        raise NotReady("The board does not show its columns.")
    await page.mouse.move(start["x"] + 60, start["y"] + 12)
    await page.mouse.down()
    await page.mouse.move(start["x"] + 80, start["y"] + 20, steps=3)
    await page.mouse.move(end["x"] + 60, end["y"] + 30, steps=4)
    await page.evaluate("look => { probe.answers = probe.answer('mouseup', () => eval(look)) }", look)
    let_go = time.time() * 1000
    await page.mouse.up()
    return await page.evaluate("probe.answers"), let_go


async def moves(here: Page, there: Page, count: int) -> Times:
    """Move cards in one window; return how many milliseconds pass until it and another one show it."""
    own, other = [], []
    for _, target in zip(range(count), cycle(["DONE", "HUMAN_REVIEW"]), strict=False):
        card = await here.locator('[data-column="TODO"] > [data-card-id]').first.get_attribute("data-card-id")
        look = f"document.querySelector('[data-column={target}] > [data-card-id=\"{card}\"]')"
        await there.evaluate(
            "look => { probe.seen = probe.until(() => eval(look)).then(() => Date.now()) }", look
        )
        async with asyncio.timeout(30):  # a card that was not taken up arrives nowhere
            taken, let_go = await drag(here, card or "", target, look)
            own.append(taken)
            other.append(await there.evaluate("probe.seen") - let_go)
        await asyncio.sleep(0.5)
    return own, other


async def private(browser: Browser) -> float:
    """Return how many MiB of its own the largest renderer has."""
    return max(process.memory_full_info().uss for process in await renderers(browser)) / 2**20


async def run(quick: bool) -> list[Figure]:
    """Measure on one board."""
    async with (
        ScriptedSidecar(trusting=True) as sidecar,
        app(sidecar.endpoint) as served,
        chromium() as browser,
    ):
        project = await served.project()
        await fill(served, project, CARDS)
        cold, warm = await arrivals(browser, served, project, 2 if quick else 7)
        pages = [await (await window(browser, served)).new_page() for _ in range(2)]
        for page in pages:
            await page.goto(served.page(project))
            await page.wait_for_function("probe.firstCard")
        await asyncio.sleep(2)  # the rest of the cards is there as well
        own, other = await moves(pages[0], pages[1], 6 if quick else 30)
        before = await private(browser)
        for page in pages:
            await (await page.context.new_cdp_session(page)).send("HeapProfiler.collectGarbage")
        held = await private(browser)
    shown = [
        ("First cards after navigation, empty cache, p95", cold, FIRST_MS),
        ("First cards after navigation, warm cache, p95", warm, FIRST_MS),
        ("A dropped card is shown in its place, p95", own, MOVE_MS),
        ("  and in another window, p95", other, ELSEWHERE_MS),
    ]
    note = f"private to its renderer; with garbage {before:.1f} MB"
    page = Figure("What the page holds in memory", held, "MB", PAGE_MB, note)
    return [
        *(Figure(name, percentile(found), "ms", limit, spread(found)) for name, found, limit in shown),
        page,
    ]
