"""What axe-core finds on a page: nothing, faults that it calls minor or moderate included."""

from __future__ import annotations

import re
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Locator, Page, ViewportSize, expect

from tests.e2e.browser import DESKTOP, PHONE

RUN = """
async (within) => {
  const found = await axe.run(within || document, {resultTypes: ["violations"]});
  return found.violations.map(({id, impact, nodes}) => {
    const where = nodes.slice(0, 3).map(({html}) => html.slice(0, 200)).join(" | ");
    return {id, impact, where};
  });
}
"""
# What fades in or out is paler than it will be.
SETTLED = """
() => Promise.allSettled(
  document.getAnimations().filter((each) => each instanceof CSSTransition).map((each) => each.finished)
).then(() => null)
"""
SIZES = (DESKTOP, PHONE)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Look:
    """Looks at a page in each theme, wide and narrow, and keeps what was found with the place."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: list[str] = []

    async def at(
        self,
        where: str,
        over: Locator | None = None,
        within: str = "",
        sizes: tuple[ViewportSize, ...] = SIZES,
    ) -> None:
        """Look at the page as it is now.

        Args:
            where: What it is called where something is found.
            over: Over what the mouse is meanwhile, so that it stays; out of the way without it: it colours
                what it is over.
            within: A selector of what is looked at; empty for the page.
            sizes: Of the window.
        """
        await self.page.evaluate(AXE_SCRIPT)
        for size in sizes:
            await self.page.set_viewport_size(size)
            for theme in THEMES:
                await self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                await expect(self.page.locator("html")).to_have_class(re.compile(theme))
                await (over.hover() if over is not None else self.page.mouse.move(0, 0))
                await self.page.evaluate(SETTLED)
                place = f"{where}, {theme}, {size['width']} px"
                for fault in await self.page.evaluate(RUN, within):
                    words = f"{fault['id']} ({fault['impact']}): {fault['where']}"
                    self.found.append(f"{place}: {words}")
        await self.page.set_viewport_size(DESKTOP)

    def nothing_found(self) -> None:
        """Check that there was nothing, or say all of it."""
        assert not self.found, "\n".join(self.found)
