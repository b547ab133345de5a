"""One server and one Chromium for most browser tests; people, projects and tabs for each.

The tests run in one event loop of their own, since Chromium and the server outlive
each of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, StorageState, async_playwright, expect

from tests import chromium
from tests.e2e.browser import ARGUMENTS, DESKTOP, Board, Watch
from tests.e2e.installation import PASSWORD, Api, Installation, installed
from tests.e2e.team import signed_in
from tests.waiting import eventually

HERE = Path(__file__).parent
NAMES = {"ada": "owner", "eve": "editor", "vic": "viewer", "sam": "stranger"}
"""The people of the shared server and what each is in a project; Ada administers everything."""

# Several browsers share the machine: what takes a moment alone may take many.
expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests here the loop in which the browser lives, and time for real runs."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass
class People:
    """Who has an account: each one's id, API, and what a browser keeps that is signed in."""

    ids: dict[str, str]
    apis: dict[str, Api]
    cookies: dict[str, StorageState]

    def __getattr__(self, name: str) -> Api:
        return self.apis[name]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is."""
    path = chromium.find()
    assert path, "Chromium is missing: run `make test`, or install it"
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """Chromium."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AsyncIterator[Installation]:
    """The server that most tests share."""
    async with installed(tmp_path_factory.mktemp("server"), migrated) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def people(server: Installation, browser: Browser) -> AsyncIterator[People]:
    """An admin, an editor, a viewer and a stranger, all signed in."""
    found = People({}, {}, {})
    anyone = Api(server.url)
    for name in NAMES:
        account = {"email": f"{name}@example.org", "name": name.title(), "password": PASSWORD}
        if name == "ada":
            await anyone("POST", "/auth/setup", json=account | {"setup_token": server.setup_token})
        else:
            await found.ada("POST", "/users", json=account)
        context = await browser.new_context()
        login = {"email": account["email"], "password": PASSWORD}
        answer = await context.request.post(f"{server.url}/api/auth/login", data=login)
        found.cookies[name] = await signed_in(context, server.url, answer)
        found.apis[name] = Api(server.url, (await answer.json())["access_token"])
        found.ids[name] = (await found.apis[name]("GET", "/auth/me"))["id"]
        await context.close()
    yield found
    for api in (anyone, *found.apis.values()):
        await api.close()


@dataclass
class Project:
    """A project of the shared server."""

    id: str
    name: str
    path: str
    api: Api

    async def task(self, title: str, description: str = "", **values: Any) -> str:
        """Make a card and return its id."""
        body = {"title": title, "description": description, **values}
        return (await self.api("POST", f"{self.path}/tasks", json=body))["id"]

    async def sessions(self, task: str) -> list[dict[str, Any]]:
        """Return the sessions of a card, newest first, each whole."""
        path = f"{self.path}/tasks/{task}/sessions"
        listed = (await self.api("GET", path))["sessions"]
        return [await self.api("GET", f"{path}/{session['id']}") for session in listed]


@pytest.fixture(scope="session")
def warm() -> list[Project]:
    """The project whose workspace several tests share, once there is one; it ends with the server."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def project(
    request: pytest.FixtureRequest, server: Installation, people: People, warm: list[Project]
) -> AsyncIterator[Project]:
    """An empty project with an owner, an editor and a viewer; no run of it goes on afterwards.

    It may have been other tests' before, with a workspace that runs: a start costs more processor time
    than most tests. Marked `cold`, a test has a new one.
    """
    if request.node.get_closest_marker("cold") is None:
        if not warm:
            warm.append(await _made(people))
        await _emptied(warm[0], server)
        yield warm[0]
        await _stopped(warm[0])
        return
    made = await _made(people)
    yield made
    await _stopped(made)
    name = (await people.ada("GET", made.path))["name"]
    await people.ada("DELETE", made.path, params={"confirm": name})
    assert server.agents(made.id) == []


async def _made(people: People) -> Project:
    name = f"Project {uuid4().hex[:6]}"
    made = await people.ada("POST", "/projects", json={"name": name})
    path = f"/projects/{made['id']}"
    for person in ("eve", "vic"):
        member = {"user_id": people.ids[person], "role": NAMES[person]}
        await people.ada("POST", f"{path}/members", json=member)
    return Project(made["id"], name, path, people.ada)


async def _stopped(project: Project) -> None:
    live = await project.api("GET", f"{project.path}/sessions", params={"active": "true"})
    for session in live["sessions"]:
        try:
            await project.api("POST", f"{project.path}/tasks/{session['task_id']}/stop")
        except AssertionError as error:
            # It has ended meanwhile.
            assert "not_running" in str(error)  # noqa: PT017


async def _emptied(project: Project, server: Installation) -> None:
    """Remove the cards, what lies in the workspace, and where it came from; give it its name again."""

    async def over() -> bool:
        live = await project.api("GET", f"{project.path}/sessions", params={"active": "true"})
        return not live["sessions"]

    await eventually(over, seconds=20)
    if (await project.api("GET", project.path))["repo_url"]:
        # Its files would come from there, and could not be deleted while it delivers by request.
        await project.api("PATCH", project.path, json={"delivery": None, "repo_url": None})
    await project.api("PATCH", project.path, json={"name": project.name})
    for archived in ("false", "true"):
        asked = {"archived": archived, "page_size": "100"}
        while tasks := (await project.api("GET", f"{project.path}/tasks", params=asked))["tasks"]:
            gone = {"action": "delete", "ids": [task["id"] for task in tasks]}
            told = await project.api("POST", f"{project.path}/tasks/bulk", json=gone)
            assert all(each["done"] for each in told["outcomes"]), told
    if server.base(project.id).exists():
        files = f"{project.path}/files"
        for entry in (await project.api("GET", files))["entries"]:
            await project.api("DELETE", files, params={"path": entry["path"]})


Visit = Callable[..., Awaitable[Board]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, server: Installation, people: People) -> AsyncIterator[Visit]:
    """Opens a tab on the shared server as one of the people; each tab is watched.

    Called with the person's name (None for somebody who is not signed in), options of
    the browser context, `refused` for statuses that the test provokes, and `away` where it takes the
    network away.
    """
    watches = []

    async def open_tab(
        name: str | None,
        project: Project | None = None,
        refused: tuple[int, ...] = (),
        away: bool = False,
        **options: Any,
    ) -> Board:
        cookies = people.cookies[name] if name else None
        context = await browser.new_context(storage_state=cookies, **{"viewport": DESKTOP, **options})
        context.set_default_timeout(15_000)
        watches.append(watch := Watch(server.url, refused=refused, away=away))
        watch.follow(context)
        board = Board(await context.new_page(), server.url, project.id if project else "")
        if project:
            await board.open()
        return board

    yield open_tab
    assert [fault for watch in watches for fault in await watch.end()] == []
