"""Somebody with a project on any server, and watched tabs on it: for tests with servers of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import APIResponse, Browser, BrowserContext, StorageState

from tests.e2e.browser import DESKTOP, Board, Watch
from tests.e2e.installation import PASSWORD, Api, Installation

EMAIL = "ada@example.org"


class Team:
    """An admin's API, browser contexts in which she is signed in, and a project.

    Args:
        browser: Where tabs open.
        api: As the admin.
        cookies: And whatever else a browser keeps in which she is signed in.
        project: The project's id.
    """

    def __init__(self, browser: Browser, api: Api, cookies: StorageState, url: str, project: str) -> None:
        self._browser = browser
        self.cookies = cookies
        self._url = url
        self.api = api
        self.project = project
        self.path = f"/projects/{project}"
        self.watches: list[Watch] = []

    async def visit(self, url: str = "", *, away: bool = False) -> Board:
        """Open the project's board in a browser of its own.

        Args:
            url: Another server than the first.
            away: Whether a server is meant to be unreachable at times.
        """
        # The cookie goes to every port of a host; the key is kept for each server's origin.
        (kept,) = self.cookies["origins"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
        cookies: StorageState = {**self.cookies, "origins": [{**kept, "origin": url or self._url}]}
        context = await self._browser.new_context(storage_state=cookies, viewport=DESKTOP)
        context.set_default_timeout(15_000)
        self.watches.append(watch := Watch(url or self._url, away=away))
        watch.follow(context)
        board = Board(await context.new_page(), url or self._url, self.project)
        await board.open()
        return board

    async def task(self, title: str, description: str = "") -> str:
        """Make a card and return its id."""
        body = {"title": title, "description": description}
        return (await self.api("POST", f"{self.path}/tasks", json=body))["id"]

    async def sessions(self, task: str) -> list[dict[str, Any]]:
        """Return the sessions of a card, newest first, each whole."""
        path = f"{self.path}/tasks/{task}/sessions"
        listed = (await self.api("GET", path))["sessions"]
        return [await self.api("GET", f"{path}/{session['id']}") for session in listed]


async def signed_in(context: BrowserContext, url: str, answer: APIResponse) -> StorageState:
    """Return what a browser keeps after signing in: the cookie, and the key of the board's origin."""
    state = await context.storage_state()
    key = {"name": "vibe.key", "value": (await answer.json())["key"]}
    return {**state, "origins": [{"origin": url, "localStorage": [key]}]}  # pyright: ignore[reportReturnType]


@asynccontextmanager
async def assembled(browser: Browser, server: Installation) -> AsyncIterator[Team]:
    """Make the first account and a project on a new server; its tabs were without fault at the end."""
    url = server.url
    account = {"email": EMAIL, "name": "Ada", "password": PASSWORD, "setup_token": server.setup_token}
    context = await browser.new_context()
    answer = await context.request.post(f"{url}/api/auth/setup", data=account)
    assert answer.ok, await answer.text()
    api = Api(url, (await answer.json())["access_token"])
    cookies = await signed_in(context, url, answer)
    await context.close()
    project = (await api("POST", "/projects", json={"name": "Shared"}))["id"]
    before = set(browser.contexts)
    team = Team(browser, api, cookies, url, project)
    yield team
    faults = [fault for watch in team.watches for fault in await watch.end()]
    for context in set(browser.contexts) - before:
        await context.close()
    await api.close()
    assert not faults, faults
