"""Chromium as people use it: a tab that notes what must never happen, and the words of the pages.

Every tab is watched from its first request on: what leaves the origin, what fails,
what the console complains about, and whether a probe that was planted in somebody's
input has run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PROBE = "window.probed = (window.probed || 0) + 1"
"""What a planted script would do; a tab on which it has run is a fault."""
APART_MS = 450
"""Milliseconds after a press on one card after which a button of another one reacts again."""
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
# What the browser itself says of a server that is away.
_AWAY = re.compile(
    "WebSocket connection to|ERR_CONNECTION|Failed to load resource|Cannot connect to server"
    "|Failed to fetch dynamically imported module"
)


def line_or_later(first: int, count: int) -> re.Pattern[str]:
    """One of the rehearsal model's lines from `first` on: who looks now and then misses some of them."""
    numbers = "|".join(str(number) for number in range(first, count + 1))
    return re.compile(f"rehearsal line ({numbers}) of {count}")


@dataclass
class Watch:
    """What must not happen in the tabs of a browser context.

    Attributes:
        origin: The only one that may be asked.
        away: Whether the server is meant to be unreachable at times.
        refused: Statuses of answers that the test provokes.
    """

    origin: str
    away: bool = False
    refused: Iterable[int] = ()
    faults: list[str] = field(default_factory=list)
    _context: BrowserContext = field(init=False)

    def follow(self, context: BrowserContext) -> None:
        """Begin to note."""
        self._context = context
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"error on the page: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    async def end(self) -> list[str]:
        """Close the tabs and return what was not to happen in them.

        What they were asked comes after all that they have told before. What closing itself breaks
        off, a socket that was just opening, is the test's own doing.
        """
        for page in self._context.pages:
            if await page.evaluate("window.probed || 0"):
                self.faults.append(f"a planted script ran on {page.url}")
        found = list(self.faults)
        await self._context.close()
        return found

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        refused = any(f"status of {status}" in message.text for status in self.refused)
        if not refused and not (self.away and _AWAY.search(message.text)):
            self.faults.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("data", "blob") or f"{parts.scheme}://{parts.netloc}" == self.origin:
            return
        self.faults.append(f"a request left the origin: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.refused:
            self.faults.append(f"{response.request.method} {response.url} answered {response.status}")


class Board:
    """A tab with a project's board, in the words of the person before it."""

    def __init__(self, page: Page, url: str, project: str = "") -> None:
        self.page = page
        self.url = url
        self.project = project

    async def open(self, *below: str) -> None:
        """Go to the project's board, or to an address below it, and wait for its cards."""
        await self.page.goto("/".join([self.url, "p", self.project, *below]))
        await self.ready()

    async def ready(self) -> None:
        """Wait until the columns are there."""
        await expect(self.column("To do")).to_be_visible()

    def column(self, name: str) -> Locator:
        """A column."""
        return self.page.get_by_role("region", name=re.compile(f"^{name}, "))

    def card(self, title: str, column: str | None = None) -> Locator:
        """A card, in a column or anywhere."""
        inside = self.column(column) if column else self.page
        return inside.locator("[data-card-id]").filter(has=self.page.get_by_text(title, exact=True))

    async def titles(self, column: str) -> list[str]:
        """The titles in a column, from above."""
        return await self.column(column).locator(".v-card-title").all_inner_texts()

    async def settings(self, part: str = "General") -> Locator:
        """Go to a part of the project's settings by its links, and return that part."""
        tabs = self.page.get_by_role("navigation", name="Parts of the project")
        await tabs.get_by_role("link", name="Settings").click()
        parts = self.page.get_by_role("navigation", name="Parts of the settings")
        await expect(parts.get_by_role("link", name="General")).to_have_attribute("aria-current", "page")
        if part != "General":
            await parts.get_by_role("link", name=part, exact=True).click()
        await expect(self.page.get_by_role("heading", name=part, level=2)).to_be_visible()
        return self.page.locator(".v-settings-part")

    @property
    def drawer(self) -> Locator:
        """The drawer of a card."""
        return self.page.locator(".v-drawer")

    @property
    def dialog(self) -> Locator:
        """The dialog over the page."""
        kinds = ("[role=dialog][data-state=open]", "[role=alertdialog][data-state=open]", ":popover-open")
        return self.page.locator(", ".join(kinds))

    @property
    def toasts(self) -> Locator:
        """What is told at the edge of the page."""
        return self.page.locator("[data-sonner-toast]")

    @property
    def terminal(self) -> Locator:
        """The output panel."""
        return self.page.locator(".vt")

    async def write(self, title: str, description: str = "", labels: str = "") -> Locator:
        """Write a card as a person does, and return it."""
        await self.page.get_by_role("button", name="New task").click()
        await self.dialog.get_by_label("Title").fill(title)
        if description:
            await self.dialog.get_by_label("Description").fill(description)
        if labels:
            await self.dialog.get_by_label("Labels").fill(labels)
        await self.dialog.get_by_role("button", name="Add task").click()
        await expect(self.dialog).to_have_count(0)
        card = self.card(title, "To do")
        await expect(card).to_be_visible()
        return card

    async def execute(self, title: str) -> None:
        """Press Execute on a card, as soon after a press on another one as a page takes it for meant."""
        await self.page.wait_for_timeout(APART_MS)
        await self.card(title).get_by_role("button", name="Execute").click()

    async def drag(self, card: Locator, to: Locator, height: float = 0.5) -> None:
        """Drag a card with the mouse into something, in steps as a hand does.

        Args:
            card: What to drag.
            to: Where to drop it.
            height: How far down in it the middle of the card comes, from 0 to 1.
        """
        start, end = await card.bounding_box(), await to.bounding_box()
        assert start is not None
        assert end is not None
        x, y = start["x"] + start["width"] / 2, start["y"] + 12
        await self.page.mouse.move(x, y)
        await self.page.mouse.down()
        await self.page.mouse.move(x + 12, y + 12, steps=4)
        middle = end["y"] + end["height"] * height
        grip = start["height"] / 2 - 12
        await self.page.mouse.move(end["x"] + end["width"] / 2, middle - grip, steps=12)
        await self.page.mouse.up()

    async def output(self) -> list[str]:
        """Download what the terminal holds; return its lines without their times."""
        async with self.page.expect_download() as coming:
            await self.terminal.get_by_role("button", name="Download as text").click()
        path = await (await coming.value).path()
        return [line[9:] for line in path.read_text().splitlines()]
