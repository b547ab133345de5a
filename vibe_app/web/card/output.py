"""The output panel: follows a session's events and hands them to the terminal in numbered batches.

Only the newest batch is ever in the State. Where the terminal misses some, it
asks, and this starts again from there; nothing else is kept of what was sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

import reflex as rx
from reflex_base.registry import RegistrationContext

from vibe_app.accounts.roles import Actor
from vibe_app.errors import NotFound, Unavailable
from vibe_app.web.auth import acts
from vibe_app.web.kit.terminal import Batch
from vibe_app.web.kit.terminal_rows import Rows, zone_of
from vibe_app.web.kit.terminal_window import terminal_window
from vibe_app.web.place import known, place_of
from vibe_app.wire import Event
from vibe_app.wiring import services

log = logging.getLogger(__name__)

WHOLE_OUTPUT = re.compile("all of it is kept as (tool_[A-Za-z0-9]+)")
"""How the output names what it leaves out; see `vibe_app.workspace_services.sidecar.command_output`."""
NARROWEST, WIDEST = 20, 1000
"""Columns of a terminal that rows are made for."""
ASK_AGAIN = 1.0
"""Seconds to wait after the event log could not be read."""


class OutputState(rx.State):
    """The newest batch, and nothing of those before it."""

    batch: Batch = {}

    @rx.event
    def arrive(self):
        """Say that nobody follows for this connection yet: the terminal then says what it has."""
        self.batch = nobody_follows()

    @acts(background=True)
    async def follow(
        self,
        actor: Actor,
        session_id: str,
        last_seq: int,
        carry: str = "",
        columns: int = 80,
        zone: str = "UTC",
        minutes: int = 0,
    ):
        """Send everything after an event, then whatever comes, until the session is over.

        Args:
            actor: Who looks.
            session_id: The session.
            last_seq: The number of the event, 0 for all.
            carry: What came with that event, see `Rows`.
            columns: How wide the terminal is.
            zone: The browser's time zone.
            minutes: How far that is behind UTC.
        """
        place, tab = place_of(self), self.router.session
        if place.project is None or place.task is None:
            return  # the card was left, and the terminal has not heard yet
        session = known(session_id)
        try:
            await services().sessions.glance(actor, place.project, place.task, session)
        except NotFound:
            return  # of the card that was shown here before: the terminal has not heard yet
        after = max(0, last_seq)
        rows = Rows(
            min(max(columns, NARROWEST), WIDEST),
            zone_of(zone[:100], minutes),
            WHOLE_OUTPUT,
            f"/api/projects/{place.project}/files/outputs/",
        )
        if after:
            rows.resume(carry)
        await self._send(session_id, after, [], rows)  # the answer, even while nothing is new
        try:
            async for batch in services().event_log.follow(session, after):
                if not is_connected(tab.client_token, tab.session_id):
                    return
                if batch.events:
                    await self._send(session_id, after, batch.events, rows)
                    after = batch.events[-1].seq
        except Unavailable as error:
            log.warning("output of session %s could not be read: %s", session_id, error)
            await asyncio.sleep(ASK_AGAIN)
            async with self:
                self.batch = nobody_follows()

    async def _send(self, session_id: str, after: int, events: list[Event], rows: Rows) -> None:
        made = [[each.seq, rows.of(each)] for each in events]
        async with self:
            number = self.batch.get("n", 0) + 1
            self.batch = {"s": session_id, "n": number, "a": after, "e": made, "k": rows.carry}


def nobody_follows() -> Batch:
    """Return the batch on which the terminal asks for what it misses."""
    return {"s": "", "n": time.time_ns() // 1_000_000}


def is_connected(client_token: str, socket: str) -> bool:
    """Tell whether a browser tab still has this socket open, and no other one since, to this process."""
    namespace = RegistrationContext.get().app.event_namespace
    return namespace is not None and namespace.token_to_sid.get(client_token) == socket


def output_panel(session_id: Any, name: Any, live: Any, empty: Any) -> rx.Component:
    """The terminal on a session's output.

    Args:
        session_id: Whose output.
        name: What the window's title says.
        live: Whether the session is running.
        empty: Why it has said nothing yet, or "".
    """
    file_name = f"session-{session_id}.txt"
    return terminal_window(session_id, OutputState.batch, name, live, file_name, OutputState.follow, empty)
