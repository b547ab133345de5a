"""One soak from its first replica to its verdict."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from soak import checks, evidence, history
from soak.faults import BadLuck, Server
from soak.people import People
from soak.plans import Plan
from soak.processes import Replica, workspaces
from soak.replica import WORKSPACES
from soak.workspace import TOKEN
from vibe_app.accounts.proof import Signer
from vibe_app.board.lifecycle import TASK_AFTER
from vibe_app.db import Database
from vibe_app.workspaces.runtimes.base import Endpoint

KEY = "signs the logins of one soak and of nothing else"


@dataclass(frozen=True)
class Course:
    """What is soaked, and for how long.

    Faults go on until `seconds` have passed and there were `faults` of them; people start
    further sessions until then, and until there are `sessions` of them.

    Args:
        name: What to call it.
        replicas: How many processes serve.
        seed: Decides everything that is thrown dice for.
        throw: Makes the plan of a session.
        bag: How often each kind of fault comes, see `BadLuck`.
        seconds, sessions, faults: How long it goes on.
        pause: Seconds between two faults, at least and at most.
        limits: How many sessions each project may run at once.
        installation_limit: How many all may.
        hands: How many sessions people have asked for at a time.
        lease, heartbeat: The app's settings; by default those of production.
        drain: Seconds in which everything must be over after the last fault.
    """

    name: str
    replicas: int
    seed: str
    throw: Callable[[Random], Plan]
    bag: Mapping[str, int]
    seconds: float = 0.0
    sessions: int = 0
    faults: int = 0
    pause: tuple[float, float] = (2.0, 7.0)
    limits: tuple[int, ...] = (1, 1, 2, 2, 3, 4)
    installation_limit: int = 8
    hands: int = 14
    lease: float = 9.0
    heartbeat: float = 2.0
    drain: float = 300.0


@dataclass
class Outcome:
    """What came of a soak.

    Args:
        figures: Numbers by name, in the order in which to show them.
        violations: One sentence for each broken promise.
        folder: Where the evidence is; None where nothing was broken and it was thrown away.
    """

    figures: dict[str, str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    folder: Path | None = None


Say = Callable[[str], None]


async def soak(course: Course, database_url: str, say: Say, server: Server | None = None) -> Outcome:
    """Soak the app with scripted workspaces on a migrated database.

    Args:
        course: What and how long.
        database_url: The database. On PostgreSQL it should name this soak's own connections `soak`.
        say: Takes a line of progress.
        server: The database's server, for faults of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"vibe-soak-{course.name}-"))
    (folder / "said").mkdir()
    async with workspaces(len(course.limits), folder / "said", course.seed) as ports:
        endpoints = [Endpoint(f"http://127.0.0.1:{port}", TOKEN) for port in ports]

        async def endpoint(number: int, _project: str) -> Endpoint:
            return endpoints[number]

        body = Soak(course, database_url, folder, say, server)
        async with body.running():
            await body.settle(endpoint)
            await body.go()
        return await body.verdict(lambda: evidence.recorded(folder / "said"))


