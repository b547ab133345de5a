"""A board with a thousand cards: how soon they are there, how soon a move shows, here and elsewhere."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from typing import Any

from playwright.async_api import Browser, Page

from bench.browser import chromium, window
from bench.figures import Figure, percentile, spread
from bench.server import App, NotReady, app
from tests.scripted import ScriptedSidecar

CARDS = 1000
FIRST_MS, MOVE_MS, ELSEWHERE_MS = 1500, 60, 1000
COLUMNS = ("TODO", "AI_REVIEW", "HUMAN_REVIEW", "DONE")


async def fill(served: App, project: str, count: int) -> None:
    """Make cards, as many in each column that a person can fill."""
    turns = asyncio.Semaphore(4)

    async def make(number: int, status: str) -> None:
        async with turns:
            body: dict[str, Any] = {
                "title": f"Card {number}: read the settings once and hand them down",
                "description": "What is to be done, in a few words.\n\n- first this\n- then that",
                "priority": ("low", "normal", "high", "urgent")[number % 4],
                "labels": [f"area-{number % 7}", "backend"],
            }
            card = await served.ask("POST", f"{project}/tasks", **body)
            if status != COLUMNS[0]:
                await served.ask("POST", f"{project}/tasks/{card['id']}/move", status=status)

    await asyncio.gather(*(make(n, status) for n, status in zip(range(count), cycle(COLUMNS), strict=False)))


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
    shown = [
        ("First cards after navigation, empty cache, p95", cold, FIRST_MS),
        ("First cards after navigation, warm cache, p95", warm, FIRST_MS),
        ("A dropped card is shown in its place, p95", own, MOVE_MS),
        ("  and in another window, p95", other, ELSEWHERE_MS),
    ]
    return [Figure(name, percentile(found), "ms", limit, spread(found)) for name, found, limit in shown]
