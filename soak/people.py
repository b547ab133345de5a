"""Who uses the app during a soak: cards, Execute, Stop and open panels, over REST, on any replica.

A request whose replica goes away before it answers is asked again elsewhere, an
Execute with the same Idempotency-Key, as any careful client does.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from soak.plans import Plan
from soak.processes import Replica
from soak.reader import Reader

PERSON = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
_PATIENCE = httpx.Timeout(14.0, connect=3.0)
_AGAIN = 0.3


@dataclass
class Asked:
    """A session that a person asked for.

    Args:
        plan: What it does.
        key: The Idempotency-Key of its Execute.
        task: Its card.
        readers: Who followed it.
    """

    plan: Plan
    key: str
    task: str
    readers: list[Reader]


@dataclass
class People:
    """Everybody who uses the app.

    Args:
        replicas: Where to ask.
        seed: Decides what they do.
        throw: Makes the plan of a session.
        setup_token: Makes the first account.

    Attributes:
        asked: Their sessions, by id.
        stops: The cards on which somebody pressed Stop.
        counts: What they did, and how often something had to be asked again.
        troubles: Answers that nobody should get.
    """

    replicas: Sequence[Replica]
    seed: str
    throw: Callable[[Random], Plan]
    setup_token: str
    asked: dict[str, Asked] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.AsyncClient(
            timeout=_PATIENCE, trust_env=False, limits=httpx.Limits(max_connections=None)
        )
        self._dice = Random(f"{self.seed} people")

    async def close(self) -> None:
        """Let go of every connection."""
        await self.client.aclose()

    async def settle(self, limits: Sequence[int]) -> None:
        """Make the first account, and a project with each of these limits."""
        answer = await self.ask("POST", "/auth/setup", json=PERSON | {"setup_token": self.setup_token})
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.client.cookies.clear()
        for number, limit in enumerate(limits):
            made = await self.ask("POST", "/projects", json={"name": f"Soak {number}"})
            self.projects.append(made.json()["id"])
            await self.ask("PATCH", f"/projects/{self.projects[-1]}", json={"session_limit": limit})

    async def work(self, hands: int, enough: Callable[[], bool]) -> None:
        """Have so many sessions asked for and followed at a time until it is enough, and all are over."""
        async with asyncio.TaskGroup() as group:
            for number in range(hands):
                group.create_task(self._one_person(number, enough), name=f"person {number}")

    async def _one_person(self, number: int, enough: Callable[[], bool]) -> None:
        dice = Random(f"{self.seed} person {number}")
        turn = 0
        while not enough():
            turn += 1
            await self._one_card(dice, f"{self.seed}-{number}-{turn}")

    async def _one_card(self, dice: Random, name: str) -> None:
        """Make a card and have it executed, a second time now and then where it came back to TODO."""
        plan = self.throw(dice)
        project = f"/projects/{dice.choice(self.projects)}"
        card = {"title": f"Soak {name}", "description": plan.description}
        card["priority"] = dice.choice(("low", "normal", "high", "urgent"))
        made = await self.ask("POST", f"{project}/tasks", json=card)
        task = made.json()["id"]
        path = f"{project}/tasks/{task}"
        for again in range(2 if dice.random() < 0.3 else 1):
            if again and (await self.ask("GET", path)).json()["status"] != "TODO":
                return
            await self._one_session(dice, path, Asked(plan, f"{name}-{again}", task, []))

    async def _one_session(self, dice: Random, path: str, asked: Asked) -> None:
        session = await self._execute(dice, path, asked)
        for number in range(dice.choice((1, 1, 1, 2))):
            of_its_own = Random(f"{asked.key} reader {number}")
            asked.readers.append(Reader(self.client, self.pick, f"{path}/output", session, of_its_own))
        async with asyncio.TaskGroup() as group:
            for reader in asked.readers:
                group.create_task(reader.follow(), name=f"reader of {session}")
            if asked.plan.stop_after is not None:
                await asyncio.sleep(asked.plan.stop_after)
                await self._stop(path, asked)

    async def _execute(self, dice: Random, path: str, asked: Asked) -> str:
        """Press Execute, twice at once now and then; return the session's id."""
        times = 2 if dice.random() < 0.1 else 1
        headers = {"Idempotency-Key": asked.key}
        answers = await asyncio.gather(
            *(self.ask("POST", f"{path}/execute", headers=headers) for _ in range(times))
        )
        ids = {answer.json()["session_id"] for answer in answers}
        if len(ids) > 1:
            self.troubles.append(f"one Idempotency-Key gave the sessions {', '.join(sorted(ids))}")
        session = ids.pop()
        self.asked[session] = asked
        self.counts["executed"] += 1
        return session

    async def _stop(self, path: str, asked: Asked) -> None:
        self.stops.add(asked.task)
        answer = await self.ask("POST", f"{path}/stop", expected=(200, 400))
        self.counts["stops"] += answer.status_code == 200

    def pick(self) -> str:
        """Return where to ask next: mostly a replica that serves, now and then any."""
        serving = [replica for replica in self.replicas if replica.up and not replica.busy]
        if not serving or self._dice.random() < 0.05:
            serving = list(self.replicas)
        return self._dice.choice(serving).url

    async def ask(
        self, method: str, path: str, expected: tuple[int, ...] = (200, 201), **more: Any
    ) -> httpx.Response:
        """Ask until somebody answers; an answer that is not expected is noted, and asked for again."""
        while True:
            began = time.monotonic()
            try:
                answer = await self.client.request(method, self.pick() + path, **more)
            except httpx.TransportError:
                self.counts["asked again, no answer"] += 1
            else:
                if answer.status_code in expected:
                    return answer
                self.counts["asked again, no database"] += answer.status_code == 503
                if answer.status_code != 503:
                    took = time.monotonic() - began
                    self.troubles.append(
                        f"{method} {path} was answered {answer.status_code} after {took:.1f} s:"
                        f" {answer.text[:300]}"
                    )
            await asyncio.sleep(_AGAIN)
