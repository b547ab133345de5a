"""The API around the app's real parts, with people in every role and one project."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from tests.conftest import SQLITE, hash_quickly, settings_for
from tests.fakes import FakeRuntime
from tests.postgres import Server
from tests.waiting import eventually
from vibe_app.accounts.roles import ProjectRole
from vibe_app.accounts.service import Grant
from vibe_app.api.app import api_routes
from vibe_app.board.projects.schemas import NewProject
from vibe_app.settings import Settings
from vibe_app.wiring import Services, build

PASSWORD = "correct horse battery"
ROLES = ("admin", "owner", "editor", "viewer", "stranger", "nobody")


@pytest.fixture(scope="session")
def app() -> Starlette:
    """What the front door mounts."""
    return Starlette(routes=api_routes())


@pytest.fixture(scope="session")
def document(app: Starlette) -> dict[str, Any]:
    """The API's own description."""
    return app.routes[0].app.openapi()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def documented(document: dict[str, Any]) -> Callable[[httpx.Response], Awaitable[None]]:
    """Checks that an answer is one that the description of its route knows."""
    patterns = {
        re.compile("/api" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"): operations
        for path, operations in document["paths"].items()
    }

    async def check(response: httpx.Response) -> None:
        request = response.request
        for pattern, operations in patterns.items():
            operation = operations.get(request.method.lower())
            if pattern.match(request.url.path) and operation is not None:
                known = operation["responses"].keys()
                answer = f"{request.method} {request.url.path} answers {response.status_code}"
                assert str(response.status_code) in known, f"{answer}, which is not documented"

    return check


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def service_token(parts: Services, board: Board) -> str:
    """What the services of the board's workspace want once it was started for the first time."""
    return parts.workspaces.keys(UUID(board.project), 1).token


@pytest.fixture
async def connect(app: Starlette, documented: Any) -> AsyncIterator[Connect]:
    """Makes clients of the API; each answer is held against the documentation."""
    clients: list[httpx.AsyncClient] = []

    def make(token: str | None = None, host: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(host, 1234))
        client = httpx.AsyncClient(
            transport=transport,
            base_url="http://board.test/api",
            headers={"Authorization": f"Bearer {token}"} if token else None,
            event_hooks={"response": [documented]},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@dataclass
class Board:
    """A project, a client for a person of each role, and paths."""

    clients: dict[str, httpx.AsyncClient]
    ids: dict[str, str]
    project: str
    path: str
    tokens: dict[str, str] = field(default_factory=dict)
    logins: dict[str, Grant] = field(default_factory=dict)

    def browse(self, client: httpx.AsyncClient, role: str) -> httpx.AsyncClient:
        """Give a client what a browser has in which this person is signed in, and return it."""
        client.cookies.set("vibe_login", self.logins[role].cookie)
        client.headers["X-Vibe-Key"] = self.logins[role].key
        return client

    def __getattr__(self, role: str) -> httpx.AsyncClient:
        return self.clients[role]

    async def task(self, title: str = "Add a README file", **values: Any) -> str:
        """Make a card and return its path."""
        answer = await self.editor.post(f"{self.path}/tasks", json={"title": title, **values})
        assert answer.status_code == 201, answer.text
        return f"{self.path}/tasks/{answer.json()['id']}"

    async def status(self, task: str) -> str:
        """Return the column of a card."""
        return (await self.viewer.get(task)).json()["status"]

    async def sessions(self, task: str) -> list[dict[str, Any]]:
        """Return the history of a card."""
        return (await self.viewer.get(f"{task}/sessions")).json()["sessions"]

    async def restarted(self) -> None:
        """Have the workspace started anew; on return it is up again."""
        asked = await self.owner.post(f"{self.path}/workspace/restart")
        assert asked.status_code == 202, asked.text

        async def up() -> bool:
            found = (await self.owner.get(self.path)).json()["workspace"]
            return found["status"] == "ready" and found["reason"] is None

        await eventually(up)

    async def session_is(self, task: str, *statuses: str) -> dict[str, Any]:
        """Return the card's newest session once it is in one of these statuses."""
        found: list[dict[str, Any]] = []

        async def reached() -> bool:
            found[:] = await self.sessions(task)
            return bool(found) and found[0]["status"] in statuses

        await eventually(reached)
        return found[0]


@dataclass(frozen=True)
class People:
    """An owner, an editor and a viewer of a project, an admin and a stranger, as a database knows them."""

    ids: dict[str, str]
    logins: dict[str, Grant]
    project: str


async def settle(settings: Settings) -> People:
    """Make them and their project in an empty database."""
    parts = build(settings, FakeRuntime())
    ids: dict[str, str] = {}
    logins: dict[str, Grant] = {}
    for role in ROLES[:-1]:
        kind = "admin" if role == "admin" else "member"
        user = await parts.users.add(None, f"{role}@example.org", role.title(), PASSWORD, kind)
        ids[role] = str(user.id)
        logins[role] = await parts.accounts.login(user.email, PASSWORD)
    owner = await parts.accounts.who(logins["owner"].token)
    project = await parts.projects.create(owner, NewProject(name="Sample"))
    for role in (ProjectRole.EDITOR, ProjectRole.VIEWER):
        await parts.members.put(owner, project.id, UUID(ids[role]), role)
    await parts.database.close()
    return People(ids, logins, str(project.id))


def settled(data: Path, database_url: str) -> People:
    """Make them in an empty database, from a thread beside any running loop."""
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        hash_quickly(patch)
        return pool.submit(asyncio.run, settle(settings_for(data, database_url))).result()


@pytest.fixture(scope="session")
def settled_file(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, People]:
    """An SQLite file with them. Copy it; do not use it."""
    path = tmp_path_factory.mktemp("settled") / "vibe.db"
    shutil.copy(migrated, path)
    return path, settled(path.parent, f"sqlite+aiosqlite:///{path}")


@pytest.fixture(scope="session")
def settled_template(
    postgres_server: Server, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, People]:
    """The name of a database with them on PostgreSQL. Copy it; do not use it."""
    postgres_server.execute("CREATE DATABASE settled TEMPLATE {}", migrated_template)
    return "settled", settled(tmp_path_factory.mktemp("settled"), postgres_server.url("settled"))


@pytest.fixture
def people(database_kind: str, request: pytest.FixtureRequest) -> People:
    """Who is in the database of a test that wants a board."""
    return request.getfixturevalue("settled_file" if database_kind == SQLITE else "settled_template")[1]


@pytest.fixture
def template(database_kind: str, template: Path | str, request: pytest.FixtureRequest) -> Path | str:
    """With people where a test wants a board, else empty."""
    if "board" not in request.fixturenames:
        return template
    return request.getfixturevalue("settled_file" if database_kind == SQLITE else "settled_template")[0]


@pytest.fixture
def board(people: People, parts: Services, connect: Connect) -> Board:
    """A project with an owner, an editor and a viewer, an admin, a stranger and nobody."""
    tokens = {role: login.token for role, login in people.logins.items()}
    clients = {role: connect(tokens.get(role)) for role in ROLES}
    path = f"/projects/{people.project}"
    return Board(clients, dict(people.ids), people.project, path, tokens, dict(people.logins))


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an app on a free port of loopback, in this loop; yields its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="h11", lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    # Only `serve` would take the signals over, which belong to pytest here.
    task = asyncio.create_task(server._serve([listener]), name="server")
    try:
        await eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def address(app: Starlette, parts: Services) -> AsyncIterator[str]:
    """Where a real server answers: an ASGI transport buffers whole answers, so streams need one."""
    async with serving(app) as url:
        yield url
