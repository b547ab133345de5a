"""Chromium, with the page's own clock on what it shows."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from bench.server import App, NotReady
from tests.chromium import find

PROBE = (Path(__file__).parent / "probe.js").read_text()
ARGUMENTS = [
    # Several windows are looked at at once here, as by several people.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-dev-shm-usage",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a Chromium without a window."""
    path = find()
    if path is None:
        raise NotReady("There is no Chromium: run `make bench`, or name one in CHROMIUM_PATH.")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *root])
        try:
            yield browser
        finally:
            await browser.close()


async def window(browser: Browser, app: App, **options: Any) -> BrowserContext:
    """Open a window of its own that is signed in, with the probe on each of its pages."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    await context.add_cookies(app.cookies)  # pyright: ignore[reportArgumentType]
    await context.add_init_script(f"localStorage.setItem('vibe.key', {json.dumps(app.key)})")
    await context.add_init_script(PROBE)
    return context


class Wire:
    """Counts what a page receives, by the kind of its connection.

    Attributes:
        frames: WebSocket frames received.
        socket: Bytes of these, with their headers, before any compression.
        stream: Bytes of EventSource bodies.
    """

    def __init__(self) -> None:
        self.frames = self.socket = self.stream = 0
        self._streams: set[str] = set()

    @classmethod
    async def of(cls, page: Page) -> Wire:
        """Count from now on."""
        wire = cls()
        devtools = await page.context.new_cdp_session(page)
        devtools.on("Network.webSocketFrameReceived", wire._frame)
        devtools.on("Network.responseReceived", wire._response)
        devtools.on("Network.dataReceived", wire._data)
        await devtools.send("Network.enable")
        return wire

    def _frame(self, event: dict[str, Any]) -> None:
        size = len(event["response"]["payloadData"].encode())
        self.frames += 1
        self.socket += size + (2 if size < 126 else 4 if size < 65536 else 10)

    def _response(self, event: dict[str, Any]) -> None:
        if event["type"] == "EventSource":
            self._streams.add(event["requestId"])

    def _data(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._streams:
            self.stream += event["dataLength"]


async def renderers(browser: Browser) -> list[psutil.Process]:
    """Return the browser's processes that render pages."""
    devtools = await browser.new_browser_cdp_session()
    found = (await devtools.send("SystemInfo.getProcessInfo"))["processInfo"]
    await devtools.detach()
    return [psutil.Process(each["id"]) for each in found if each["type"] == "renderer"]
