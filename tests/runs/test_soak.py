"""The soaks in short: so many sessions, so many faults, and not a line lost. `make soak` has them in full."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import pytest

from soak import plans
from soak.rounds.course import Rounds, soak_rounds
from soak.soak import Course, Outcome, soak
from tests.conftest import POSTGRESQL, SQLITE
from tests.postgres import Server

log = logging.getLogger(__name__)
# On a busy machine three replicas take their time to start, again and again.
pytestmark = pytest.mark.timeout(300)

# Leases shorter than in production, since a replica is frozen for longer than one.
SHORT = partial(
    Course,
    seed="short",
    throw=partial(plans.scripted, slow=0.1),
    limits=(1, 2, 3),
    installation_limit=5,
    hands=7,
    lease=3.0,
    heartbeat=0.5,
    drain=120.0,
)


def assert_nothing_lost(outcome: Outcome) -> None:
    assert outcome.violations == [], f"the evidence is in {outcome.folder}"


@pytest.mark.parametrize("database_kind", [POSTGRESQL])
async def test_three_replicas_on_postgresql(database_url: str, postgres_server: Server) -> None:
    bag = {"kill": 1, "terminate": 1, "freeze": 1, "restart": 1, "crash": 1, "cut": 2}
    course = SHORT("postgresql", 3, bag=bag, sessions=18, faults=7, pause=(0.5, 1.5))
    outcome = await soak(course, f"{database_url}&application_name=soak", log.info, postgres_server)
    assert_nothing_lost(outcome)
    assert int(outcome.figures["sessions"]) >= 18
    assert {kind: int(outcome.figures[f"  {kind}"]) for kind in bag} == bag


@pytest.mark.parametrize("database_kind", [SQLITE])
async def test_one_process_on_sqlite(database_url: str, tmp_path: Path) -> None:
    course = SHORT("sqlite", 1, bag={"kill": 1}, sessions=10, faults=3, pause=(0.5, 2.0))
    outcome = await soak(course, database_url, log.info)
    assert_nothing_lost(outcome)
    assert int(outcome.figures["sessions"]) >= 10
    assert int(outcome.figures["  kill"]) == 3


@pytest.mark.parametrize("database_kind", [SQLITE])
async def test_rounds_from_a_run_to_its_result(database_url: str) -> None:
    course = Rounds("rounds", "short", 12, 5, desks=3, projects=1, pause=(3.0, 6.0), chance=0.2, lease=3.0)
    outcome = await soak_rounds(course, database_url, log.info)
    assert_nothing_lost(outcome)
    assert int(outcome.figures["rounds"]) >= 12
    assert int(outcome.figures["deaths"]) >= 5
    assert int(outcome.figures["  checkpoints compared"]) > 0
