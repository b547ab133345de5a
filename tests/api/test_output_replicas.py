"""A reader of `output` whose line is cut 100 times, by turns on two replicas: it holds what is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from itertools import count, cycle
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import pytest

from soak.people import People
from soak.plans import Plan
from soak.processes import Replica
from soak.reader import Reader
from soak.replica import WORKSPACES
from tests.conftest import POSTGRESQL
from tests.scripted import Script, ScriptedSidecar
from tests.setting_up import token_of
from tests.waiting import eventually
from vibe_app.db import Database
from vibe_app.runs.event_log import EventLog
from vibe_app.wire import iso

KEY = "a key for tests only, thirty-two bytes"
LIVE_CUTS, ALL_CUTS, BURST = 60, 100, 5000


@pytest.fixture
def database_kind() -> str:
    """SQLite serves one process."""
    return POSTGRESQL


@pytest.fixture
def hurry() -> asyncio.Event:
    """Set when the agent is to say the rest at once."""
    return asyncio.Event()


@pytest.fixture
async def sidecar(hurry: asyncio.Event) -> AsyncIterator[ScriptedSidecar]:
    """An agent that talks slowly for as long as it may."""

    def said() -> Iterator[tuple[str, str, float]]:
        for number in count(1):
            if hurry.is_set():
                break
            yield "output", f"line {number}, größer\n", 0.005
        for number in range(BURST):
            yield "output", f"and {number}\n", 0.0

    async with ScriptedSidecar(Script(said()), trusting=True) as sidecar:
        yield sidecar


@pytest.fixture
async def replicas(database_url: str, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    """Two replicas that serve, in processes of their own."""
    variables = {
        "VIBE_DATABASE_URL": database_url,
        "VIBE_DATA": str(tmp_path),
        "VIBE_SECRET_KEY": KEY,
        WORKSPACES: str(tmp_path / "workspaces.json"),
    }
    replicas = [Replica(number, tmp_path / f"{number}.log", variables) for number in (1, 2)]
    keepers = [asyncio.create_task(replica.keep()) for replica in replicas]
    try:
        (tmp_path / "workspaces.json").write_text("{}")
        async with asyncio.timeout(60):
            await asyncio.gather(*(replica.is_up() for replica in replicas))
        yield replicas
        await asyncio.gather(*(replica.close() for replica in replicas))
        await asyncio.gather(*keepers)
        assert [trouble for replica in replicas for trouble in replica.troubles] == []
    finally:
        for replica in replicas:
            await replica.destroy()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def talking(people: People, sidecar: ScriptedSidecar, folder: Path) -> tuple[str, str]:
    """Have the agent talk; return its card's path and the session."""
    await people.settle([1])
    (project,) = people.projects
    (folder / "workspaces.json").write_text(json.dumps({project: asdict(sidecar.endpoint)}))
    card = (await people.ask("POST", f"/projects/{project}/tasks", json={"title": "Talk"})).json()
    path = f"/projects/{project}/tasks/{card['id']}"
    return path, (await people.ask("POST", f"{path}/execute")).json()["session_id"]


async def test_cut_a_hundred_times_over_two_replicas(
    replicas: list[Replica], sidecar: ScriptedSidecar, hurry: asyncio.Event, database_url: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        people = People(replicas, "cuts", lambda _: Plan(0), token_of(KEY))
        stack.push_async_callback(people.close)
        path, session = await talking(people, sidecar, tmp_path)

        by_turns = cycle(replica.url for replica in replicas)
        reader = Reader(
            people.client, lambda: next(by_turns), f"{path}/output", session, Random(100),
            steadiness=0.0, most_bytes=3000, most_seconds=0.2,
        )  # fmt: skip
        while reader.cuts < LIVE_CUTS:
            await reader.connect()
        assert not sidecar.session(session).final
        hurry.set()

        async def over() -> bool:
            answer = await people.ask("GET", f"{path}/sessions/{session}")
            return answer.json()["status"] == "completed"

        await eventually(over, 30)
        reader.by_bytes = 1.0
        while reader.cuts < ALL_CUTS and not reader.done:
            await reader.connect()
        assert not reader.done, "the cuts should leave something for the last connection"
        reader.steadiness = 1.0
        await reader.follow()
        assert reader.troubles == people.troubles == []
        assert (reader.cuts, reader.broken) == (ALL_CUTS, 0)

        database = Database(database_url)
        stack.push_async_callback(database.close)
        logged = [event async for batch in EventLog(database).follow(UUID(session)) for event in batch.events]
        assert reader.seen == [
            (event.seq, event.type.value, event.text, iso(event.timestamp)) for event in logged
        ]
        assert len(logged) == len(sidecar.session(session).frames)


async def test_a_right_that_ends_on_one_replica_ends_the_stream_of_the_other(
    replicas: list[Replica], sidecar: ScriptedSidecar, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        people = People(replicas, "rights", lambda _: Plan(0), token_of(KEY))
        stack.push_async_callback(people.close)
        path, session = await talking(people, sidecar, tmp_path)
        made = await people.ask("POST", "/tokens", json={"name": "a reader", "scopes": ["read"]})
        token = made.json()

        here, there = (httpx.AsyncClient(base_url=each.url, timeout=20) for each in replicas)
        await stack.enter_async_context(here)
        await stack.enter_async_context(there)
        there.headers["Authorization"] = f"Bearer {token['token']}"
        async with there.stream("GET", f"{path}/output", params={"session_id": session}) as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces)
            here.headers["Authorization"] = people.client.headers["Authorization"]
            assert (await here.delete(f"/tokens/{token['id']}")).status_code == 204
            async with asyncio.timeout(5):
                with suppress(httpx.RemoteProtocolError):
                    async for _ in pieces:
                        pass
        await people.ask("POST", f"{path}/stop")
        assert people.troubles == []
