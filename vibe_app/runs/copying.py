"""Copies what a sidecar streams of one session into the event log, until the session is over.

The end is what the sidecar's own record of the session says: a stream that breaks,
stands still or leaves something out is asked again. Nothing here starts or stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from vibe_app.aio import cancel
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import DiskFull, InvalidRequest, NotFound, Unavailable
from vibe_app.runs.record import Record
from vibe_app.runs.retry_policy import FRUITLESS, RetryPolicy
from vibe_app.wire import Event, EventType, Failure, SessionState, SidecarStatus, Steps
from vibe_app.workspaces.runtimes.base import Endpoint

log = logging.getLogger(__name__)

WRITE_PAUSE = 0.02
"""Least seconds between two writes of one run: what comes meanwhile goes together."""
BACKLOG = 5000
"""Events held in memory at the most; then reading from the sidecar waits for the database."""

_FORGOTTEN = "The workspace does not know the session any more."


class Lost(Exception):
    """The run cannot go on here.

    Args:
        reason: Why, in a sentence.
        failure: The kind of the failure.
        remark: A further line for the event log.
    """

    def __init__(self, reason: str, failure: str, remark: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure
        self.remark = remark


async def known(agent: Agent, endpoint: Endpoint, sidecar_id: str) -> SessionState:
    """Return what the sidecar says of a session that it had accepted.

    Raises:
        Lost: It does not know it.
        Unavailable: It does not answer.
    """
    state = await agent.state(endpoint, sidecar_id)
    if state is None:
        raise Lost(_FORGOTTEN, Failure.AGENT_LOST)
    return state


class Copy:
    """The copying of one attempt.

    Args:
        record: Where to write; its cursor says how far the event log has come.
        agent: Talks to the sidecar.
        sidecar_id: The attempt's id there.
        endpoint: Where it answers now.
        ready: Says where it answers after it was away, starting it if need be.
        retry_policy: How long to wait for what.

    Attributes:
        endpoint: Where the sidecar answered last; it changes when a workspace is started again.
    """

    def __init__(
        self,
        record: Record,
        agent: Agent,
        sidecar_id: str,
        endpoint: Endpoint,
        ready: Callable[[], Awaitable[Endpoint]],
        retry_policy: RetryPolicy,
    ) -> None:
        self._record = record
        self._agent = agent
        self._sidecar_id = sidecar_id
        self.endpoint = endpoint
        self._ready = ready
        self._retry_policy = retry_policy
        self._steps: Steps | None = None

    async def to_the_end(self, state: SessionState) -> SessionState:
        """Write what the sidecar streams until its session is over; connect again whenever that breaks.

        Raises:
            Lost: The sidecar forgot the session, stays away, or withholds events that it has.
        """
        clock = asyncio.get_running_loop().time
        away_since: float | None = None
        pause, fruitless = self._retry_policy.reconnect, 0
        while not self._has_all(state):
            before = self._record.cursor
            whole = await self._write_stream()
            try:
                if not whole:
                    self.endpoint = await self._ready()
                state = await known(self._agent, self.endpoint, self._sidecar_id)
                away_since = None
            except DiskFull as error:
                raise Lost(error.message, Failure.DISK_FULL) from error
            except (Unavailable, InvalidRequest) as error:
                log.info("session %s: %s", self._sidecar_id, error)
                away_since = away_since or clock()
                if clock() - away_since > self._retry_policy.lost:
                    raise Lost(error.message, Failure.AGENT_LOST) from error
            if self._record.cursor > before:
                pause, fruitless = self._retry_policy.reconnect, 0
            elif not self._has_all(state):
                fruitless += away_since is None and state.last_seq > before
                if fruitless == FRUITLESS:
                    reason = f"The workspace does not give out number {before + 1} of the session's output."
                    raise Lost(reason, Failure.BROKEN)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 10 * self._retry_policy.reconnect)
        return state

    def _has_all(self, state: SessionState) -> bool:
        """Tell whether the session is over and all but its closing event, which is ours to write, is here."""
        return state.status is not SidecarStatus.RUNNING and self._record.cursor >= state.last_seq - 1

    async def _write_stream(self) -> bool:
        """Copy the stream into the event log up to, and without, its `done`; tell whether it came so far.

        Reading and writing go side by side, so that events that come while one
        batch is written make up the next.
        """
        buffer: list[Event] = []
        arrived, room, news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        newest = self._record.cursor

        async def read() -> None:
            nonlocal newest
            stream = self._agent.stream_batches(self.endpoint, self._sidecar_id, self._record.cursor)
            async with aclosing(stream) as batches:
                async for batch in batches:
                    newest = batch[-1].seq
                    buffer.extend(event for event in batch if event.type is not EventType.DONE)
                    arrived.set()
                    news.set()
                    while len(buffer) > BACKLOG:
                        room.clear()
                        await room.wait()

        reader = asyncio.create_task(read(), name=f"read {self._sidecar_id}")
        reader.add_done_callback(lambda _: arrived.set())
        comparing = asyncio.create_task(
            self._compare(reader, lambda: newest), name=f"compare {self._sidecar_id}"
        )
        looking = asyncio.create_task(self._look_at_steps(news), name=f"steps of {self._sidecar_id}")
        try:
            while buffer or not reader.done():
                await arrived.wait()
                arrived.clear()
                if batch := buffer[:]:
                    buffer.clear()
                    room.set()
                    await self._record.take(batch)
                await asyncio.wait({reader}, timeout=WRITE_PAUSE)
            if reader.cancelled():
                return False
            await reader
        except (Unavailable, NotFound, InvalidRequest) as error:
            log.info("session %s: %s", self._sidecar_id, error)
            return False
        finally:
            await cancel(reader, comparing, looking)
        return True

    async def _look_at_steps(self, news: asyncio.Event) -> None:
        """Note how far the agent is on its own list, as often as it has said something since."""
        while True:
            await news.wait()
            news.clear()
            try:
                state = await self._agent.state(self.endpoint, self._sidecar_id)
            except (Unavailable, InvalidRequest) as error:
                log.info("session %s cannot be asked for its steps: %s", self._sidecar_id, error)
            else:
                if state is not None and state.steps is not None and state.steps != self._steps:
                    self._steps = state.steps
                    await self._record.progress(state.steps)
            await asyncio.sleep(self._retry_policy.count)

    async def _compare(self, reader: asyncio.Task[None], newest: Callable[[], int]) -> None:
        """Break off a stream that stands still although the sidecar has more to say, or is through.

        What a stream says of the end is a hint: it may be lost while the connection stays up.
        """
        before = newest()
        while True:
            await asyncio.sleep(self._retry_policy.compare)
            try:
                state = await self._agent.state(self.endpoint, self._sidecar_id)
            except (Unavailable, InvalidRequest) as error:
                log.info("session %s cannot be compared: %s", self._sidecar_id, error)
                continue
            more = state is None or state.status is not SidecarStatus.RUNNING or state.last_seq > before
            if more and newest() == before:
                log.warning("session %s: its stream stands still; asking again", self._sidecar_id)
                reader.cancel()
                return
            before = newest()
