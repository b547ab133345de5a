"""The output panel against a bare page with an EventSource, and under all that it can take.

The sidecar is played here, so that the rate of its lines is exact and the moment
of each is known. Both pages look at the same session at the same time.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from playwright.async_api import Browser, BrowserContext, Page

from bench.browser import Wire, chromium, renderers, window
from bench.figures import Figure, percentile, spread
from bench.server import App, app, status_is
from bench.sidecars import SILENT, speak
from tests.scripted import ScriptedSession, ScriptedSidecar
from tests.waiting import eventually

LATENCY, WIRE = 1.25, 1.5
CLICK_MS, RENDERER_MB = 200, 300

BARE = """<!doctype html><title>Bare</title><pre id="out"></pre><script>
  const out = document.getElementById("out");
  probe.watchLines(out);
  const key = encodeURIComponent(localStorage.getItem("vibe.key"));
  const source = new EventSource(`${decodeURIComponent(location.hash.slice(1))}&key=${key}`);
  source.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "done") return source.close();
    const line = document.createElement("div");
    line.textContent = event.text;
    out.append(line);
  };
</script>"""


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[App, ScriptedSidecar, Browser]]:
    """Run an app on a silent sidecar, and a browser."""
    async with (
        ScriptedSidecar(SILENT, trusting=True) as sidecar,
        app(sidecar.endpoint) as served,
        chromium() as browser,
    ):
        yield served, sidecar, browser


async def begin(served: App, sidecar: ScriptedSidecar) -> tuple[str, ScriptedSession]:
    """Execute a new card; return its path and its session in the sidecar, which says nothing yet."""
    task = await served.task(await served.project())
    session_id = (await served.ask("POST", f"{task}/execute"))["session_id"]
    return task, sidecar.session(session_id)


async def open_panel(context: BrowserContext, served: App, task: str) -> Page:
    """Open a card's drawer; return once its terminal is there and follows."""
    page = await context.new_page()
    await page.goto(served.page(task))
    await page.wait_for_selector(".vt .xterm-rows")
    await page.evaluate("probe.watchLines(document.querySelector('.vt .xterm-rows'))")
    return page


async def open_bare(context: BrowserContext, served: App, task: str, session_id: str) -> Page:
    """Open a page that shows a session's output and is nothing else."""
    page = await context.new_page()
    await page.route("**/bare", lambda route: route.fulfill(body=BARE, content_type="text/html"))
    await page.goto(f"{served.url}/bare#/api{task}/output?session_id={session_id}")
    return page


async def at_a_pace(count: int, rate: float) -> list[Figure]:
    """Compare the panel with the bare page."""
    async with stage() as (served, sidecar, browser):
        task, session = await begin(served, sidecar)
        panel = await open_panel(await window(browser, served), served, task)
        bare = await open_bare(await window(browser, served), served, task, session.start.session_id)
        panel_wire, bare_wire = await Wire.of(panel), await Wire.of(bare)
        await bare.reload()  # a stream that began before it was looked at is not counted
        await eventually(lambda: sidecar.readers[session.start.session_id] == 1)
        await asyncio.sleep(1)  # both pages have come to rest
        before = panel_wire.socket
        said = await speak(session, count, rate)
        await status_is(served, task, "completed")
        delays = []
        for page in (panel, bare):
            await page.wait_for_function(f"probe.last === {count}", timeout=60_000)
            shown = await page.evaluate("probe.lines")
            delays.append([shown[number] - said[number] for number in range(1, count + 1)])
        of_panel, of_bare = map(percentile, delays)
        lost = count - await lines_in_order(panel, count)
        per_line = [(panel_wire.socket - before) / count, bare_wire.stream / count]
    return [
        Figure(f"{count:,} lines at {rate:.0f} a second: lines not shown", lost, limit=0),
        Figure(
            "  p95 from event to text, panel to bare EventSource page",
            of_panel / of_bare,
            limit=LATENCY,
            note=f"panel {spread(delays[0])}; bare {spread(delays[1])}",
        ),
        Figure(
            "  bytes on the wire a line, panel to bare EventSource page",
            per_line[0] / per_line[1],
            limit=WIRE,
            note=f"{per_line[0]:.0f} and {per_line[1]:.0f} bytes; {panel_wire.frames} frames",
        ),
    ]


