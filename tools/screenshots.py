"""Pictures of every page, in both themes and three widths, of a server and a board of its own.

They come into `build/screenshots`; with `--readme`, those that README shows into
`docs/images`. With `--looks`, what `tests/e2e/test_looks.py` compares is renewed instead.
The board is `tests/sample.py`, run by the rehearsal model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
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
from playwright.async_api import Error as PlaywrightError

from tests import chromium, looks, sample
from tests.e2e.browser import ARGUMENTS
from tests.e2e.installation import PASSWORD, VIBE, Api, Installation, serving
from tests.e2e.team import EMAIL, signed_in
from tests.looks import Theme, opened, settled
from tools import pictured
from vibe_app.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
SIZES = tuple(ViewportSize(width=w, height=h) for w, h in ((1440, 900), (1024, 768), (390, 844)))
THEMES: tuple[Theme, ...] = ("light", "dark")
VIEWS: tuple[tuple[Theme, ViewportSize], ...] = tuple((theme, size) for theme in THEMES for size in SIZES)
README = {
    "board-1440-light": "board",
    "board-1440-dark": "board-dark",
    "drawer-running-output-1440-light": "terminal",
    "drawer-wide-1440-light": "review",
}
"""Which pictures README shows, and under which names."""


Work = Callable[[Browser, Installation, str], Awaitable[str]]


async def shoot(page: Page, url: str, shot: pictured.Shot, to: Path) -> None:
    """Take one picture."""
    await page.goto(url + shot.path)
    await settled(page)
    for act in shot.acts:
        await act(page)
        await settled(page)
    await page.screenshot(path=to)
    if shot.after is not None:
        await shot.after(page)


class Camera:
    """A browser that takes pictures of a server's pages.

    Attributes:
        taken: How many there are by now.
        missed: Those that could not be taken, and why.
    """

    def __init__(self, browser: Browser, url: str, only: str) -> None:
        self._browser = browser
        self._url = url
        self._only = only
        self.taken = 0
        self.missed: list[str] = []

    async def __call__(self, shots: pictured.Shots, state: Any = None) -> None:
        """Take pages in all themes and sizes, as who has `state` in their browser, or nobody."""
        wanted = {name: shot for name, shot in shots.items() if re.search(self._only, name)}
        for theme, size in VIEWS if wanted else ():
            first = await opened(self._browser, theme, size, state)
            for name, shot in wanted.items():
                # A tab of its own, as what one keeps would be there in the next picture.
                page = await first.context.new_page()
                picture = f"{name}-{size['width']}-{theme}.png"
                try:
                    await shoot(page, self._url, shot, SHOTS / picture)
                    self.taken += 1
                except PlaywrightError as error:
                    self.missed.append(f"{picture}: {error.message.splitlines()[0]}")
                await page.close()
            await first.context.close()


async def signed(browser: Browser, server: Installation) -> tuple[Any, Api]:
    """Make the first account; return what its browser keeps, and its API."""
    account = {"email": EMAIL, "name": "Ada", "password": PASSWORD, "setup_token": server.setup_token}
    return await entered(browser, server, "setup", account)


async def entered(
    browser: Browser, server: Installation, door: str, account: dict[str, str]
) -> tuple[Any, Api]:
    """Sign somebody in; return what their browser keeps, and their API."""
    context = await browser.new_context()
    answer = await context.request.post(f"{server.url}/api/auth/{door}", data=account)
    state = await signed_in(context, server.url, answer)
    api = Api(server.url, (await answer.json())["access_token"])
    await context.close()
    return state, api


async def take(browser: Browser, server: Installation, only: str) -> str:
    """Make the boards, and take the pictures; return how many there are, in words."""
    camera = Camera(browser, server.url, only)
    setup = {"set-up": f"/setup?token={server.setup_token}", "set-up-no-link": "/setup"}
    await camera({name: pictured.Shot(path) for name, path in setup.items()})
    state, admin = await signed(browser, server)
    await camera(pictured.nothing_yet(), state)
    people = await sample.people(admin)
    link = (await admin("POST", f"/users/{people['eve']}/password-reset"))["path"]
    await camera(pictured.signed_out(link))
    project = await sample.project(admin)
    await admin("POST", f"/projects/{project}/members", json={"user_id": people["vic"], "role": "viewer"})
    ran = await sample.live(admin, project)
    await sample.waiting(admin, project)
    cards, base = await sample.cards(admin, project), f"/p/{project}"
    await sample.talk(admin, project, cards["Start weeks on Monday"])
    await camera(pictured.board(base, sample.LIVE.title), state)
    await camera(pictured.drawers(base, cards, admin), state)
    await camera(pictured.settings(base), state)
    who = {"email": "vic@example.org", "password": PASSWORD}
    viewer, vic = await entered(browser, server, "login", who)
    await camera(pictured.looking(base, cards), viewer)
    await vic.close()
    for each in (cards[sample.QUEUED.title], ran):
        await sample.stop(admin, project, each)
    await sample.files(admin, project)
    await camera(pictured.files(base, admin), state)
    odd = await sample.hard(admin)
    await camera(pictured.hard(f"/p/{odd}", await sample.cards(admin, odd), sample.HARD_FILE), state)
    await admin.close()
    if camera.missed:
        raise SystemExit("These were not taken:\n" + "\n".join(camera.missed))
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
    # What set-up has brought, so that the pages' search finds ripgrep.
    os.environ["PATH"] = os.pathsep.join([str(load_settings().tools.resolve()), os.environ["PATH"]])
    subprocess.run([VIBE, "db", "upgrade", "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
    done = asyncio.run(served(data, renew if options.looks else take, options.only))
    shutil.rmtree(data)
    if options.readme:
        publish()
    print(f"✓ {done} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
