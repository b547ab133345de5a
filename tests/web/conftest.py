"""The pages' States behind Reflex's real event processor, without a browser.

A `Tab` speaks as a browser's socket does: its handshake carries the login cookie,
its events a handler's name and arguments, and what comes back is kept. Compiling
and rendering are not its business.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from reflex.utils.format import json_dumps
from sqlalchemy import update
from sqlmodel import col

from tests.chromium import find
from tests.waiting import eventually
from vibe_app.accounts.models import User
from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.accounts.service import Grant
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import NewProject, ProjectView
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.cli import npm, tools
from vibe_app.frontend import BUILD_ENVIRONMENT, serving_environment
from vibe_app.settings import load_settings
from vibe_app.vibe_app import app
from vibe_app.web.auth import LOGIN_COOKIE
from vibe_app.web.handshake import KEY_HEADER
from vibe_app.wiring import Services

GALLERY = Path(__file__).parent / "gallery"
ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
ROLES = ("owner", "editor", "viewer", "stranger")


@dataclass
class Tab:
    """One browser tab: a connection, and everything that it was sent.

    Attributes:
        login: Whose browser it is; None where nobody is signed in.
        path: The address on which it is.
        deltas: The changes of State, as (State's name, changes), oldest first.
        events: What the browser was told to do, as (name, payload), oldest first.
    """

    login: Grant | None
    path: str = "/"
    sid: str = field(default_factory=lambda: uuid4().hex)
    token: str = field(default_factory=lambda: str(uuid4()))
    deltas: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def connect(self, first: dict[str, Any] | None = None) -> None:
        """Open the socket; `first` is added to the event that comes with its first packet."""
        cookie = f"{LOGIN_COOKIE}={self.login.cookie}" if self.login else "theme=dark"
        headers = [(b"host", b"board.test"), (b"cookie", cookie.encode())]
        if self.login:
            headers.append((KEY_HEADER.encode(), self.login.key.encode()))
        scope = {"headers": headers, "client": ("192.0.2.1", 1234)}
        environ = {"QUERY_STRING": f"token={self.token}", "asgi.scope": scope}
        boot = self._event("State.hydrate_and_load", {}) | first if first is not None else None
        await _namespace().on_connect(self.sid, environ, {"event": boot} if boot else None)

    async def disconnect(self) -> None:
        """Close the socket, as closing the tab does."""
        if (leaving := _namespace().on_disconnect(self.sid)) is not None:
            await leaving

    async def send(self, handler: str, **arguments: Any) -> None:
        """Send an event, named `<State>.<handler>`, without waiting for what it does."""
        event = self._event(handler, arguments)
        await _namespace().on_event(self.sid, json.loads(json.dumps(event)))

    def _event(self, handler: str, arguments: dict[str, Any]) -> dict[str, Any]:
        name, _, method = handler.rpartition(".")
        place = {"pathname": "/" + "/".join(self.path.split("/")[1:2]), "asPath": self.path, "query": {}}
        return {"name": f"{full_name(name)}.{method}", "payload": arguments, "router_data": place}

    async def call(self, handler: str, **arguments: Any) -> None:
        """Send an event and wait until it and what it set off in the foreground is done."""
        await self.send(handler, **arguments)
        await self.settled()

    async def go(self, path: str) -> None:
        """Navigate, as the browser tells it: the page's `on_load` handlers run."""
        self.path = path
        await self.send("OnLoadInternalState.on_load_internal")

    async def settled(self) -> None:
        """Wait until no event in the foreground is waiting or running for this tab."""
        processor = app.event_processor
        await processor.join()
        await eventually(lambda: not processor._token_queues.get(self.token))

    def all_of(self, state: str, name: str) -> list[Any]:
        """Return every value of a State's var that was sent, oldest first."""
        owner, var = full_name(state), f"{name}_rx_state_"
        return [change[var] for sender, change in self.deltas if sender == owner and var in change]

    def var(self, state: str, name: str) -> Any:
        """Return the newest value of a State's var that was sent, or None."""
        return next(reversed(self.all_of(state, name)), None)

    def cards(self, column: str) -> list[dict[str, Any]]:
        """Return the cards of a board's column, as the page puts them together."""
        sent = {status: self.var("BoardState", status.lower()) or [] for status in TaskStatus}
        known = {card["id"]: card for here in sent.values() for card in here}
        known |= self.var("BoardState", "changed") or {}
        order = (self.var("BoardState", "order") or {}).get(column)
        ids = [card["id"] for card in sent[TaskStatus(column)]] if order is None else order
        return [known[each] for each in ids]

    def titles(self, column: str) -> list[str]:
        """Return their titles."""
        return [card["title"] for card in self.cards(column)]

    @property
    def told(self) -> str:
        """Everything that the browser was told to do, as one text."""
        return json.dumps(self.events)

    def receive(self, update: Any) -> None:
        """Keep what was sent, as the browser reads it."""
        sent = json.loads(json_dumps(update))
        self.deltas += (sent.get("delta") or {}).items()
        self.events += [(event["name"], event["payload"]) for event in sent.get("events") or []]


def _namespace() -> Any:
    assert app.event_namespace is not None
    return app.event_namespace


def full_name(state: str) -> str:
    """Return a State's name as the browser knows it."""
    from reflex_base.registry import RegistrationContext

    names = {cls.__name__: name for name, cls in RegistrationContext.get().base_states.items()}
    return names[state]


Open = Callable[..., Any]


@pytest.fixture
async def processor(parts: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Tab]]:
    """Reflex's event processor around the app's parts; what it emits goes to the tab with that id."""
    tabs: dict[str, Tab] = {}

    async def emit(event: str, data: Any, to: str) -> None:
        if to in tabs and event == "event":
            tabs[to].receive(data)

    monkeypatch.setattr(_namespace(), "emit", emit)
    async with app._setup_event_processor():
        yield tabs


