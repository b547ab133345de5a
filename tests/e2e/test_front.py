"""What stands in front of the board, and is named as what it is: in real browsers, behind a real proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.conftest import Project
from tests.e2e.explorer import START
from tests.e2e.installation import PASSWORD, Installation, installed
from tests.e2e.proxy import Proxy, proxied

pytestmark = pytest.mark.timeout(180)
BAD_GATEWAY = "The proxy in front of Vibe answered (502): the board did not."


@asynccontextmanager
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab in which nobody is signed in, which fails on a script that met what it cannot read."""
    faults: list[str] = []
    async with await browser.new_context() as context:
        context.set_default_timeout(15_000)
        context.on("weberror", lambda error: faults.append(str(error.error)))
        yield await context.new_page()
    assert not faults, faults


def alert(page: Page) -> Locator:
    """What is told above a page or in its form."""
    return page.get_by_role("alert")


async def fill(page: Page) -> None:
    """Fill the form to sign in, and send it."""
    await page.get_by_label("E-mail").fill("eve@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_proxy_that_changes_host_is_named_where_the_page_cannot_connect(
    server: Installation, browser: Browser
) -> None:
    async with proxied(server.url, host="backend:8000") as proxy, tab(browser) as page:
        for path in ("/", "/login", "/settings"):
            await page.goto(proxy.url + path)
            await expect(alert(page)).to_contain_text(
                f"the browser is at {proxy.url}, and Vibe was asked for http://backend:8000. Set the proxy "
                "in front to pass Host on unchanged (nginx: proxy_set_header Host $http_host)"
            )


async def test_a_proxy_that_passes_no_socket_on_is_named_and_forgotten_once_it_does(
    server: Installation, browser: Browser
) -> None:
    async with proxied(server.url) as proxy, tab(browser) as page:
        proxy.sockets = False
        await page.goto(f"{proxy.url}/login")
        await expect(alert(page)).to_contain_text("proxy_set_header Upgrade $http_upgrade", timeout=30_000)
        proxy.sockets = True
        await expect(alert(page)).to_have_count(0)


async def test_a_secure_cookie_over_plain_http_is_named_before_anybody_types(
    tmp_path: Path, migrated: Path, browser: Browser
) -> None:
    async with installed(tmp_path, migrated, {"VIBE_COOKIE_SECURE": "true"}) as server, tab(browser) as page:
        for path in ("/login", f"/setup?token={server.setup_token}"):
            await page.goto(server.url + path)
            await expect(alert(page)).to_contain_text("start Vibe without VIBE_COOKIE_SECURE")


async def test_what_a_proxy_answers_by_itself_is_named_as_that(
    server: Installation, project: Project, browser: Browser, tmp_path: Path
) -> None:
    files = f"/p/{project.id}/files"
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(3 * 1024 * 1024))
    async with proxied(server.url) as proxy, tab(browser) as page:
        await page.goto(f"{proxy.url}/login?next={files}")
        proxy.answers = {"POST /api/auth/login": 502}
        await fill(page)
        await expect(alert(page)).to_contain_text(BAD_GATEWAY)
        proxy.answers = {}
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".ve-actions")).to_be_visible(timeout=START)
        await _explore(page, proxy, large)
        proxy.answers = {"POST /api/auth/logout": 503}
        async with page.expect_event("dialog") as asked:
            await page.get_by_role("button", name="Sign out").click(no_wait_after=True)
            dialog = await asked.value
            assert "You are still signed in. The proxy in front of Vibe answered (503)" in dialog.message
            await dialog.accept()


async def _explore(page: Page, proxy: Proxy, large: Path) -> None:
    proxy.answers = {"PUT /api/.*/files/content": 413}
    await page.get_by_label("Files to upload").set_input_files(large)
    uploads = page.get_by_role("region", name="Uploads")
    await expect(uploads.get_by_text("refused this as too large (413)")).to_be_visible()
    await expect(uploads.get_by_text("nginx: client_max_body_size")).to_be_visible()
    # A page that stands where an answer should be: a success of somebody else's, and a refusal.
    for status, words in ((502, BAD_GATEWAY), (200, "in its place (200)"), (401, "in its place (401)")):
        proxy.answers = {"PUT /api/.*/files/content": status}
        await page.get_by_label("Files to upload").set_input_files(large)
        await expect(uploads.get_by_text(words).first).to_be_visible()
        await expect(page.get_by_text("nginx</body>")).to_have_count(0)
    assert page.url.endswith("/files")


@pytest.mark.parametrize("below", ["/", "/login", "/p/11111111-2222-4333-8444-555555555555"])
async def test_below_a_path_a_page_says_that_it_does_not_work_there(
    server: Installation, browser: Browser, below: str
) -> None:
    async with proxied(server.url, path="/tools/vibe") as proxy, tab(browser) as page:
        await page.goto(f"{proxy.url}/tools/vibe{below.rstrip('/')}/")
        await expect(alert(page)).to_have_text(
            "Vibe does not run under a path (/tools/vibe/). Give it a host name or a port of its own."
        )


async def test_a_page_whose_parts_do_not_come_says_so(server: Installation, browser: Browser) -> None:
    async with proxied(server.url) as proxy, tab(browser) as page:
        proxy.answers = {"GET /(door.js|assets/)": 404}
        await page.goto(f"{proxy.url}/")
        await expect(alert(page)).to_contain_text("The parts of this page do not come.")
