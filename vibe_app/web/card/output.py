"""The output panel: follows a session's events and hands them to the terminal in numbered batches.

Only the newest batch is ever in the State. Where the terminal misses some, it
asks, and this starts again from there; nothing else is kept of what was sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import reflex as rx
from reflex_base.registry import RegistrationContext

from vibe_app.accounts.roles import Actor
from vibe_app.errors import NotFound, Unavailable
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.kit.terminal import Batch, terminal
from vibe_app.web.place import known, place_of
from vibe_app.wire import Event, EventType
from vibe_app.wiring import services

log = logging.getLogger(__name__)

WHOLE_OUTPUT = "all of it is kept as (tool_[A-Za-z0-9]+)"
"""How the output names what it leaves out; see `vibe_app.workspace_services.sidecar.command_output`."""
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
    async def follow(self, actor: Actor, session_id: str, last_seq: int):
        """Send everything after event number `last_seq`, then whatever comes, until the session is over."""
        place, tab = place_of(self), self.router.session
        if place.project is None or place.task is None:
            return  # the card was left, and the terminal has not heard yet
        session = known(session_id)
        try:
            await services().sessions.glance(actor, place.project, place.task, session)
        except NotFound:
            return  # of the card that was shown here before: the terminal has not heard yet
        after = max(0, last_seq)
        await self._send(session_id, after, [])  # the answer to the terminal, even while nothing is new
        try:
            async for batch in services().event_log.follow(session, after):
                if not is_connected(tab.client_token, tab.session_id):
                    return
                if batch.events:
                    await self._send(session_id, after, batch.events)
                    after = batch.events[-1].seq
        except Unavailable as error:
            log.warning("output of session %s could not be read: %s", session_id, error)
            await asyncio.sleep(ASK_AGAIN)
            async with self:
                self.batch = nobody_follows()

    async def _send(self, session_id: str, after: int, events: list[Event]) -> None:
        async with self:
            number = self.batch.get("n", 0) + 1
            self.batch = {"s": session_id, "n": number, "a": after, "e": [_compact(each) for each in events]}


def nobody_follows() -> Batch:
    """Return the batch on which the terminal asks for what it misses."""
    return {"s": "", "n": time.time_ns() // 1_000_000}


def _compact(event: Event) -> list[Any]:
    return [event.seq, kind_of(event), epoch_ms(event.timestamp), event.text]


def kind_of(event: Event) -> str:
    """Return the letter by which the terminal colours an event: an end is not always a success."""
    if event.type is EventType.DONE:
        for words, letter in (("Session failed", "f"), ("Session cancelled", "c")):
            if event.text.startswith(words):
                return letter
    return event.type.value[0]


def is_connected(client_token: str, socket: str) -> bool:
    """Tell whether a browser tab still has this socket open, and no other one since, to this process."""
    namespace = RegistrationContext.get().app.event_namespace
    return namespace is not None and namespace.token_to_sid.get(client_token) == socket


def output_panel(session_id: Any, name: Any, live: Any, outputs: Any) -> rx.Component:
    """The terminal on a session's output.

    Args:
        session_id: Whose output.
        name: What the window's title says.
        live: Whether the session is still going on.
        outputs: The address below which all of a long output is had by its name.
    """
    return terminal(
        session_id=session_id,
        batch=OutputState.batch,
        name=name,
        live=live,
        file_name=f"session-{session_id}.txt",
        linked=WHOLE_OUTPUT,
        linked_to=outputs,
        on_gap=OutputState.follow,
    )
