"""Pictures of every page, in both themes and three widths, of a server and a board of its own.

They come into `build/screenshots`; with `--readme`, those that README shows into
`docs/images`. The board is `tests/sample.py`, run by the rehearsal model.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from tests import chromium, sample
from tests.e2e.browser import ARGUMENTS
from tests.e2e.installation import PASSWORD, VIBE, Api, Installation, serving
from tests.e2e.team import EMAIL, signed_in

ROOT = Path(__file__).resolve().parent.parent
SHOTS = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
SIZES = tuple(ViewportSize(width=w, height=h) for w, h in ((1440, 900), (1024, 768), (390, 844)))
THEMES = ("light", "dark")
LOOKS = tuple((theme, size) for theme in THEMES for size in SIZES)
README = {
    "board-1440-light": "board",
    "board-1440-dark": "board-dark",
    "drawer-changes-1440-light": "changes",
    "drawer-live-390-dark": "phone",
}
"""Which pictures README shows, and under which names."""


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
        "files": (f"{base}/files", ""),
        "file": (f"{base}/files/README.md", ""),
        "settings": ("/settings", ""),
        "people": ("/settings/people", ""),
        "not-found": ("/nothing/here", ""),
    }


async def settled(page: Page) -> None:
    """Return once the page has what it shows: no skeletons, its fonts there, its movements done."""
    await page.wait_for_function("window.vibeDoor && document.readyState === 'complete'")
    await page.wait_for_load_state("networkidle")
    await page.wait_for_function("!document.querySelector('.v-skeleton')", timeout=10_000)
    await page.evaluate("document.fonts.ready.then(() => null)")
    moving = "document.getAnimations().filter((each) => each.effect.getTiming().iterations !== Infinity)"
    await page.evaluate(f"Promise.allSettled({moving}.map((each) => each.finished)).then(() => null)")


async def shoot(page: Page, url: str, act: str, to: Path) -> None:
    """Take one picture."""
    await page.goto(url)
    await settled(page)
    kind, _, what = act.partition(":")
    if kind == "key":
        await page.keyboard.press(what)
    elif kind == "press":
        await page.get_by_role("button", name=what).first.click()
    if kind:
        await settled(page)
    await page.screenshot(path=to)


class Camera:
    """A browser that takes pictures of a server's pages.

    Attributes:
        taken: How many there are by now.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.taken = 0

    async def __call__(self, pages: Pages, state: Any = None, looks: Any = LOOKS) -> None:
        """Take pages in each of these themes and sizes, as who has `state` in their browser, or nobody."""
        for theme, size in looks:
            context = await self._browser.new_context(
                storage_state=state,
                viewport=size,
                color_scheme=theme,
                has_touch=size["width"] < 768,
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="Europe/Zurich",
            )
            page = await context.new_page()
            for name, (path, act) in pages.items():
                await shoot(page, self._url + path, act, SHOTS / f"{name}-{size['width']}-{theme}.png")
                self.taken += 1
            await context.close()


async def take(data: Path) -> int:
    """Start a server, make the board, and take the pictures; return how many there are."""
    async with serving(Installation(data)) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        camera = Camera(browser, server.url)
        await camera({"set-up": (f"/setup?token={server.setup_token}", ""), "set-up-no-link": ("/setup", "")})
        account = {"email": EMAIL, "name": "Ada", "password": PASSWORD, "setup_token": server.setup_token}
        context = await browser.new_context()
        answer = await context.request.post(f"{server.url}/api/auth/setup", data=account)
        state = await signed_in(context, server.url, answer)
        admin = Api(server.url, (await answer.json())["access_token"])
        await camera({"home-empty": ("/", "")}, state)
        await camera({"sign-in": ("/login", "")})
        await sample.people(admin)
        project = await sample.project(admin)
        await sample.live(admin, project)
        listed = (await admin("GET", f"/projects/{project}/tasks"))["tasks"]
        await camera(pages_of(f"/p/{project}", {task["title"]: task["id"] for task in listed}), state)
        await admin.close()
        await browser.close()
    return camera.taken


def publish() -> None:
    """Put the pictures of README in their place, with as few colours as do."""
    from PIL import Image

    IMAGES.mkdir(exist_ok=True)
    for name, shown in README.items():
        with Image.open(SHOTS / f"{name}.png") as picture:
            few = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
            few.save(IMAGES / f"{shown}.png", optimize=True)


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of every page.")
    parser.add_argument("--readme", action="store_true", help="also renew the pictures in docs/images")
    options = parser.parse_args()
    started = time.monotonic()
    shutil.rmtree(SHOTS, ignore_errors=True)
    data = SHOTS / "data"
    data.mkdir(parents=True)
    subprocess.run([VIBE, "db", "upgrade", "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
    taken = asyncio.run(take(data))
    shutil.rmtree(data)
    if options.readme:
        publish()
    print(f"✓ {taken} pictures in {SHOTS.relative_to(ROOT)} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
