"""What one tab can make the server do at once, whatever it calls and however often."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from reflex.istate.manager.memory import StateManagerMemory

from tests.waiting import eventually
from tests.web.conftest import Open
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.vibe_app import app
from vibe_app.web import bounds
from vibe_app.wiring import Services

CALLS = 400


def running(token: str) -> int:
    """Count the handlers that go on for a tab."""
    processor = app.event_processor
    return sum(task._event_ctx.token == token for task in processor._tasks.values())  # type: ignore[attr-defined]


async def test_a_lasting_handler_runs_once_for_each_tab(
    parts: Services, project: ProjectView, tab: Open
) -> None:
    watcher, other = await tab("viewer", f"/p/{project.id}"), await tab("viewer", f"/p/{project.id}")
    await other.send("BoardState.watch")
    for _ in range(CALLS):
        await watcher.send("BoardState.watch")
    await eventually(lambda: watcher.var("BoardState", "loaded") and other.var("BoardState", "loaded"))
    await eventually(lambda: running(watcher.token) == 1)
    assert running(other.token) == 1
    await watcher.disconnect()
    await eventually(lambda: running(watcher.token) == 0)
    assert running(other.token) == 1


async def test_events_that_wait_in_line_are_bounded(
    parts: Services,
    project: ProjectView,
    tab: Open,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sender, other = await tab("viewer", f"/p/{project.id}"), await tab("owner", f"/p/{project.id}")
    await sender.settled()
    gate, reads = asyncio.Event(), 0
    listing = parts.projects.list

    async def slow(actor: Actor, **given: Any) -> Any:
        nonlocal reads
        if actor.email.startswith("viewer"):
            reads += 1
            await gate.wait()
        return await listing(actor, **given)

    monkeypatch.setattr(parts.projects, "list", slow)
    with caplog.at_level(logging.WARNING, bounds.__name__):
        for _ in range(CALLS):
            await sender.send("RailState.load")
            await asyncio.sleep(0)
    assert len(app.event_processor._token_queues[sender.token]) == bounds.WAITING
    assert len([each for each in caplog.records if each.name == bounds.__name__]) == 1
    await other.send("RailState.load")
    await eventually(lambda: other.var("RailState", "loaded"))
    gate.set()
    await sender.settled()
    await sender.call("RailState.load")  # there is room again
    assert reads == bounds.WAITING + 1


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> StateManagerMemory:
    """Where a server keeps the State of tabs."""
    manager = StateManagerMemory()
    monkeypatch.setattr(app, "_state_manager", manager)
    return manager


async def test_the_state_of_a_tab_without_a_login_goes_with_its_socket(
    memory: StateManagerMemory, project: ProjectView, tab: Open
) -> None:
    states = memory.states
    nobody, somebody = await tab(None, "/login"), await tab("viewer", f"/p/{project.id}")
    for each in (nobody, somebody):
        await each.call("SignInState.arrive")
        assert any(each.token in key for key in states)
        await each.disconnect()
    assert not any(nobody.token in key for key in states)
    assert any(somebody.token in key for key in states)
