"""A change of 300 files and 5,000 lines: how soon its first line is there, and how soon a comment."""

from __future__ import annotations

from uuid import UUID

from playwright.async_api import Browser, Page

from bench.browser import chromium, window
from bench.figures import Figure, percentile, spread
from bench.server import App, app
from tests.scripted import ScriptedSidecar
from tests.seeding import Texts, seed_change
from vibe_app.db import Database

FILES, LINES = 300, 5000
FIRST_MS, COMMENT_MS = 1000, 100
TITLE = "A large change"
_LINE = "document.querySelector('diffs-container')?.shadowRoot?.querySelector('[data-line]')"
# Frame by frame: what changes inside of a component's own tree, no observer of the page is told.
_WATCH = f"""() => {{
  probe.answers = new Promise((resolve) => {{
    document.addEventListener("click", ({{ timeStamp }}) => {{
      const look = () => ({_LINE} ? resolve(performance.now() - timeStamp) : requestAnimationFrame(look));
      look();
    }}, {{ capture: true, once: true }});
  }});
}}"""


def texts() -> Texts:
    """Return files of which so many lines are changed in all, in places with others between them."""
    each = LINES // FILES // 2
    made: dict[str, tuple[str | None, str | None]] = {}
    for number in range(FILES):
        before = [f"def part_{number}_{line}(value):\n    return value + {line}\n\n" for line in range(60)]
        after = [
            text.replace("+", "*") if line % (60 // each) == 0 and line // (60 // each) < each else text
            for line, text in enumerate(before)
        ]
        made[f"package/module_{number:03}.py"] = ("".join(before), "".join(after))
    return made


async def first_lines(browser: Browser, served: App, project: str, times: int) -> list[float]:
    """Click on the card; return how many milliseconds passed each time until a line of it is there."""
    found = []
    for _ in range(times):
        context = await window(browser, served)
        page = await context.new_page()
        await page.goto(served.page(project))
        card = page.get_by_text(TITLE, exact=True)
        await card.wait_for()
        await page.evaluate(_WATCH)
        await card.click()
        found.append(await page.evaluate("probe.answers"))
        await context.close()
    return found


async def comments(page: Page, times: int) -> list[float]:
    """Write comments; return how many milliseconds pass from the key that sends one until it stands there."""
    found = []
    numbers = page.locator("diffs-container [data-column-number]")
    for number in range(times):
        await numbers.nth(2 * number + 1).click()
        area = page.get_by_label("Comment on these lines")
        await area.fill(f"What is {number} for?")
        look = f"document.querySelectorAll('.v-comment').length > {number}"
        await page.evaluate("look => { probe.answers = probe.answer('keydown', () => eval(look)) }", look)
        await page.keyboard.press("Control+Enter")
        found.append(await page.evaluate("probe.answers"))
    return found


async def run(quick: bool) -> list[Figure]:
    """Measure on one change."""
    async with (
        ScriptedSidecar(trusting=True) as sidecar,
        app(sidecar.endpoint) as served,
        chromium() as browser,
    ):
        project = await served.project()
        task = await served.task(project, TITLE)
        database = Database(f"sqlite+aiosqlite:///{served.data / 'vibe.db'}")
        await seed_change(database, UUID(task.rpartition("/")[2]), texts())
        await database.close()
        first = await first_lines(browser, served, project, 3 if quick else 10)
        page = await (await window(browser, served)).new_page()
        await page.goto(f"{served.page(task)}/changes")
        await page.wait_for_function(_LINE)
        written = await comments(page, 4)
    return [
        Figure(
            "First line of 300 files, from the click, p95", percentile(first), "ms", FIRST_MS, spread(first)
        ),
        Figure("A comment is shown, p95", percentile(written), "ms", COMMENT_MS, spread(written)),
    ]
