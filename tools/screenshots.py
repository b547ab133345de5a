"""Pictures of every page, in both themes and three widths, of a server and a board of its own.

They come into `build/screenshots`; with `--readme`, those that README shows into
`docs/images`. With `--looks`, what `tests/e2e/test_looks.py` compares is renewed instead.
The board is `tests/sample.py`, run by the rehearsal model.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests import chromium, looks, sample
from tests.e2e.browser import ARGUMENTS
from tests.e2e.installation import PASSWORD, VIBE, Api, Installation, serving
from tests.e2e.team import EMAIL, signed_in
from tests.looks import opened, settled

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
SIZES = tuple(ViewportSize(width=w, height=h) for w, h in ((1440, 900), (1024, 768), (390, 844)))
THEMES = ("light", "dark")
VIEWS = tuple((theme, size) for theme in THEMES for size in SIZES)
README = {
    "board-1440-light": "board",
    "board-1440-dark": "board-dark",
    "drawer-changes-1440-light": "changes",
    "drawer-live-390-dark": "phone",
}
"""Which pictures README shows, and under which names."""


Work = Callable[[Browser, Installation, str], Awaitable[str]]
Pages = dict[str, tuple[str, str]]
"""What is shown, by name: an address, and what to do there ("" for nothing)."""


def pages_of(base: str, cards: dict[str, str]) -> Pages:
    """Return the pages of somebody who is signed in.

    Args:
        base: The address of the board.
        cards: Ids by title.
    """
    changed, ran = f"{base}/t/{cards['Start weeks on Monday']}", f"{base}/t/{cards[sample.LIVE.title]}"
    failed = f"{base}/t/{cards['Fix the time zone of recurring bookings']}"
    return {
        "home": ("/", ""),
        "board": (base, ""),
        "board-filtered": (f"{base}?q=week", ""),
        "board-no-match": (f"{base}?q=nothing-has-this", ""),
        "new-task": (base, "key:n"),
        "keys": (base, "key:?"),
        "command-bar": (base, "key:Control+k"),
        "drawer-overview": (f"{changed}/overview", ""),
        "drawer-output": (f"{changed}/output", ""),
        "drawer-live": (f"{ran}/output", ""),
        "drawer-failed": (failed, ""),
        "drawer-changes": (f"{changed}/changes", ""),
        "drawer-history": (f"{changed}/history", ""),
        "project-settings": (f"{base}/settings", ""),
        "members": (f"{base}/settings/members", ""),
        "repository": (f"{base}/settings/repository", ""),
        "changes": (f"{base}/settings/changes", ""),
        "limits": (f"{base}/settings/limits", ""),
        "network": (f"{base}/settings/network", ""),
        "delete": (f"{base}/settings/delete", ""),
        "files": (f"{base}/files", ""),
        "file": (f"{base}/files/README.md", ""),
        "file-search": (f"{base}/files?q=a", ""),
        "settings": ("/settings", ""),
        "logins": ("/settings/logins", ""),
        "tokens": ("/settings/tokens", ""),
        "people": ("/settings/people", ""),
        "not-found": ("/nothing/here", ""),
    }


async def shoot(page: Page, url: str, act: str, to: Path) -> None:
    """Take one picture."""
    await page.goto(url)
    await settled(page)
    kind, _, what = act.partition(":")
    if kind == "key":
        await page.keyboard.press(what)
        await settled(page)
    await page.screenshot(path=to)


class Camera:
    """A browser that takes pictures of a server's pages.

    Attributes:
        taken: How many there are by now.
    """

    def __init__(self, browser: Browser, url: str, only: str) -> None:
        self._browser = browser
        self._url = url
        self._only = only
        self.taken = 0

    async def __call__(self, pages: Pages, state: Any = None, views: Any = VIEWS) -> None:
        """Take pages in each of these themes and sizes, as who has `state` in their browser, or nobody."""
        for theme, size in views:
            page = await opened(self._browser, theme, size, state)
            for name, (path, act) in pages.items():
                if not re.search(self._only, name):
                    continue
                await shoot(page, self._url + path, act, SHOTS / f"{name}-{size['width']}-{theme}.png")
                self.taken += 1
            await page.context.close()


async def signed(browser: Browser, server: Installation) -> tuple[Any, Api]:
    """Make the first account; return what its browser keeps, and its API."""
    account = {"email": EMAIL, "name": "Ada", "password": PASSWORD, "setup_token": server.setup_token}
    context = await browser.new_context()
    answer = await context.request.post(f"{server.url}/api/auth/setup", data=account)
    state = await signed_in(context, server.url, answer)
    admin = Api(server.url, (await answer.json())["access_token"])
    await context.close()
    return state, admin


async def take(browser: Browser, server: Installation, only: str) -> str:
    """Make the board, and take the pictures; return how many there are, in words."""
    camera = Camera(browser, server.url, only)
    await camera({"set-up": (f"/setup?token={server.setup_token}", ""), "set-up-no-link": ("/setup", "")})
    state, admin = await signed(browser, server)
    await camera({"home-empty": ("/", "")}, state)
    await camera({"sign-in": ("/login", ""), "reset-ended": ("/reset?token=none", "")})
    await sample.people(admin)
    project = await sample.project(admin)
    ran = await sample.live(admin, project)
    cards = await sample.cards(admin, project)
    await camera(pages_of(f"/p/{project}", cards), state)
    await sample.stop(admin, project, ran)
    await admin.close()
    return f"{camera.taken} pictures in {SHOTS.relative_to(ROOT)}"


async def renew(browser: Browser, server: Installation, _: str) -> str:
    """Make the board, and keep how it looks now as how it is to look; say how many pages that are."""
    state, admin = await signed(browser, server)
    project = await sample.project(admin)
    taken = await looks.taken(browser, server.url, state, project, await sample.cards(admin, project))
    await admin.close()
    shutil.rmtree(looks.KEPT, ignore_errors=True)
    looks.KEPT.mkdir()
    for name, picture in taken.items():
        looks.small(picture).save(looks.KEPT / f"{name}.png", optimize=True)
    return f"{len(taken)} looks in {looks.KEPT.relative_to(ROOT)}"


async def served(data: Path, work: Work, only: str) -> str:
    """Do something with a server and a browser of its own."""
    async with serving(Installation(data)) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        try:
            return await work(browser, server, only)
        finally:
            await browser.close()


def publish() -> None:
    """Put the pictures of README in their place, with as few colours as do."""
    IMAGES.mkdir(exist_ok=True)
    for name, shown in README.items():
        with Image.open(SHOTS / f"{name}.png") as picture:
            few = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
            few.save(IMAGES / f"{shown}.png", optimize=True)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of every page.")
    parser.add_argument("--readme", action="store_true", help="also renew the pictures in docs/images")
    parser.add_argument("--only", default="", help="a pattern in the names of pages, to take fewer")
    parser.add_argument("--looks", action="store_true", help="renew tests/e2e/looks, and take no pictures")
    options = parser.parse_args()
    started = time.monotonic()
    shutil.rmtree(SHOTS, ignore_errors=True)
    data = SHOTS / "data"
    data.mkdir(parents=True)
    subprocess.run([VIBE, "db", "upgrade", "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
    done = asyncio.run(served(data, renew if options.looks else take, options.only))
    shutil.rmtree(data)
    if options.readme:
        publish()
    print(f"✓ {done} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
