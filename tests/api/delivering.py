"""A project that delivers by pull request: git's own server over TLS, a host beside it that is played."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from tests.api import changing
from tests.api.changing import Agent, change, committed, run, writes
from tests.api.conftest import Board
from tests.conftest import settings_for
from tests.fakes import FakeRuntime
from tests.hosts import TOKEN, PlayedHost, played_host
from tests.scripted import ScriptedSidecar
from tests.waiting import eventually
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.clients.hosts import api
from vibe_app.settings import Settings
from vibe_app.wire import now
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

BRANCH = "vibe/1-make-two-a-number"
hub = changing.hub


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    usual = settings_for(tmp_path, database_url)
    return usual.model_copy(update={"repository_networks": "127.0.0.0/8"})


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path / "workspace")


@pytest.fixture
def runtime(agent: Agent) -> FakeRuntime:
    runtime = FakeRuntime(lambda project_id: ScriptedSidecar(agent))
    runtime.trees = True
    return runtime


@pytest.fixture
def kind() -> str:
    """Which host; where it matters, each: `KINDS`."""
    return "gitea"


@pytest.fixture
async def host(
    kind: str,
    hub: Hub,
    board: Board,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[PlayedHost]:
    """A host that has the project's repository; the project delivers by request."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    api._trusted.cache_clear()
    with played_host(kind, tmp_path / "served", hub.path, certificate) as found:
        values = {
            "repo_url": found.url,
            "branch": "main",
            "repo_credential": {"username": "git", "token": TOKEN},
            "delivery": "request",
            "delivery_host": kind,
        }
        answer = await board.owner.patch(board.path, json=values)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["delivery"], answer.json()["delivery_host"]) == ("request", kind)
        yield found
    api._trusted.cache_clear()


async def ready(board: Board, agent: Agent, title: str = "Make two a number", text: str = "2") -> str:
    """A card whose agent has changed something; returns its path."""
    agent.work = writes(app__py=f"one\n{text}\nthree\n")
    task = await board.task(title)
    await run(board, task)
    return task


async def accept(board: Board, task: str, **more: Any) -> dict[str, Any]:
    asked = {"revision": (await change(board, task))["revision"], **more}
    answer = await board.editor.post(f"{task}/change/accept", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "accepted"
    return answer.json()


async def delivered(board: Board, task: str, state: str = "opened") -> dict[str, Any]:
    """Return how a card's delivery stands, once it stands so and nothing is left to be done."""
    found: dict[str, Any] = {}

    async def stands() -> bool:
        found.update((await change(board, task))["delivery"] or {})
        return found.get("state") == state

    await eventually(stands)
    return found


async def is_request(board: Board, task: str, state: str) -> None:
    """Return once a card says that its request is so."""

    async def stands() -> bool:
        card = (await board.viewer.get(task)).json()["change"]
        return card["request"] is not None and card["request"]["state"] == state

    await eventually(stands)


def kept_commits(hub: Hub) -> list[str]:
    """The accepted commits that the hub keeps for their delivery."""
    return committed(hub, "for-each-ref", "--format=%(objectname)", "refs/vibe-accepted/").split()


async def look_now(parts: Services) -> None:
    """Have every open request looked up at once, as if time had passed."""

    async def is_quiet() -> bool:
        async with parts.database.read() as db:
            return not await db.scalar(select(func.count()).where(col(Change.intent).is_not(None)))

    await eventually(is_quiet)
    async with parts.database.transaction() as db:
        long_ago = now() - timedelta(hours=1)
        await db.execute(update(Change).where(col(Change.asks_at).is_not(None)).values(updated_at=long_ago))
        await change_queries.ask_now(db)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Whom one test trusts, another does not."""
    yield
    api._trusted.cache_clear()
