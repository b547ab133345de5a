"""How a page looks, coarsely: whether what stands where, and in which colours, is as it was.

Fonts differ from machine to machine, and times from run to run. So a picture is made
small first, a cell for each square of pixels, in which a line of text is a grey.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image, ImageChops
from playwright.async_api import Browser, Page, StorageState, ViewportSize

KEPT = Path(__file__).parent / "e2e" / "looks"
SQUARE = 12
"""Pixels of a cell's side."""
SAME = 40
"""How far apart, of 255, a cell's colour may be in each channel."""
MOST = 0.03
"""The share of cells that may be further apart."""

Theme = Literal["light", "dark"]
VIEWS: tuple[tuple[Theme, ViewportSize], ...] = (
    ("light", {"width": 1440, "height": 900}),
    ("dark", {"width": 1440, "height": 900}),
    ("light", {"width": 390, "height": 844}),
    ("dark", {"width": 390, "height": 844}),
)


def small(picture: bytes) -> Image.Image:
    """Return a picture with a pixel for each of its cells."""
    with Image.open(BytesIO(picture)) as whole:
        size = (whole.width // SQUARE, whole.height // SQUARE)
        return whole.convert("RGB").resize(size, Image.Resampling.BOX)


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return the share of cells that differ; 1 where the sizes do."""
    if one.size != other.size:
        return 1.0
    red, green, blue = ImageChops.difference(one, other).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return sum(most.histogram()[SAME + 1 :]) / (most.width * most.height)


async def taken(
    browser: Browser, url: str, state: StorageState, project: str, cards: dict[str, str]
) -> dict[str, bytes]:
    """Take the pages that are compared; return the pictures by name."""
    base = f"/p/{project}"
    pages = {"home": "/", "board": base, "drawer": f"{base}/t/{cards['Look for slow queries']}/overview"}
    found: dict[str, bytes] = {}
    for theme, size in VIEWS:
        page = await opened(browser, theme, size, state)
        for name, path in pages.items():
            await page.goto(url + path)
            await settled(page)
            found[f"{name}-{size['width']}-{theme}"] = await page.screenshot()
        await page.context.close()
    return found


async def opened(browser: Browser, theme: Theme, size: ViewportSize, state: StorageState | None) -> Page:
    """Open a tab in a theme and a size, as a phone where that is small."""
    context = await browser.new_context(
        storage_state=state,
        viewport=size,
        color_scheme=theme,
        has_touch=size["width"] < 768,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="Europe/Zurich",
    )
    return await context.new_page()


# Resolves once nothing has changed for a while, or does so all the time, as where a run is watched.
QUIET = """new Promise((done) => {
  let timer = setTimeout(done, 600);
  const seen = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, 600); });
  seen.observe(document, { subtree: true, childList: true, attributes: true });
  setTimeout(done, 4000);
})"""
MOVING = "document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity)"


async def settled(page: Page) -> None:
    """Return once the page shows what it has: no skeletons, its fonts there, its movements done."""
    await page.locator("h1").first.wait_for(state="attached")
    if "/t/" in page.url:
        await page.locator(".v-drawer h2").first.wait_for(state="attached")
    await page.wait_for_load_state("networkidle")
    await page.wait_for_function("!document.querySelector('.v-skeleton')", timeout=10_000)
    await page.evaluate("document.fonts.ready.then(() => null)")
    await page.evaluate(QUIET)
    await page.evaluate(f"Promise.allSettled({MOVING}.map((each) => each.finished)).then(() => null)")
