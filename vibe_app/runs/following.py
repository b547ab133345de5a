"""Follows an agent at work until its session is over: by itself, because somebody wants it, or for its time.

What it says is copied and what it asks for is counted meanwhile. Whether it is to be asked to stop is
decided here; how the session ends is not.
"""

from __future__ import annotations

import asyncio
import logging
import math
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable
from contextlib import suppress

from vibe_app.aio import cancel
from vibe_app.board.sessions.models import Session
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import NotFound, VibeError
from vibe_app.runs.copying import Copy, Lost
from vibe_app.runs.record import Record
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.spending import Counting
from vibe_app.wire import Failure, SessionState, SidecarStatus, now
from vibe_app.workspaces.runtimes.base import Endpoint

log = logging.getLogger(__name__)

_RAISE = "Raise the limit in the settings of the project or of the installation to go on."


class Following:
    """The following of one attempt.

    Args:
        session: Its row as claimed: since when it runs, and for how long it may.
        record: Where to write what the agent says.
        agent: Talks to the sidecar.
        sidecar_id: The attempt's id there.
        endpoint: Where it answers now.
        ready: Says where it answers after it was away, starting it if need be.
        counting: Looks at what is spent meanwhile.
        stop: Is set once a person wants the end.
        retry_policy: How long to wait for what.
        time_limit: Seconds after which any session is stopped.
    """

    def __init__(
        self,
        session: Session,
        record: Record,
        agent: Agent,
        sidecar_id: str,
        endpoint: Endpoint,
        ready: Callable[[], Awaitable[Endpoint]],
        counting: Counting,
        stop: asyncio.Event,
        retry_policy: RetryPolicy,
        time_limit: float,
    ) -> None:
        self._session = session
        self._record = record
        self._agent = agent
        self._sidecar_id = sidecar_id
        self._copy = Copy(record, agent, sidecar_id, endpoint, ready, retry_policy)
        self._ready = ready
        self._counting = counting
        self._stop = stop
        self._retry_policy = retry_policy
        self._time_limit = time_limit

    @property
    def endpoint(self) -> Endpoint:
        """Where the sidecar answered last."""
        return self._copy.endpoint

    async def to_the_end(self, state: SessionState) -> SessionState:
        """Write what the agent says until its session is over, by itself or because it is to stop.

        Raises:
            Lost: The sidecar forgot the session, stays away, or does not confirm a stop; or the session
                was stopped for its time.
        """
        copying = asyncio.create_task(self._copy.to_the_end(state), name=f"copy {self._sidecar_id}")
        counting = asyncio.create_task(
            self._counting.go_on(lambda: self.endpoint), name=f"count {self._sidecar_id}"
        )
        asked = asyncio.create_task(self._stop.wait(), name="stop asked")
        stopping: asyncio.Task[bool] | None = None
        try:
            await asyncio.wait({copying, asked}, timeout=self._time_left(), return_when=FIRST_COMPLETED)
            overdue = not copying.done() and not asked.done()
            if not copying.done():
                stopping = asyncio.create_task(self._stop_agent(), name=f"stop {self._sidecar_id}")
                await asyncio.wait({copying, stopping}, return_when=FIRST_COMPLETED)
                if not copying.done() and stopping.result():
                    await self._hear_out(copying)
            if copying.done():
                state = copying.result()
                if overdue and state.status is SidecarStatus.CANCELLED:
                    raise self._overdue()
                return state
        finally:
            await cancel(copying, counting, asked, stopping)
        remark = "The workspace did not confirm the stop: the agent may still be at work there."
        raise self._overdue(remark) if overdue else Lost("It was stopped.", Failure.BROKEN, remark)

    async def _hear_out(self, copying: asyncio.Task[SessionState]) -> None:
        """Let what an agent had said before it stopped be written, for as long as some of it still comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._retry_policy.stopping):
                while not copying.done():
                    before = self._record.cursor
                    await asyncio.wait({copying}, timeout=self._retry_policy.stop)
                    if self._record.cursor == before:
                        return

    async def _stop_agent(self) -> bool:
        """Ask the agent to stop until it has; tell whether it has, or its sidecar is silent for too long.

        It is asked wherever it answers: the workspace may have been started again elsewhere, before
        the copy has noticed.
        """
        clock = asyncio.get_running_loop().time
        began = heard = clock()
        while clock() - began < self._retry_policy.stopping:
            try:
                async with asyncio.timeout(self._retry_policy.stop):
                    await self._agent.stop(self._copy.endpoint, self._sidecar_id)
                return True
            except NotFound:
                return True
            except (VibeError, TimeoutError) as error:
                log.info("session %s: stopping: %s", self._session.id, error)
            try:
                async with asyncio.timeout_at(began + self._retry_policy.stopping):
                    self._copy.endpoint = await self._ready()
                async with asyncio.timeout(1.0):
                    await self._agent.state(self._copy.endpoint, self._sidecar_id)
                heard = clock()
            except (VibeError, TimeoutError):
                if clock() - heard > self._retry_policy.stop:
                    return False
            await asyncio.sleep(self._retry_policy.reconnect)
        return False

    def _time_left(self) -> float:
        began = self._session.started_at
        # Waiting for a provider without a place is no work.
        spent = (now() - began).total_seconds() - (self._session.waited or 0.0) if began else 0.0
        return max(0.0, min(self._time_limit, self._limit_seconds) - spent)

    @property
    def _limit_seconds(self) -> float:
        """For how long the session's own limit lets it run."""
        minutes = self._session.limit_minutes
        return math.inf if minutes is None else minutes * 60.0

    def _overdue(self, remark: str = "") -> Lost:
        if self._limit_seconds > self._time_limit:
            reason = f"It ran for longer than {self._time_limit / 60:.0f} min and was stopped."
            return Lost(reason, Failure.BROKEN, remark)
        reason = f"It has run for the {self._session.limit_minutes} min that it may take. {_RAISE}"
        return Lost(reason, Failure.BUDGET_EXHAUSTED, remark)
