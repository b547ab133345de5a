"""`python -m soak`: soaks everything, or what is named; prints a table of figures for each."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from secrets import token_hex

from bench.figures import machine
from soak import plans
from soak.agent import soak_opencode
from soak.processes import ROOT
from soak.rounds.course import Rounds, soak_rounds
from soak.soak import Course, Outcome, soak
from tests import postgres

FAULTS = {"kill": 6, "terminate": 4, "freeze": 3, "restart": 1, "crash": 1, "cut": 5}


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def migrate(url: str) -> None:
    """Bring a database to the newest revision.

    Raises:
        CalledProcessError: That failed; it has said why.
    """
    upgrade = "from vibe_app.cli import main; main()"
    environment = {**os.environ, "VIBE_DATABASE_URL": url}
    subprocess.run([sys.executable, "-c", upgrade, "db", "upgrade"], cwd=ROOT, env=environment, check=True)


@contextmanager
def own_postgresql() -> Generator[tuple[postgres.Server, str]]:
    """A PostgreSQL of one's own for as long as this lasts, and a migrated database of it."""
    server = postgres.Server(postgres.bring())
    try:
        server.start()
        with server.database() as url:
            migrate(url)
            yield server, f"{url}&application_name=soak"
    finally:
        server.close()


async def on_postgresql(seed: str, seconds: float) -> Outcome:
    """Soak three replicas on a PostgreSQL of their own."""
    with own_postgresql() as (server, url):
        course = Course("postgresql", 3, seed, plans.scripted, FAULTS, seconds, sessions=_least(seconds))
        return await soak(course, url, say, server)


def _least(seconds: float) -> int:
    """Half a session a second, whatever the machine is like."""
    return round(seconds / 2)


async def on_sqlite(seed: str, faults: int) -> Outcome:
    """Soak one process on SQLite, killed again and again in mid-run."""
    with tempfile.TemporaryDirectory(prefix="vibe-soak-") as folder:
        url = f"sqlite+aiosqlite:///{folder}/vibe.db"
        migrate(url)
        course = Course("sqlite", 1, seed, plans.scripted, {"kill": 1}, faults=faults, pause=(4.0, 14.0))
        return await soak(course, url, say)


async def of_rounds(seed: str, rounds: int) -> Outcome:
    """Soak the whole product on SQLite: from a run to a result, so many times, with half as many deaths."""
    with tempfile.TemporaryDirectory(prefix="vibe-soak-") as folder:
        url = f"sqlite+aiosqlite:///{folder}/vibe.db"
        migrate(url)
        return await soak_rounds(Rounds("rounds", seed, rounds, rounds // 2), url, say)


async def of_rounds_on_postgresql(seed: str, rounds: int) -> Outcome:
    """The same on a PostgreSQL of its own."""
    with own_postgresql() as (_, url):
        return await soak_rounds(Rounds("rounds-postgresql", seed, rounds, rounds // 2), url, say)


async def with_opencode(seed: str, seconds: float) -> Outcome:
    """Soak three replicas on PostgreSQL around the real agent with the rehearsal model."""
    with own_postgresql() as (server, url):
        course = Course(
            "opencode", 3, seed, plans.rehearsed, FAULTS, seconds,
            pause=(3.0, 8.0), limits=(2, 3), installation_limit=4, hands=6,
        )  # fmt: skip
        return await soak_opencode(course, url, say, server)


def show(name: str, outcome: Outcome) -> None:
    """Print what came of a soak."""
    say(f"\n{name}")
    for figure, value in outcome.figures.items():
        say(f"  {figure:<48} {value:>14}")
    for sentence in outcome.violations[:20]:
        say(f"  ✗ {sentence}")
    if len(outcome.violations) > 20:
        say(f"  ✗ and {len(outcome.violations) - 20} more")
    if outcome.folder is not None:
        say(
            f"  The evidence is in {outcome.folder}: violations.txt, the database's rows, the replicas' logs."
        )
    say("")


def main() -> int:
    """Soak; return the exit status: 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("names", nargs="*", help="which soaks (default: all of them)")
    parser.add_argument("--seed", default="", help="of an earlier soak, to have the same dice")
    parser.add_argument("--share", type=float, default=1.0, help="of the full length (default: 1)")
    given = parser.parse_args()
    seed = given.seed or token_hex(4)
    # That the database is away is what is done here.
    logging.basicConfig(level="ERROR")
    rounds = max(1, round(200 * given.share))
    soaks: Mapping[str, tuple[str, Callable[[], Awaitable[Outcome]]]] = {
        "postgresql": ("Three replicas on PostgreSQL", partial(on_postgresql, seed, 600 * given.share)),
        "sqlite": ("One process on SQLite", partial(on_sqlite, seed, max(1, round(30 * given.share)))),
        "opencode": ("Three replicas around OpenCode", partial(with_opencode, seed, 120 * given.share)),
        "rounds": ("From a run to a result", partial(of_rounds, seed, rounds)),
        "rounds-postgresql": (
            "From a run to a result, on PostgreSQL",
            partial(of_rounds_on_postgresql, seed, rounds),
        ),
    }
    if unknown := set(given.names) - soaks.keys():
        parser.error(f"there is no soak {', '.join(sorted(unknown))}")
    for name, value in machine():
        say(f"{name}: {value}")
    say(f"Seed: {seed}\n")
    began, outcomes = time.monotonic(), list[tuple[str, Outcome]]()
    for name in given.names or soaks:
        title, run = soaks[name]
        outcomes.append((title, asyncio.run(_awaited(run))))
        show(*outcomes[-1])
    return _sum_up(outcomes, began, seed)


def _sum_up(outcomes: list[tuple[str, Outcome]], began: float, seed: str) -> int:
    broken = sum(len(outcome.violations) for _, outcome in outcomes)
    say(f"{broken} violations in {(time.monotonic() - began) / 60:.0f} min, seed {seed}")
    return int(broken > 0)


async def _awaited(run: Callable[[], Awaitable[Outcome]]) -> Outcome:
    return await run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Broken off: nothing of it runs any more.")