@pytest.fixture
async def logins(parts: Services) -> dict[str, Grant]:
    """Logins of a person in each role."""
    made = {}
    for role in ROLES:
        user = await parts.users.add(None, f"{role}@example.org", role.title(), PASSWORD, "member")
        made[role] = await parts.accounts.login(user.email, PASSWORD)
    return made


@pytest.fixture
def tokens(logins: dict[str, Grant]) -> dict[str, str]:
    """Their tokens for programs."""
    return {role: login.token for role, login in logins.items()}


@pytest.fixture
async def project(parts: Services, tokens: dict[str, str]) -> ProjectView:
    """A project with an owner, an editor and a viewer."""
    owner = await parts.accounts.who(tokens["owner"])
    made = await parts.projects.create(owner, NewProject(name="Sample", description="", repo_url=None))
    for role in ("editor", "viewer"):
        person = await parts.accounts.who(tokens[role])
        await parts.members.put(owner, made.id, person.user_id, ProjectRole(role))
    return made


async def owner_of(parts: Services, tokens: dict[str, str]) -> Actor:
    """Return the owner of the project."""
    return await parts.accounts.who(tokens["owner"])


async def admin_of(parts: Services, tokens: dict[str, str]) -> Actor:
    """Make the owner an admin, by whoever owns the installation, and return them."""
    made: Any = await parts.users.add(None, "root@example.org", "Root", "a long enough word", "admin")
    root = Actor(made.id, made.role, made.email, made.name)
    owner = await owner_of(parts, tokens)
    async with parts.database.transaction() as db:
        await db.execute(update(User).where(col(User.id) == owner.user_id).values(role="admin"))
    return root


@pytest.fixture
async def owner(parts: Services, tokens: dict[str, str]) -> Actor:
    """Who owns the project."""
    return await owner_of(parts, tokens)


@pytest.fixture
async def task(parts: Services, owner: Actor, project: ProjectView) -> TaskView:
    """A card in To do."""
    return await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))


@pytest.fixture
async def tab(processor: dict[str, Tab], logins: dict[str, Grant]) -> AsyncIterator[Open]:
    """Opens a tab as one of the roles, or as nobody (None)."""

    async def open_tab(role: str | None, path: str = "/") -> Tab:
        made = Tab(logins[role] if role else None, path)
        processor[made.sid] = made
        await made.connect()
        return made

    yield open_tab
    for made in processor.values():
        await made.disconnect()


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running gallery."""
    settings = load_settings()
    bun = tools.stamped(settings, tools.BUN) or tools.install(settings, tools.BUN)
    root = tmp_path_factory.mktemp("gallery") / "app"
    shutil.copytree(GALLERY, root)
    shutil.copytree(ROOT / "assets", root / "assets", ignore=shutil.ignore_patterns("external"))
    environment = {
        **os.environ,
        **BUILD_ENVIRONMENT,
        "PYTHONPATH": str(ROOT),
        "REFLEX_BUN_PATH": bun,
        "REFLEX_DIR": str(root / "reflex"),
        "NPM_CONFIG_REGISTRY": npm.registry(ROOT),
        "PATH": npm.node_path(),
    }
    build = [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"]
    done = subprocess.run(build, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(port)]
    environment |= {**serving_environment(root), "REFLEX_WEB_WORKDIR": str(root / ".web")}
    with subprocess.Popen([*serve, "gallery.gallery:app"], cwd=root, env=environment) as server:
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_for_port(port: int) -> None:
    """Return once something listens there."""
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the gallery does not listen"
            time.sleep(0.1)  # between two tries: nobody tells when another process begins to listen


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=find(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture
def visit(gallery: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page of the gallery, in a browser in India; errors of its scripts fail the test.

    With `at`, its clock begins at that moment, in epoch milliseconds.
    """
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1440, "height": 860}, timezone_id="Asia/Kolkata")

    def opened(path: str, at: int = 0) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        if at:
            page.clock.install(time=at / 1000)
        page.goto(gallery + path)
        return page

    yield opened
    context.close()
    assert errors == []
