"""How much one tab may ask for at once, and that what goes on for it ends with its socket.

Any browser can call any handler as often as it likes. Of a handler that lasts each tab
has one (`acts`); here the events that wait in line are bounded, and what lasts is ended
when the tab is gone, which Reflex 0.10.1 does only for what a page's `on_load` started.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import reflex as rx

log = logging.getLogger(__name__)

WAITING = 100
"""Events of one tab that may wait in line. A page of ours sends a handful at once."""


def bound_socket(app: rx.App) -> None:
    """Drop what a tab sends beyond `WAITING` events, and end what lasts when its socket is gone."""
    namespace = app.event_namespace
    if namespace is None:
        return
    receive, leave = namespace.on_event, namespace.on_disconnect
    told: set[str] = set()

    async def on_event(sid: str, data: Any) -> None:
        token = namespace.sid_to_token.get(sid)
        processor = app._event_processor
        if token is not None and processor is not None:
            if len(processor._token_queues.get(token, ())) >= WAITING:
                if sid not in told:
                    told.add(sid)
                    log.warning("a tab has %d events waiting: what it sends beyond them is dropped", WAITING)
                return
            told.discard(sid)
        await receive(sid, data)

    def on_disconnect(sid: str) -> asyncio.Task[Any] | None:
        token = namespace.sid_to_token.get(sid)
        told.discard(sid)
        # The same tab may have a newer socket by now: then what goes on is that one's.
        if token is not None and namespace.token_to_sid.get(token) == sid:
            _end(app._event_processor, token)
        return leave(sid)

    # Found by their names: `AsyncNamespace.trigger_event` of python-socketio.
    namespace.on_event = on_event  # type: ignore[method-assign]
    namespace.on_disconnect = on_disconnect  # type: ignore[method-assign]


def _end(processor: Any, token: str) -> None:
    if processor is None:
        return
    for key in [key for key in processor._superseded if key[1] == token]:
        for future in list(processor._superseded.pop(key, {}).values()):
            future.cancel()
