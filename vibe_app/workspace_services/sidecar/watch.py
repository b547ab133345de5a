"""Keeps one connection to OpenCode's event stream and hands every event to the live runs.

The stream has no replay: after each (re)connect the runs are told that they may have
missed something. It decides nothing about a run.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum

from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeError, OpenCodeSilent
from vibe_app.workspace_services.sidecar.opencode_json import Event

logger = logging.getLogger(__name__)


class Signal(Enum):
    """What a run is told besides OpenCode's events."""

    RESYNC = "the stream is connected; whatever happened before may have been missed"
    LOST = "OpenCode has not answered for longer than it may"
    CHECK = "look at OpenCode's own state now"


Inbox = asyncio.Queue[Event | Signal]


class Watch:
    """The connection, kept up for as long as `run` runs.

    Args:
        client: The OpenCode server.
        grace: Seconds without a connection after which live runs are told that OpenCode is lost.
        long_grace: The same where it may be starting (before the first connection) or only
            be busy (it takes connections but does not answer).
    """

    def __init__(self, client: OpenCode, *, grace: float = 3.0, long_grace: float = 25.0) -> None:
        self._client = client
        self._grace = grace
        self._long_grace = long_grace
        self._inboxes: set[Inbox] = set()
        self.connected = False
        self.trouble = "OpenCode has not answered yet"
        """Why there is no connection, in words."""

    def join(self) -> Inbox:
        """Return a new inbox; it starts with a RESYNC where the stream is connected."""
        inbox: Inbox = asyncio.Queue()
        self._inboxes.add(inbox)
        if self.connected:
            inbox.put_nowait(Signal.RESYNC)
        return inbox

    def leave(self, inbox: Inbox) -> None:
        """Stop delivering to an inbox."""
        self._inboxes.discard(inbox)

    async def run(self) -> None:
        """Connect, deliver, connect again; ends only by cancellation."""
        loop = asyncio.get_running_loop()
        self.connected = False
        lost_at, grace = loop.time(), self._long_grace
        while True:
            silent = False
            try:
                await self._client.knock()
                async with self._client.events() as events:
                    self.connected, grace = True, self._grace
                    self._tell(Signal.RESYNC)
                    async for event in events:
                        self._tell(event)
                self.trouble = "OpenCode closed its event stream"
            except OpenCodeError as error:
                self.trouble, silent = str(error), isinstance(error, OpenCodeSilent)
            if self.connected:
                logger.warning("lost the event stream: %s", self.trouble)
                self.connected, lost_at = False, loop.time()
            if loop.time() - lost_at > (self._long_grace if silent else grace):
                self._tell(Signal.LOST)
            # OpenCode may be starting: there is nothing to wait on but its port.
            await asyncio.sleep(0.2)

    def _tell(self, item: Event | Signal) -> None:
        for inbox in self._inboxes:
            inbox.put_nowait(item)
