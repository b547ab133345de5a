"""The state of tabs where several processes share it in Redis: what Reflex 0.10.1 leaves open there.

A tab's lock must not stay behind when its holder is broken off, as every
subscriber is when its tab goes; and the state of a tab that is open must not
expire because nothing happens on it. Both concern Redis alone: without it the
state of a tab is its process's own.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import reflex as rx
from redis.exceptions import RedisError
from reflex.istate.manager.redis import StateManagerRedis
from reflex.istate.manager.token import StateToken
from reflex.state import BaseState, State

log = logging.getLogger(__name__)


class SharedTabs(StateManagerRedis):
    """Reflex's own, but a lock is let go of whenever its holder is broken off.

    Reflex would leave it behind when that happens while the lock is being taken,
    and the tab would stand still for the ten seconds until it expires.
    """

    @asynccontextmanager
    async def _lock(self, token: StateToken[Any], event_name: str | None = None) -> AsyncIterator[bytes]:
        lock = super()._lock(token, event_name)
        # Begun by one task and ended by another: neither half is broken off with whoever waits for it.
        entering = asyncio.ensure_future(lock.__aenter__())
        try:
            lock_id = await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(lambda entered: _let_go(lock, entered))
            raise
        try:
            yield lock_id
        finally:
            await asyncio.shield(asyncio.ensure_future(lock.__aexit__(*sys.exc_info())))

    async def close(self) -> None:
        """Let go of Redis, also where it is not there any more."""
        try:
            await super().close()
        except RedisError as error:
            log.warning("Redis was away when the server stopped: %s", error)


_ENDING: set[asyncio.Future[Any]] = set()


def _let_go(lock: Any, entered: asyncio.Future[bytes]) -> None:
    if not entered.cancelled() and entered.exception() is None:
        leaving = asyncio.ensure_future(lock.__aexit__(None, None, None))
        _ENDING.add(leaving)
        leaving.add_done_callback(_ENDING.discard)


def share_tabs(app: rx.App) -> None:
    """Make the state of tabs safe to share, where it is shared."""
    manager = app.state_manager
    if not isinstance(manager, StateManagerRedis):
        return
    shared = SharedTabs(
        redis=manager.redis,
        token_expiration=manager.token_expiration,
        lock_expiration=manager.lock_expiration,
        lock_warning_threshold=manager.lock_warning_threshold,
    )
    app._state_manager = shared

    async def keep_open_tabs() -> None:
        while True:
            await asyncio.sleep(shared.token_expiration / 4)
            try:
                await renew(shared, list(app.event_namespace.token_to_sid if app.event_namespace else ()))
            except RedisError as error:
                log.warning("the state of open tabs was not renewed: %s", error)

    app.register_lifespan_task(keep_open_tabs)


async def renew(manager: StateManagerRedis, tokens: list[str]) -> None:
    """Let the whole state of these tabs expire no sooner than if all of it had just changed."""
    names = [state.get_full_name() for state in _states(State)]
    for token in tokens:
        pipeline = manager.redis.pipeline(transaction=False)
        for name in names:
            pipeline.expire(f"{token}_{name}", manager.token_expiration)
        await pipeline.execute()


def _states(state: type[BaseState]) -> list[type[BaseState]]:
    return [state, *(each for below in state.get_substates() for each in _states(below))]
