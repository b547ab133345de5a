"""A tab that is open while a new version takes the old one's place."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.installation import Installation, installed
from tests.e2e.team import Team, assembled
from vibe_app import frontend

TOLD = "A new version of Vibe is here: the page was loaded anew."
SCRIPT = re.compile(r"[\w-][\w.-]*\.js")
# What the router and the browser say of a part that is gone.
MISSED = re.compile("Error loading route module|Failed to fetch dynamically imported module")


class Version:
    """A copy of the product, whose pages can be exchanged for those of another build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        home = frontend.home()
        shutil.copy2(home / "rxconfig.py", folder)
        for name in ("vibe_app", "alembic", "assets"):
            shutil.copytree(home / name, folder / name)
        shutil.copytree(frontend.published(home), frontend.published(folder))
        self._count = 0

    def exchange(self) -> None:
        """Put a build in place whose parts all have other names, as those of another version do."""
        self._count += 1
        served = frontend.published(self.folder)
        fresh = served.with_name("frontend.new")
        shutil.copytree(served, fresh)
        client = fresh / "build" / "client"
        scripts = {path.name for path in (client / "assets").glob("*.js")}
        renamed = {name: self._other(name) for name in scripts}
        old, new = (self._id(names) for names in (renamed.keys(), renamed.values()))
        for path in [*client.rglob("*.js"), *client.rglob("*.html"), *client.rglob("*.gz")]:
            packed = path.suffix == ".gz"
            text = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
            text = SCRIPT.sub(lambda found: renamed.get(found[0], found[0]), text)
            text = text.replace(f'"version":"{old}"', f'"version":"{new}"')
            path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
            name = path.name.removesuffix(".gz")
            if name in renamed and path.parent.name == "assets":
                path.rename(path.with_name(path.name.replace(name, renamed[name])))
        shutil.rmtree(served)
        fresh.rename(served)

    def _other(self, name: str) -> str:
        return f"{name.removesuffix('.js')}{self._count}.js"

    @staticmethod
    def _id(names: object) -> str:
        (found,) = re.findall(r"manifest-(\w+)\.js", " ".join(names))  # pyright: ignore
        return found


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The copy that the server here runs."""
    return Version(tmp_path_factory.mktemp("version"))


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, migrated: Path, version: Version
) -> AsyncIterator[Installation]:
    """A server of that copy."""
    environment = {"PYTHONPATH": str(version.folder)}
    async with installed(tmp_path_factory.mktemp("upgrade"), migrated, environment) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def team(server: Installation, browser: Browser) -> AsyncIterator[Team]:
    """Somebody with a project on it."""
    async with assembled(browser, server) as team:
        yield team


def _loads(page: Page) -> list[str]:
    """Return a list that grows with each loading of the page."""
    loads: list[str] = []
    page.on("domcontentloaded", lambda loaded: loads.append(loaded.url))
    return loads


async def test_a_tab_loads_itself_anew_once_and_keeps_what_was_typed(
    server: Installation, team: Team, version: Version
) -> None:
    board = await team.visit(away=True)
    page, dialog = board.page, board.dialog
    await page.get_by_role("button", name="New task").click()
    await dialog.get_by_label("Title").fill("Typed before the upgrade")
    await dialog.get_by_label("Description").fill("All of it")
    loads = _loads(page)
    before = await page.evaluate("window.__reactRouterManifest.version")

    server.kill()
    version.exchange()
    await server.start()

    await expect(page.get_by_text(TOLD)).to_be_visible(timeout=30_000)
    assert await page.evaluate("window.__reactRouterManifest.version") != before
    await expect(dialog.get_by_label("Title")).to_have_value("Typed before the upgrade")
    await expect(dialog.get_by_label("Description")).to_have_value("All of it")
    await dialog.get_by_role("button", name="Add task").click()
    await expect(board.card("Typed before the upgrade", "To do")).to_be_visible()
    assert len(loads) == 1


async def test_a_part_that_is_gone_loads_the_tab_anew_and_the_next_click_works(
    team: Team, version: Version
) -> None:
    board = await team.visit(away=True)
    page, watch = board.page, team.watches[-1]
    watch.refused = (404,)
    loads = _loads(page)
    version.exchange()
    settings = page.locator(".v-rail").get_by_role("link", name="Settings", exact=True)
    await settings.click()
    await expect(page.get_by_text(TOLD)).to_be_visible(timeout=30_000)
    await settings.click()
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    assert len(loads) == 1
    watch.faults = [fault for fault in watch.faults if not MISSED.search(fault)]
