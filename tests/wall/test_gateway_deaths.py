"""`kill -9` of the gateway in mid-run, in the whole product: the run goes on, no limit is forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.e2e.installation import Installation, installed
from tests.waiting import eventually
from tests.wall import rig
from tests.wall.test_deaths import Product
from tests.wall.test_member import people
from tests.workspace_services.gateway.gate import KEY, Asked, Reply, Upstream
from tests.workspace_services.sidecar.provider import chunk, runs
from vibe_app.workspaces.runtimes.local.records import Record

LIMIT = 6
"""Requests that a session may make."""
on_one_server = pytest.mark.asyncio(loop_scope="module")


class Turns(Upstream):
    """A model that always has one more command to run; the third answer of a run stays open."""

    def __init__(self) -> None:
        super().__init__()
        self.before = 0
        self.script = self._turn

    @property
    def turns(self) -> int:
        """How often it was asked in this run."""
        return len(self.asked) - self.before

    def begin(self) -> None:
        """Count from 1 again."""
        self.before = len(self.asked)

    def _turn(self, _: Asked) -> Reply:
        if self.turns == 3:
            return Reply([chunk({"role": "assistant", "content": "Let me"}), asyncio.Event()])
        return Reply([bytes(piece) for piece in runs(f"echo turn {self.turns}").body])


@dataclass
class Counted(Product):
    """A product whose sessions may ask a few times, and the model that they ask."""

    model: Turns

    @property
    def record(self) -> Record:
        """The workspace's processes."""
        return Record.model_validate_json((self.installation.data / "run" / f"{self.id}.json").read_bytes())

    def gateway(self) -> int:
        """Its gateway's process."""
        service = self.record.gateway
        assert service
        return service.pid

    def rows(self, session: str) -> list[tuple[Any, ...]]:
        """Return the requests that are kept of a session: each journal, number and kind of usage."""
        with closing(sqlite3.connect(self.installation.data / "vibe.db")) as database:
            found = database.execute(
                "SELECT session_id, journal, number, usage FROM model_requests"
            ).fetchall()
        wanted = session.rpartition("/")[2].replace("-", "")
        return [row[1:] for row in found if str(row[0]).replace("-", "") == wanted]

    def nobodys(self) -> int:
        """Return how many requests count as talks."""
        with closing(sqlite3.connect(self.installation.data / "vibe.db")) as database:
            return database.execute(
                "SELECT count(*) FROM model_requests WHERE session_id IS NULL"
            ).fetchone()[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AsyncIterator[Counted]:
    """One for all tests here."""
    assert not (missing := rig.needs()), missing
    async with Turns() as model:
        settings = {
            "VIBE_MODEL": "scripted/model",
            "VIBE_MODEL_BASE_URL": model.url,
            "VIBE_MODEL_API_KEY": KEY,
            "VIBE_LIMIT_REQUESTS": str(LIMIT),
        }
        folder = tmp_path_factory.mktemp("counted")
        async with installed(folder, migrated, settings) as installation, people(installation) as (ada, _):
            made = await ada("POST", "/projects", json={"name": "P"})
            yield Counted(installation, ada, f"/projects/{made['id']}", made["id"], model)


def left_by(installation: Installation) -> list[psutil.Process]:
    """Commands that the agent left behind."""
    return installation.agents(name="echo turn")


@on_one_server
@pytest.mark.parametrize("journal", ["kept", "lost"])
async def test_a_run_whose_gateway_is_killed_ends_at_its_limit_and_counts_nothing_twice(
    product: Counted, journal: str
) -> None:
    product.model.begin()
    session = await product.executed("Run one command after the other.")
    await eventually(lambda: product.model.turns == 3, 90)

    async def counted() -> bool:
        return (await product.api("GET", session))["model_requests"] == 2

    # So much the board knows by itself; the third request is under way.
    await eventually(counted, 30)
    killed = product.gateway()
    if journal == "lost":
        (product.installation.data / "gateways" / product.id / "gateway.jsonl").unlink()
    os.kill(killed, signal.SIGKILL)
    ended = await product.ended(session)
    assert (ended["status"], ended["failure"], ended["attempt"]) == ("failed", "budget_exhausted", 1), ended
    assert ended["model_requests"] == LIMIT
    assert f"{LIMIT} of {LIMIT}" in ended["error"]

    # The request that was cut off is one of them, as far as anybody can know it: it went with the journal.
    assert product.model.turns == LIMIT + (journal == "lost")
    rows = product.rows(session)
    assert len(rows) == len({row[:2] for row in rows}) == LIMIT
    assert sorted(row[2] for row in rows) == ["part"] * (journal == "kept") + ["whole"] * (
        LIMIT - (journal == "kept")
    )
    assert len({row[0] for row in rows}) == (1 if journal == "kept" else 2)
    assert product.nobodys() == 0
    # Another gateway is there, one, and nothing of the run.
    assert product.gateway() != killed
    assert not psutil.pid_exists(killed)
    gateways = product.installation.agents(product.id, "workspace_services.gateway")
    assert [each.pid for each in gateways] == [product.gateway()]
    assert left_by(product.installation) == []


@on_one_server
async def test_without_a_death_the_run_ends_at_the_same_limit(product: Counted) -> None:
    """The twin: what the limit is without anything happening."""
    product.model.begin()
    product.model.before -= 3  # no answer stays open
    session = await product.executed("Run one command after the other.")
    ended = await product.ended(session)
    assert (ended["status"], ended["failure"], ended["model_requests"]) == (
        "failed",
        "budget_exhausted",
        LIMIT,
    )
    assert product.model.turns - 3 == LIMIT
