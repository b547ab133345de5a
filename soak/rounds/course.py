"""One soak of rounds from its first process to its verdict.

The whole product runs: a server with the local runtime, and for each project the real sidecar, file browser,
gateway and OpenCode, with the rehearsal model. The server is started again whenever it ends; everything
else is started again by the product.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx

from soak.processes import Replica
from soak.rounds import checks, luck
from soak.rounds.asking import Hangs, Person, until
from soak.rounds.outside import Workspace
from soak.rounds.team import Team
from soak.rounds.work import LINES, SHARED
from soak.soak import KEY, Outcome, Say
from vibe_app.accounts.proof import Signer
from vibe_app.aio import cancel
from vibe_app.db import Database
from vibe_app.settings import load_settings

_PASSWORD = "correct horse battery"
_PEOPLE = (("Ada", "owner"), ("Eve", "editor"), ("Vic", "viewer"))
_DRAIN = 400.0


@dataclass(frozen=True)
class Rounds:
    """How much is done, and how much is killed.

    Args:
        name: What to call it.
        seed: Decides everything that is thrown dice for.
        rounds: Runs of agents that come to rest, at least.
        deaths: Processes that are killed, at least.
        desks: How many cards each project works on side by side.
        projects: How many projects there are.
        pause: Seconds between two deaths that come by themselves.
        chance: Of a death whenever somebody asks for something.
        lease: The app's setting.
        longest: Seconds after which no card is begun any more.
    """

    name: str
    seed: str
    rounds: int
    deaths: int
    desks: int = 5
    projects: int = 2
    pause: tuple[float, float] = (4.0, 12.0)
    chance: float = 0.15
    lease: float = 4.0
    longest: float = 3600.0


async def soak_rounds(course: Rounds, database_url: str, say: Say) -> Outcome:
    """Soak the whole product on a migrated database; see `Rounds`."""
    folder = Path(tempfile.mkdtemp(prefix=f"vibe-soak-{course.name}-"))
    body = _Soak(course, database_url, folder, say)
    keeper = asyncio.create_task(body.server.keep())
    try:
        await body.go()
        await body.server.close()
        await keeper
    finally:
        await cancel(keeper)
        await body.server.destroy()
        await luck.end_everything(body.data)
        await body.client.aclose()
        await body.database.close()
    return body.outcome()


class _Soak:
    def __init__(self, course: Rounds, database_url: str, folder: Path, say: Say) -> None:
        self.course = course
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        self.say = say
        self.database = Database(database_url)
        self.client = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=None))
        self.asked: Counter[str] = Counter()
        variables = {
            "VIBE_DATABASE_URL": database_url,
            "VIBE_DATA": str(self.data),
            "VIBE_SECRET_KEY": KEY,
            "VIBE_OPENCODE": str(load_settings().opencode_binary),
            "VIBE_LEASE": f"{course.lease:g}",
            "VIBE_HEARTBEAT": f"{course.lease / 4:g}",
            "VIBE_INSTALLATION_LIMIT": str(course.desks * course.projects),
        }
        self.server = Replica(1, folder / "server.log", variables)
        dice = Random(f"{course.seed} luck")
        self.luck = luck.Luck(self.server, self.data, dice, course.pause, course.chance)
        self.workspaces: dict[str, Workspace] = {}
        self.team: Team
        self.rows = checks.Rows()
        self.violations: list[str] = []
        self.began = time.monotonic()
        self.took = self.drained = 0.0

    async def go(self) -> None:
        """Let people work and processes die until it is enough; then look at everything."""
        await self.server.is_up()
        people = await self._people()
        owner = people[0]
        for number in range(self.course.projects):
            await self._project(owner, number)
        self.team = Team(people, self.luck, self.workspaces, Random(f"{self.course.seed} team"), self._enough)
        self.began = time.monotonic()
        telling = asyncio.create_task(self._tell())
        striking = asyncio.create_task(self.luck.strike())
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.course.desks):
                    for project in self.workspaces:
                        group.create_task(self.team.desk(number, project))
        finally:
            await cancel(striking, telling)
        self.took = time.monotonic() - self.began
        await self.luck.settle()
        self.say(f"{self.course.name}: nothing is killed any more; everything has to come to its end")
        await self._look(owner)
        self.drained = time.monotonic() - self.began - self.took

    def _enough(self, rounds: int) -> bool:
        passed = time.monotonic() - self.began
        done = rounds >= self.course.rounds and self.luck.total >= self.course.deaths
        return done or passed > self.course.longest

    async def _people(self) -> list[Person]:
        """Make the accounts, and sign everybody in."""
        first, *others = [
            {"name": name, "email": f"{name.lower()}@example.org", "password": _PASSWORD}
            for name, _ in _PEOPLE
        ]
        nobody = Person(self.client, self.server.url, self.asked)
        token = Signer(KEY).set_up_token()
        made = await nobody.ask("POST", "/auth/setup", json=first | {"setup_token": token})
        people = [nobody.other(made.json()["access_token"])]
        for each in others:
            await people[0].ask("POST", "/users", json=each)
            login = {"email": each["email"], "password": _PASSWORD}
            signed = await nobody.ask("POST", "/auth/login", json=login)
            people.append(nobody.other(signed.json()["access_token"]))
        # Who asks shows a token; a cookie beside it would be another login.
        self.client.cookies.clear()
        return people

    async def _project(self, owner: Person, number: int) -> None:
        made = await owner.ask("POST", "/projects", json={"name": f"Rounds {number}"})
        project = made.json()["id"]
        await owner.ask("PATCH", f"/projects/{project}", json={"session_limit": self.course.desks})
        for name, role in _PEOPLE[1:]:
            member = {"email": f"{name.lower()}@example.org", "role": role}
            await owner.ask("POST", f"/projects/{project}/members", json=member)
        home = self.data / "homes" / project
        self.workspaces[project] = Workspace(self.data / "workspaces" / project, home)
        lines = "".join(f"line {line}\n" for line in range(1, LINES + 1))
        await self._written(owner, project, SHARED, lines)
        for name in ("README.md", "src/app.py", "docs/guide.md"):
            await self._written(owner, project, name, f"{name}\n" * 20)

    async def _written(self, owner: Person, project: str, path: str, text: str) -> None:
        params = {"path": path, "overwrite": True, "parents": True}

        async def written() -> bool:
            address = f"/projects/{project}/files/content"
            answer = await owner.once("PUT", address, params=params, content=text.encode())
            return answer is not None and answer.is_success

        await until(f"{path} written", written)

    async def _look(self, owner: Person) -> None:
        """Wait until all is at rest, then check everything from outside."""
        self.violations += self.team.violations

        async def rest() -> bool:
            return not checks.at_rest(await checks.rows(self.database))

        with suppress(Hangs):
            await until("everything at rest", rest, _DRAIN)
        for project in self.workspaces:
            # Whatever a process left that was killed is put away by the next verb.
            try:
                await self._written(owner, project, "last.txt", "The last word.\n")
            except Hangs as error:
                self.violations.append(str(error))

        async def swept() -> bool:
            return not luck.left_running(self.data)

        with suppress(Hangs):
            await until("commands ended", swept, 30.0)
        found = await checks.rows(self.database)
        self.rows = found
        self.violations += checks.at_rest(found)
        self.violations += [f"still running: {words}" for words in luck.left_running(self.data)]
        self.violations += await checks.comments(found, self.team.comments, self.workspaces)
        self.violations += await checks.decisions(found, self.workspaces)
        self.violations += await checks.references(found, self.workspaces)
        self.violations += await checks.trees(found, self.workspaces)
        self.violations += await checks.hubs(self.workspaces, self.team.saved)

    async def _tell(self) -> None:
        told = 0
        while True:
            await asyncio.sleep(10)
            passed = time.monotonic() - self.began
            self.say(
                f"{self.course.name} {passed:4.0f} s: {self.team.rounds} rounds, {self.luck.total} deaths,"
                f" {len(self.team.violations)} violations seen"
            )
            for sentence in self.team.violations[told:]:
                self.say(f"  ✗ {sentence}")
            told = len(self.team.violations)

    def outcome(self) -> Outcome:
        """Sum up; keep the evidence where a promise was broken."""
        outcome = Outcome(self._figures(), self.violations)
        if self.violations:
            outcome.folder = self.folder
            (self.folder / "violations.txt").write_text("\n".join(self.violations) + "\n")
            (self.folder / "deaths.txt").write_text("\n".join(self.luck.log) + "\n")
            for name, each in vars(self.rows).items():
                rows = each.values() if isinstance(each, dict) else each
                lines = [json.dumps(row.model_dump(), default=repr) for row in rows]
                (self.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return outcome

    def _figures(self) -> dict[str, str]:
        sessions = self.rows.sessions
        figures: dict[str, object] = {
            "seed": self.course.seed,
            "rounds": self.team.rounds,
            "seconds": round(self.took),
            "seconds to the end of everything": round(self.drained),
            **{
                f"  sessions {status}": sum(each.status == status for each in sessions)
                for status in ("completed", "failed", "cancelled")
            },
            "further attempts": sum(each.attempt - 1 for each in sessions),
            "deaths": self.luck.total,
            **{f"  {kind}": count for kind, count in sorted(self.luck.counts.items())},
            "comments written": len(self.team.comments),
            **{f"  {name}": count for name, count in sorted(self.team.counts.items())},
            **{f"requests: {name}": count for name, count in sorted(self.asked.items())},
            "violations": len(self.violations),
        }
        return {
            name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in figures.items()
        }
