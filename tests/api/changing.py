"""A project whose hub is real git behind a real file browser, and an agent that is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Board, serving
from tests.fakes import FakeRuntime, SlowRuntime
from tests.scripted import Request, Script, ScriptedSidecar
from tests.workspace_services.git.rooms import made, own_git
from vibe_app.wire import StartSession
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspace_services.git.hub import Hub

Work = Callable[[Path, StartSession], Script | None]


@dataclass
class Agent:
    """What the agent of a test does in a card's tree, and what it was told."""

    root: Path
    work: Work = field(default=lambda tree, start: None)
    told: list[StartSession] = field(default_factory=list)

    def __call__(self, start: StartSession) -> Script:
        """Do it, and say how that ends."""
        self.told.append(start)
        assert start.tree is not None
        return self.work(self.root / "tasks" / str(start.tree), start) or Script(
            summary="Done, **all** of it."
        )


class Unheard(ScriptedSidecar):
    """Takes a follow-up on, or not, without an answer; while it is `mute` nothing that ends one either.

    It may also know nothing of one whose message the conversation has all the same.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.accepts = self.forgets = self.drops = self.mute = False

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        if self.drops and request.method == "POST" and request.path == "/sessions":
            start = StartSession.model_validate_json(request.body)
            if self.accepts and start.session_id not in self.sessions:
                self.begin(start)
            if self.forgets:
                self.said.add((start.conversation or "", start.spends_for or ""))
            raise ConnectionResetError
        if self.mute and request.path.endswith("/stop"):
            raise ConnectionResetError
        await super().answer(request, writer)


def writes(**files: str) -> Work:
    """An agent that writes files; two underscores stand for a dot."""

    def work(tree: Path, start: StartSession) -> None:
        for name, text in files.items():
            (tree / name.replace("__", ".")).write_text(text)

    return work


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path / "workspace")


@pytest.fixture
def runtime(agent: Agent) -> SlowRuntime:
    runtime = SlowRuntime(lambda project_id: Unheard(agent))
    runtime.may_start.set()
    runtime.trees = True
    return runtime


@pytest.fixture
async def hub(agent: Agent, runtime: FakeRuntime, service_token: str) -> AsyncIterator[Hub]:
    """The workspace's hub, with the file browser that serves it running."""
    found = await made(agent.root, {"app.py": "one\ntwo\nthree\n", "README.md": "# App\n"})
    async with serving(create_app(Config(agent.root, Listening(service_token)))) as url:
        runtime.files_url = url
        yield found


async def run(board: Board, task: str, **body: Any) -> dict[str, Any]:
    """Execute a card, wait for the end, and return the session."""
    started = await board.editor.post(f"{task}/execute", json=body)
    assert started.status_code == 200, started.text
    return await board.session_is(task, "completed")


async def follow(board: Board, task: str, status: str = "completed", **body: Any) -> dict[str, Any]:
    """Follow up, wait for the end, and return the session."""
    started = await board.editor.post(f"{task}/follow-up", json=body)
    assert started.status_code == 200, started.text
    return await board.session_is(task, status)


async def change(board: Board, task: str) -> dict[str, Any]:
    """Return the card's change."""
    answer = await board.viewer.get(f"{task}/change")
    assert answer.status_code == 200, answer.text
    return answer.json()


def committed(hub: Hub, *arguments: str) -> str:
    """What git says of the base branch."""
    return own_git(hub.path, *arguments)
