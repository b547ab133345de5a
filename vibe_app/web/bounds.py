"""How much one tab may ask for at once, and that what goes on for it ends with its socket.

Any browser can call any handler as often as it likes. Of a handler that lasts each tab
has one (`acts`); here the events that wait in line are bounded. When the tab is gone, what
lasts is ended, which Reflex 0.10.1 does only for what a page's `on_load` started, and the
State of a tab without a login is forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import reflex as rx
from reflex.istate.manager.memory import StateManagerMemory

from vibe_app.web.auth import ReaderState

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
            _drop_nobodys(app.state_manager, token)
        return leave(sid)

    # Found by their names: `AsyncNamespace.trigger_event` of python-socketio.
    namespace.on_event = on_event  # type: ignore[method-assign]
    namespace.on_disconnect = on_disconnect  # type: ignore[method-assign]


def _drop_nobodys(manager: Any, token: str) -> None:
    """Forget the State of a tab on which nobody was signed in: Reflex would keep it for an hour."""
    if not isinstance(manager, StateManagerMemory):
        return  # Redis lets go of it by itself
    expiring = [kept for _, kept in manager._token_expires_at.values() if kept.ident == token]
    for kept in expiring:
        lock = manager._states_locks.get(kept.lock_key)
        root = manager.states.get(kept.cache_key)
        reader = root.substates.get(ReaderState.get_name()) if root is not None else None
        if (lock is None or not lock.locked()) and reader is not None and not reader.signed_in:
            manager._purge_token(kept)


def _end(processor: Any, token: str) -> None:
    if processor is None:
        return
    for key in [key for key in processor._superseded if key[1] == token]:
        for future in list(processor._superseded.pop(key, {}).values()):
            future.cancel()