async def lines_in_order(page: Page, count: int) -> int:
    """Return how many of the numbered lines the terminal holds, each counted in its place."""
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Download as text").click()
    text = await asyncio.to_thread((await (await waiting.value).path()).read_text)
    numbers = [int(number) for number in re.findall(r"\bL(\d+) ", text)]
    written = int(await page.get_attribute(".vt-host", "data-lines") or 0)
    in_place = sum(found == wanted for found, wanted in zip(numbers, range(1, count + 1), strict=False))
    return in_place if len(numbers) == count and written >= count else min(in_place, written, count - 1)


async def clicks(page: Page, over: asyncio.Event) -> list[float]:
    """Open and close the list of keys until `over`; return how long each answer took in milliseconds."""
    dialog = "document.querySelector('[role=dialog][data-state=open]')"
    opener, closer = page.get_by_role("button", name="Keyboard"), page.get_by_role("button", name="Close")
    taken: list[float] = []
    while not over.is_set():
        for button, look in ((opener, dialog), (closer.last, f"!{dialog}")):
            await page.evaluate(f"probe.answers = probe.answer('click', () => {look}); 0")
            await button.click()
            taken.append(await page.evaluate("probe.answers"))
    return taken


async def weigh(browser: Browser, over: asyncio.Event) -> float:
    """Return the most bytes (RSS) that one of the browser's pages takes until `over`."""
    most = 0
    while not over.is_set():
        most = max(most, *(process.memory_info().rss for process in await renderers(browser)))
        await asyncio.sleep(0.1)
    return most


@dataclass
class Flood:
    """What happened while lines came as fast as they could."""

    lost: int
    seconds: float
    bytes: float
    clicks: list[float]


async def flooded(served: App, sidecar: ScriptedSidecar, browser: Browser, count: int) -> Flood:
    """Show many lines in a fresh window as fast as they come, with somebody clicking meanwhile."""
    task, session = await begin(served, sidecar)
    context = await window(browser, served)
    page = await open_panel(context, served, task)
    over = asyncio.Event()
    began = time.monotonic()
    clicking, weighing = asyncio.create_task(clicks(page, over)), asyncio.create_task(weigh(browser, over))
    await speak(session, count, 0)
    await page.wait_for_function(f"probe.last === {count}", timeout=120_000)
    seconds = time.monotonic() - began
    over.set()
    taken, most = await asyncio.gather(clicking, weighing)
    await status_is(served, task, "completed")
    last = f"Number(document.querySelector('.vt-host').dataset.lastSeq) === {len(session.frames)}"
    await page.wait_for_function(last, timeout=10_000)
    lost = count - await lines_in_order(page, count)
    await context.close()
    return Flood(lost, seconds, most, taken)


async def as_fast_as_they_come(count: int, rounds: int) -> list[Figure]:
    """Flood the panel some times."""
    async with stage() as (served, sidecar, browser):
        found = [await flooded(served, sidecar, browser, count) for _ in range(rounds)]
    answers = [taken for each in found for taken in each.clicks]
    return [
        Figure(
            f"{count:,} lines as fast as they come: lines lost",
            max(each.lost for each in found),
            limit=0,
            note=f"{rounds} times; shown in {percentile((each.seconds for each in found), 50):.1f} s",
        ),
        Figure(
            "  p95 from a click elsewhere to its answer meanwhile",
            percentile(answers),
            "ms",
            CLICK_MS,
            spread(answers),
        ),
        Figure(
            "  memory (RSS) of the page's process at its highest",
            max(each.bytes for each in found) / 2**20,
            "MB",
            RENDERER_MB,
        ),
    ]


async def run(quick: bool) -> list[Figure]:
    """Measure both."""
    return [
        *await at_a_pace(600 if quick else 3000, 200),
        *await as_fast_as_they_come(5000 if quick else 20_000, 1 if quick else 4),
    ]
