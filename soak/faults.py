"""What goes wrong during a soak, and when: the dice of bad luck."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from soak.processes import Fault, Replica
from vibe_app.runs.supervisor import POLL

CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND application_name <> 'soak'"
    " AND pid <> pg_backend_pid() AND random() < {}"
)

_OF_THE_DATABASE = ("restart", "crash", "cut")


class Server(Protocol):
    """A PostgreSQL that can be started again."""

    def control(self, action: str, *more: str) -> None:
        """Let `pg_ctl` do something."""
        ...

    def execute(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        """Run a statement."""
        ...


class BadLuck:
    """Does things to replicas and to the database, several at a time where the dice say so.

    Args:
        replicas: To be killed, terminated and frozen.
        dice: Decide what and when.
        bag: How often each kind comes before all of them begin anew in another order: `kill`, `terminate`,
            `freeze`, `restart`, `crash`, `cut`.
        pause: Seconds between two faults, at least and at most.
        lease: A frozen replica stays frozen for longer than these seconds.
        server: The database's server, where it has one.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        dice: Random,
        bag: Mapping[str, int],
        pause: tuple[float, float],
        lease: float,
        server: Server | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.database_faults: list[Fault] = []
        self._replicas = replicas
        self._dice = dice
        self._bag = [kind for kind, times in bag.items() for _ in range(times)]
        self._left: list[str] = []
        self._pause = pause
        self._lease = lease
        self._server = server

    @property
    def total(self) -> int:
        """How many faults there have been."""
        return sum(self.counts.values())

    async def strike(self, enough: Callable[[], bool], ready: Callable[[], Awaitable[None]]) -> None:
        """Strike again and again until it is enough; return when the last fault is over.

        Args:
            enough: Asked before each fault.
            ready: Waited for before each fault, and before the pause that comes before it.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                await ready()
                await asyncio.sleep(self._dice.uniform(*self._pause))
                await ready()
                if enough():
                    return
                if not self._left:
                    self._left = self._dice.sample(self._bag, len(self._bag))
                if self._possible(kind := self._left.pop()):
                    group.create_task(self._strike(kind), name=kind)
                else:
                    self._left.insert(0, kind)

    def _possible(self, kind: str) -> bool:
        """Tell whether there is something to strike that is not struck already."""
        if kind in _OF_THE_DATABASE:
            return not self.database_faults or self.database_faults[-1].ended is not None
        return bool(self._free())

    def _free(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.up and not replica.busy]

    async def _strike(self, kind: str) -> None:
        if kind in _OF_THE_DATABASE:
            await self._strike_database(kind)
            return
        if not (free := self._free()):
            return
        replica = self._dice.choice(free)
        self.counts[kind] += 1
        replica.busy = True
        try:
            if kind == "kill":
                await replica.kill()
            elif kind == "terminate":
                await replica.terminate()
            else:
                # Long enough for another replica to have looked at the queue after the end of the lease.
                await replica.freeze(self._lease * self._dice.uniform(1.1, 1.6) + POLL)
        finally:
            replica.busy = False

    async def _strike_database(self, kind: str) -> None:
        assert self._server is not None
        self.counts[kind] += 1
        fault = Fault(kind, time.time())
        self.database_faults.append(fault)
        try:
            if kind == "cut":
                share = self._dice.choice(("0.3", "2"))
                await asyncio.to_thread(self._server.execute, CUT.replace("{}", share))
            else:
                mode = "fast" if kind == "restart" else "immediate"
                await asyncio.to_thread(self._server.control, "restart", "-m", mode)
        finally:
            fault.ended = time.time()
