"""A server killed in mid-run: how long its sessions stand still.

On PostgreSQL two servers share the database, and the one that runs the sessions
is killed; on SQLite the only one is, and is started again at once. The sidecars
are a process of their own and speak on. Standing still ends with the first
event that is stored under the next owner.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.databases import POSTGRESQL, SQLITE, database
from bench.figures import Figure, spread
from bench.server import App, NotReady, address, app
from bench.sidecars import sidecars

TAKEOVER_S = 12
EACH, RATE = 3, 20.0
"""Sessions that run at each kill, and lines a second of each."""


class Book:
    """Looks at the rows themselves, as no server can be asked."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def rows(self) -> dict[str, tuple[str, int]]:
        """Return the owner of each live session and the number of its last event."""
        query = "SELECT id, owner, last_seq FROM sessions WHERE status IN ('pending', 'running')"
        async with self._engine.connect() as connection:
            rows = await connection.execute(text(query))
            return {str(row.id): (row.owner or "", row.last_seq) for row in rows}

    async def spoken(self, count: int) -> None:
        """Return once so many sessions are live and each has some output."""
        deadline = time.monotonic() + 30
        while True:
            rows = await self.rows()
            if len(rows) == count and all(last > RATE for _, last in rows.values()):
                return
            if time.monotonic() > deadline:
                raise NotReady(f"Not all of {count} sessions came to speak: {rows}")
            await asyncio.sleep(0.1)

    async def over(self) -> None:
        """Return once no session is live."""
        deadline = time.monotonic() + 30
        while rows := await self.rows():
            if time.monotonic() > deadline:
                raise NotReady(f"Not all of the sessions came to their end: {rows}")
            await asyncio.sleep(0.1)

    async def taken_over(self, since: float, before: dict[str, tuple[str, int]]) -> list[float]:
        """Return for each session how many seconds passed until another owner had stored something."""
        found: dict[str, float] = {}
        owners = {name: owner for name, (owner, _) in before.items()}
        theirs: dict[str, int] = {}
        while len(found) < len(before):
            if time.monotonic() - since > 60:
                raise NotReady(f"Nobody took over {len(before) - len(found)} of the sessions within 60 s.")
            for name, (owner, last) in (await self.rows()).items():
                if name in found or owner in ("", owners.get(name)):
                    continue
                if last > theirs.setdefault(name, last):
                    found[name] = time.monotonic() - since
            await asyncio.sleep(0.02)
        return list(found.values())


async def begin(served: App, count: int) -> None:
    """Execute some cards."""
    project = await served.project()
    for number in range(count):
        await served.ask("POST", f"{await served.task(project, f'Card {number}')}/execute")


async def killed(kind: str, rounds: int) -> list[float]:
    """Kill the server that runs the sessions; return for how many seconds each session stood still."""
    samples: list[float] = []
    seconds = 20 if kind == POSTGRESQL else 8
    limits = {"VIBE_PROJECT_LIMIT": str(EACH), "VIBE_INSTALLATION_LIMIT": str(EACH)}
    async with AsyncExitStack() as stack:
        variables = stack.enter_context(database(kind))
        playing = stack.enter_context(sidecars())
        served = await stack.enter_async_context(app(playing.endpoint, **limits, **variables))
        url = variables.get("VIBE_DATABASE_URL") or f"sqlite+aiosqlite:///{served.data / 'vibe.db'}"
        engine = create_async_engine(url)
        stack.push_async_callback(engine.dispose)
        logged = Book(engine)
        for _ in range(rounds):
            await begin(served, EACH)
            other = served.process
            speaking = asyncio.create_task(playing.speak(int(seconds * RATE), RATE))
            await logged.spoken(EACH)
            if kind == POSTGRESQL:
                other = served.serve()
                await address(served.data, other)
            before, at = await logged.rows(), time.monotonic()
            served.process.kill()
            await asyncio.to_thread(served.process.wait)
            if kind == SQLITE:
                other = served.serve()
            samples += await logged.taken_over(at, before)
            await served.turn_to(other)
            await speaking
            await logged.over()
    return samples


async def run(quick: bool) -> list[Figure]:
    """Measure on both."""
    rounds = 1 if quick else 3
    taken, restarted = await killed(POSTGRESQL, rounds), await killed(SQLITE, rounds)
    return [
        Figure(
            "PostgreSQL: another server goes on, slowest", max(taken), "s", TAKEOVER_S, spread(taken, "s")
        ),
        Figure(
            "SQLite: the server, started again, goes on, slowest",
            max(restarted),
            "s",
            note=spread(restarted, "s"),
        ),
    ]