class Soak:
    """The parts of a soak, in the order of its methods.

    Args:
        course: What and how long.
        database_url: The migrated database.
        folder: Where logs and evidence go.
        say: Takes a line of progress.
        server: The database's server, for faults of its own.
    """

    def __init__(
        self, course: Course, database_url: str, folder: Path, say: Say, server: Server | None
    ) -> None:
        self.course = course
        self.folder = folder
        self.say = say
        self.database = Database(database_url)
        self.listed = folder / "workspaces.json"
        self.listed.write_text("{}")
        variables = {
            "VIBE_DATABASE_URL": database_url.replace("application_name=soak", "application_name=replica"),
            "VIBE_DATA": str(folder / "data"),
            "VIBE_SECRET_KEY": KEY,
            "VIBE_LEASE": str(course.lease),
            "VIBE_HEARTBEAT": str(course.heartbeat),
            "VIBE_INSTALLATION_LIMIT": str(course.installation_limit),
            WORKSPACES: str(self.listed),
        }
        self.replicas = [
            Replica(number, folder / f"replica-{number}.log", variables)
            for number in range(1, course.replicas + 1)
        ]
        self.people = People(self.replicas, course.seed, course.throw, Signer(KEY).set_up_token())
        self.sampler = history.Sampler(self.database, course.installation_limit)
        self.luck = BadLuck(
            self.replicas, Random(f"{course.seed} faults"), course.bag, course.pause, course.lease, server
        )
        self.began = self.ended_faults = time.monotonic()
        self.troubles: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the replicas; at the end they are asked to end, and have to."""
        keepers = [asyncio.create_task(replica.keep()) for replica in self.replicas]
        try:
            yield
            await asyncio.gather(*(replica.close() for replica in self.replicas))
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            for replica in self.replicas:
                await replica.destroy()
            await self.people.close()

    async def settle(self, endpoint: Callable[[int, str], Awaitable[Endpoint]]) -> None:
        """Have everything ready: history, replicas, projects, and where their workspaces are."""
        await history.install(self.database)
        await asyncio.gather(*(replica.is_up() for replica in self.replicas))
        await self.people.settle(self.course.limits)
        found: dict[str, dict[str, str]] = {}
        for number, project in enumerate(self.people.projects):
            found[project] = asdict(await endpoint(number, project))
        self.listed.write_text(json.dumps(found))

    async def go(self) -> None:
        """Let people work and bad luck strike until it is enough; then wait, for so long and no longer."""
        self.began = time.monotonic()
        looking = asyncio.create_task(self.sampler.look_on(0.2))
        telling = asyncio.create_task(self._tell())
        working = asyncio.create_task(self.people.work(self.course.hands, self._enough))
        striking = asyncio.create_task(self.luck.strike(self._struck_enough, self._may_strike))
        try:
            await _first_failure(striking, working, looking)
            self.ended_faults = time.monotonic()
            self.say(f"{self.course.name}: no more faults; everything has to come to its end")
            done, _ = await asyncio.wait({working}, timeout=self.course.drain)
            if not done:
                self.troubles.append(
                    f"not everything was over {self.course.drain:.0f} s after the last fault"
                )
        finally:
            for task in (looking, telling, working, striking):
                task.cancel()
            results = await asyncio.gather(looking, telling, working, striking, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _enough(self) -> bool:
        return self._struck_enough() and len(self.people.asked) >= self.course.sessions

    def _struck_enough(self) -> bool:
        passed = time.monotonic() - self.began
        return passed >= self.course.seconds and self.luck.total >= self.course.faults

    async def _may_strike(self) -> None:
        """With one replica: strike when it has a session in mid-run."""
        if self.course.replicas > 1:
            return
        while self.replicas[0].pid not in self.sampler.mid_run and not self._struck_enough():
            await self.sampler.looked.wait()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(10)
            over, seen = self.sampler.over, self.sampler
            ends = ", ".join(f"{over.get(name, 0)} {name}" for name in ("completed", "failed", "cancelled"))
            passed = time.monotonic() - self.began
            self.say(
                f"{self.course.name} {passed:4.0f} s: {len(self.people.asked)} sessions"
                f" ({ends}, {seen.pending} waiting), {seen.events:,} events, {self.luck.total} faults,"
                f" {len(self._troubles())} violations seen"
            )

    def _troubles(self) -> list[str]:
        of_replicas = [sentence for replica in self.replicas for sentence in replica.troubles]
        return [*self.troubles, *of_replicas, *self.people.troubles, *self.sampler.troubles]

    async def verdict(self, said: Callable[[], dict[str, evidence.Said]]) -> Outcome:
        """Check everything; keep the evidence where a check fails."""
        took = time.monotonic() - self.ended_faults
        found = await evidence.stored(self.database)
        await self.database.close()
        found.said, found.asked, found.stops = said(), self.people.asked, self.people.stops
        found.faults = [fault for replica in self.replicas for fault in replica.faults]
        found.installation_limit = self.course.installation_limit
        outcome = Outcome(violations=[*self._troubles(), *checks.all_of(found)])
        outcome.figures = self._figures(found, took, len(outcome.violations))
        if outcome.violations:
            outcome.folder = self.folder
            evidence.write_out(found, self.folder)
            (self.folder / "violations.txt").write_text("\n".join(outcome.violations) + "\n")
        else:
            shutil.rmtree(self.folder)
        return outcome

    def _figures(self, found: evidence.Evidence, drained: float, violations: int) -> dict[str, str]:
        statuses = [session.status for session in found.sessions]
        readers = [reader for asked in found.asked.values() for reader in asked.readers]
        figures: dict[str, object] = {
            "seed": self.course.seed,
            "seconds with faults": round(self.ended_faults - self.began),
            "seconds to the end of everything": round(drained),
            "sessions": len(statuses),
            **{over.value: statuses.count(over) for over in TASK_AFTER},
            "given up as they crashed three times": sum(checks.capped(each) for each in found.sessions),
            "further attempts": sum(session.attempt - 1 for session in found.sessions),
            "events stored": sum(len(logged) for logged in found.events.values()),
            "faults": self.luck.total,
            **{f"  {kind}": count for kind, count in sorted(self.luck.counts.items())},
            "claims": sum(move.claim for move in found.moves),
            "  of them takeovers from the dead or frozen": sum(move.takeover for move in found.moves),
            "  from replicas that nothing was done to": len(checks.unexplained(found)),
            "most places taken at a time": f"{self.sampler.most} of {self.course.installation_limit}",
            "moments looked at": self.sampler.samples,
            "readers of output": len(readers),
            "  connections they cut": sum(reader.cuts for reader in readers),
            "  connections cut by the other side": sum(reader.broken for reader in readers),
            **{f"requests: {name}": count for name, count in sorted(self.people.counts.items())},
            "violations": violations,
        }
        return {
            name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in figures.items()
        }


async def _first_failure(awaited: asyncio.Task[None], *others: asyncio.Task[None]) -> None:
    """Wait for one task; come back at once where another fails."""
    waiting = {awaited, *others}
    while awaited in waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
