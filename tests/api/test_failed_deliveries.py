"""What a delivery comes to that its repository, its host or a death breaks off."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from tests.api import changing, delivering
from tests.api.changing import Agent, change
from tests.api.conftest import Board
from tests.api.delivering import BRANCH, accept, delivered, is_request, look_now, ready
from tests.hosts import TOKEN, PlayedHost, said
from tests.waiting import eventually
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.tasks.models import Task
from vibe_app.changes import decisions
from vibe_app.changes.decisions import Decisions
from vibe_app.clients.hosts import api
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

hub = changing.hub
settings = delivering.settings
agent = delivering.agent
runtime = delivering.runtime
kind = delivering.kind
host = delivering.host
forgotten = delivering.forgotten

FAULTS = [
    (lambda method, path: said(401, {"message": "401 Unauthorized"}), "host_unauthorized"),
    (lambda method, path: said(403, {"message": f"Not with {TOKEN}"}), "host_forbidden"),
    (lambda method, path: said(404, {"message": "Not Found"}), "host_not_found"),
    (lambda method, path: said(302, {}, Location="https://127.0.0.1:9/"), "host_redirects"),
    (lambda method, path: said(429, {}, **{"Retry-After": "60"}), "too_many_requests"),
    (lambda method, path: said(423, {"message": "The repository is archived"}), "host_refused"),
    (lambda method, path: (200, {}, b"<html>"), "host_strange"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[code for _, code in FAULTS])
async def test_the_accept_stands_whatever_its_delivery_comes_to(
    board: Board,
    agent: Agent,
    hub: Hub,
    host: PlayedHost,
    fault: Any,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = await ready(board, agent)
    host.fault = fault
    await accept(board, task)
    failed = await delivered(board, task, "failed")
    assert failed["code"] == code
    assert failed["error"].startswith(
        f"Its branch {BRANCH} is at the repository, but it has no open request."
    )
    assert TOKEN not in failed["error"] + caplog.text
    assert await board.status(task) == "DONE"
    host.fault = lambda method, path: None
    assert (await board.editor.post(f"{task}/change/deliver")).status_code == 200
    await delivered(board, task)
    assert [pull.head for pull in host.pulls] == [BRANCH]
    assert set(host.branches()) == {"main", BRANCH}


async def test_it_is_delivered_again_though_the_last_time_is_still_tidied_away(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidy, free = Decisions._tidy, asyncio.Event()

    async def held(self: Decisions, change: Change, task: Task) -> None:
        await free.wait()
        await tidy(self, change, task)

    task = await ready(board, agent)
    monkeypatch.setattr(Decisions, "_tidy", held)
    monkeypatch.setattr(decisions, "LOOK", 3600.0)
    host.fault = lambda method, path: said(423, {"message": "The repository is archived"})
    accepted = asyncio.create_task(accept(board, task))
    await delivered(board, task, "failed")
    host.fault = lambda method, path: None
    again = asyncio.create_task(board.editor.post(f"{task}/change/deliver"))
    await delivered(board, task, "waiting")
    free.set()
    assert (await again).status_code == 200
    await delivered(board, task)
    await accepted


async def test_a_push_that_is_refused_is_told_and_tried_again(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost
) -> None:
    task = await ready(board, agent)
    credential = {"username": "git", "token": "another-token"}
    await board.owner.patch(board.path, json={"repo_credential": credential})
    await accept(board, task)
    failed = await delivered(board, task, "failed")
    assert "does not take the token" in failed["error"]
    assert "another-token" not in failed["error"]
    assert host.asked == []
    credential["token"] = TOKEN
    await board.owner.patch(board.path, json={"repo_credential": credential})
    await board.editor.post(f"{task}/change/deliver")
    await delivered(board, task)


async def test_a_host_that_hangs_is_given_up(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await ready(board, agent)
    over = Event()
    monkeypatch.setattr(api, "LONGEST", 0.5)
    host.fault = lambda method, path: over.wait(30) and None
    await accept(board, task)
    try:
        assert (await delivered(board, task, "failed"))["code"] == "host_slow"
    finally:
        over.set()


@pytest.mark.parametrize("at", ["the push", "the request"])
async def test_a_delivery_that_was_broken_off_is_finished_and_nothing_is_done_twice(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services, at: str
) -> None:
    task = await ready(board, agent)
    stopped: list[str] = []

    def die(method: str, path: str) -> Any:
        """Stand for a death: what was done is done, and the row knows nothing of it."""
        if at == "the push" or method == "POST":
            stopped.append(method)
        return said(500, {}) if at == "the push" else None

    host.fault = die
    accepted = await accept(board, task)
    await delivered(board, task, "failed" if at == "the push" else "opened")
    assert stopped
    host.fault = lambda method, path: None
    async with parts.database.transaction() as db:
        kept = {"mode": "request", "state": "waiting", "branch": BRANCH, "commit": accepted["commit"]}
        await change_queries.write(
            db,
            UUID(accepted["id"]),
            delivery=kept,
            asks_at=None,
            intent="deliver",
        )
        db.announce(change_queries.CHANGES)
    delivery = await delivered(board, task)
    assert (delivery["branch"], delivery["request"]["number"]) == (BRANCH, 1)
    assert set(host.branches()) == {"main", BRANCH}
    assert len(host.pulls) == 1


async def test_a_host_on_a_private_network_is_not_asked(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    parts.requests._remotes._networks = ""
    await accept(board, task)
    assert (await delivered(board, task, "failed"))["code"] == "private_address"
    assert host.asked == []


async def test_a_look_that_fails_is_said_and_the_request_stays(
    board: Board, agent: Agent, hub: Hub, host: PlayedHost, parts: Services
) -> None:
    task = await ready(board, agent)
    await accept(board, task)
    await delivered(board, task)
    host.fault = lambda method, path: said(403, {"message": f"Not with {TOKEN}"})
    await look_now(parts)

    async def is_told() -> bool:
        return (await change(board, task))["delivery"]["code"] == "host_forbidden"

    await eventually(is_told)
    delivery = (await change(board, task))["delivery"]
    assert (delivery["state"], delivery["request"]["state"]) == ("opened", "open")
    assert TOKEN not in delivery["error"]
    host.fault = lambda method, path: None
    host.pulls[0].state = "closed"
    await look_now(parts)
    await is_request(board, task, "closed")
    assert (await change(board, task))["delivery"]["error"] is None
