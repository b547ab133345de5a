"""The page of files on 10,000 files: how soon rows are there, from a click, a key and a scroll."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from playwright.async_api import Page

from bench.browser import chromium, window
from bench.figures import Figure, percentile, spread
from bench.server import App, app

FOLDERS, EACH, LONG = 10, 1000, 5000
FIRST_MS = 300
_ROWS = "document.querySelectorAll('.ve-row').length"
_HEIGHT = "document.querySelector('.ve-tree').scrollHeight"
_ACTIVE = "document.querySelector('.ve-row[data-active]')?.id"


async def _answered(page: Page, event: str, look: str) -> None:
    await page.evaluate(
        "([event, look]) => { probe.answers = probe.answer(event, () => eval(look)) }", [event, look]
    )


async def _took(page: Page) -> float:
    return await page.evaluate("probe.answers")


def fill(folder: Path) -> None:
    """Write 10,000 files in ten folders, and 5,000 in one."""
    for number in range(FOLDERS):
        part = folder / f"part_{number}"
        part.mkdir()
        for file in range(EACH):
            (part / f"{file:04}.py").touch()
    (folder / "long").mkdir()
    for file in range(LONG):
        (folder / "long" / f"{file:04}.txt").touch()


async def opened(page: Page, times: int) -> list[float]:
    """Open a folder of 5,000 entries from its row; return how long after the click its entries are there."""
    found = []
    for _ in range(times):
        row = page.get_by_role("treeitem").first
        await page.get_by_role("link", name="Files", exact=True).last.click()
        await page.locator(".ve-entry", has_text="part_0").wait_for()
        await _answered(page, "click", "document.querySelector('.ve-entry[href$=\"/0000.txt\"]')")
        await row.click()
        found.append(await _took(page))
        await row.locator(".ve-twist").click()
        await page.wait_for_function(f"{_HEIGHT} < {LONG}")
    return found


async def listings(served: App, project: str, times: int) -> float:
    """List the same folder by REST; return the median of how many milliseconds that takes."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        await served.ask("GET", f"{project}/files?path=long&page_size={LONG}")
        found.append((time.perf_counter() - begun) * 1000)
    return statistics.median(found)


async def keys(page: Page, times: int) -> list[float]:
    """Go down the tree; return how long after each key the next row is marked."""
    found = []
    await page.get_by_role("tree").focus()
    for _ in range(times):
        before = await page.evaluate(_ACTIVE)
        await _answered(page, "keydown", f"{_ACTIVE} !== '{before}'")
        await page.keyboard.press("ArrowDown")
        found.append(await _took(page))
    return found


async def scrolls(page: Page, times: int) -> list[float]:
    """Jump through the tree; return how long after each scroll the rows in sight are there."""
    found = []
    for number in range(1, times + 1):
        look = """(() => {
          const tree = document.querySelector('.ve-tree').getBoundingClientRect();
          return document.elementFromPoint(tree.left + 60, tree.top + tree.height / 2)?.closest('.ve-row');
        })()"""
        await _answered(page, "scroll", look)
        await page.evaluate(
            "([tree, share]) => { tree.scrollTop = tree.scrollHeight * share }",
            [await page.query_selector(".ve-tree"), (number * 0.37) % 1],
        )
        found.append(await _took(page))
    return found


async def _ready(served: App) -> str:
    project = await served.project()
    await served.ask("GET", f"{project}/files")
    fill(served.data / "workspaces" / project.rpartition("/")[2] / "base")
    return project


async def run(quick: bool) -> list[Figure]:
    """Measure in one window, with the real file browser behind it."""
    times = 4 if quick else 15
    async with app() as served, chromium() as browser:
        page = await (await window(browser, served)).new_page()
        project = await _ready(served)
        await page.goto(f"{served.page(project)}/files")
        await page.locator(".ve-entry", has_text="part_0").wait_for()
        listed = await listings(served, project, times)
        first = await opened(page, times)
        for number in range(FOLDERS):
            height = await page.evaluate(_HEIGHT)
            await page.get_by_role("treeitem").filter(has_text=f"part_{number}").locator(".ve-twist").click()
            await page.wait_for_function(f"{_HEIGHT} > {height + EACH}")
            await page.get_by_role("tree").focus()
            await page.keyboard.press("End")
        await page.keyboard.press("Home")
        pressed, jumped = await keys(page, 2 * times), await scrolls(page, 2 * times)
        shown = await page.evaluate(f"{_ROWS} + document.querySelectorAll('.ve-entry').length")
    more = percentile(first) - listed
    note = f"from the click {spread(first)}; listed by REST p50 {listed:.1f} ms"
    return [
        Figure("First entries of a folder of 5,000, after its listing, p95", more, "ms", FIRST_MS, note),
        Figure("A key in a tree of 10,000 files, p95", percentile(pressed), "ms", 100, spread(pressed)),
        Figure("Rows after a jump in that tree, p95", percentile(jumped), "ms", FIRST_MS, spread(jumped)),
        Figure("Rows in the page", shown, "", 200),
    ]
