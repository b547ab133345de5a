"""Keeps this replica's runs: claims them, renews their leases, stops, hands over.

Each run is one task of its own. Two loops stand beside them; one that ends by an
error is logged whole and started again, so that a fault in one place never
silently ends the engine.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vibe_app.aio import cancel, forever
from vibe_app.board.sessions.models import Session
from vibe_app.changes.trees import Trees
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database
from vibe_app.errors import Unavailable
from vibe_app.runs.event_log import EventLog, Lease
from vibe_app.runs.queue import Queue, Renewal
from vibe_app.runs.record import Record
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.run import Run
from vibe_app.runs.spending import Counting, Spending
from vibe_app.settings import Settings
from vibe_app.wire import now
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

POLL = 2.0
"""Seconds between two looks at the queue without a wake-up."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds before a loop that ended is started again: doubled each time, unless it had run for a while."""


@dataclass
class _Live:
    run: Run
    task: asyncio.Task[None]


class Supervisor:
    """The engine of one replica.

    Args:
        database: Holds the queue and the bus.
        workspaces: Makes workspaces ready.
        credentials: Those of repositories, which are kept out of what is written.
        agent: Talks to their sidecars.
        event_log: Takes the events.
        spending: Tells gateways what sessions may spend, and copies what they have.
        trees: Makes and keeps the trees of cards.
        settings: Limits and times.
        owner: This process's name, unique for each start of it.
        retry_policy: How long a run waits for what.
        admins_only: Why only what admins have executed may begin; empty where all may.
    """

    def __init__(
        self,
        database: Database,
        workspaces: Workspaces,
        credentials: Credentials,
        agent: Agent,
        event_log: EventLog,
        spending: Spending,
        trees: Trees,
        settings: Settings,
        owner: str,
        retry_policy: RetryPolicy | None = None,
        admins_only: str = "",
    ) -> None:
        self.owner = owner
        self._database = database
        self._workspaces = workspaces
        self._credentials = credentials
        self._agent = agent
        self._event_log = event_log
        self._spending = spending
        self._trees = trees
        self._settings = settings
        self._retry_policy = retry_policy or RetryPolicy()
        self._admins_only = admins_only
        self._queue = Queue(
            database, self.owner, settings.lease, settings.installation_limit, workspaces.places
        )
        self._runs: dict[UUID, _Live] = {}
        self._loops: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take up what an earlier process left, and start to claim."""
        if self._database.sqlite:
            await self._queue.free_leases_of_the_dead()
        self._loops = [
            asyncio.create_task(forever(name, loop), name=name)
            for name, loop in (
                ("claim sessions", self._claim_loop),
                ("renew leases", self._heartbeat_loop),
            )
        ]

    async def close(self) -> None:
        """Stop claiming and hand every run over; the workspaces go on with them."""
        await cancel(*self._loops)
        await cancel(*(live.task for live in self._runs.values()))
        try:
            await self._queue.release()
        except Unavailable as error:
            log.warning("the sessions of this process could not be handed over: %s", error)

    @property
    def running(self) -> int:
        """How many runs this replica holds."""
        return len(self._runs)

    async def _claim_loop(self) -> None:
        with self._database.bus.subscribe("queue") as changes:
            while True:
                due = await self._queue.due(list(self._runs))
                room = self._settings.installation_limit - len(self._runs)
                if room > 0 and due is not None and due <= 0:
                    began = now()
                    claimed = await self._queue.claim(room, list(self._runs))
                    for lease, session in claimed:
                        self._begin(lease, session, began)
                    if claimed:
                        continue  # to see when the next one is due: leases of a dead owner end one by one
                await changes.wait(min(due, POLL) if due is not None and due > 0 else POLL)

    def _begin(self, lease: Lease, session: Session, claimed_at: datetime) -> None:
        record = Record(lease, session, self._database, self._event_log)
        run = Run(
            session,
            record,
            self._workspaces,
            self._credentials,
            self._agent,
            Counting(record, self._spending, self._retry_policy),
            self._trees,
            self._retry_policy,
            self._settings.start_timeout,
            self._settings.session_timeout,
            self._admins_only,
            claimed_at,
        )
        task = asyncio.create_task(run.execute(), name=f"session {session.id}")
        self._runs[session.id] = _Live(run, task)
        task.add_done_callback(lambda done: self._ended(session.id, done))

    def _ended(self, session_id: UUID, task: asyncio.Task[None]) -> None:
        del self._runs[session_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The row keeps its lease until it runs out; then the run is taken up again, as after a crash.
            log.error("the run of session %s broke", session_id, exc_info=error)
        self._database.bus.publish({"queue"})

    async def _heartbeat_loop(self) -> None:
        with self._database.bus.subscribe("stops") as asked:
            while True:
                # The snapshot comes first: a run claimed while the query is under way must not look lost.
                before = dict(self._runs)
                if before:
                    held = await self._queue.renew(list(before))
                    for session_id, live in before.items():
                        self._heard(live, held.get(session_id))
                await asked.wait(self._settings.heartbeat)

    def _heard(self, live: _Live, renewal: Renewal | None) -> None:
        record = live.run.record
        if renewal is not None and renewal.epoch == record.lease.epoch:
            if renewal.stop_requested:
                live.run.stop.set()
        elif not live.task.done() and not record.closing:
            log.warning("the lease of session %s was lost", record.lease.session_id)
            live.task.cancel()
