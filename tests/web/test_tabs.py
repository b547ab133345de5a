"""The state of tabs in a real Redis: no lock is left behind, and an open tab is not forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import reflex as rx
from redis.asyncio import Redis
from reflex.state import State

from tests import redis_server
from vibe_app.web.card.output import OutputState
from vibe_app.web.tabs import SharedTabs, renew


@pytest.fixture
def address(redis: redis_server.Server) -> str:
    """Of an empty database."""
    return redis.url()


@pytest.fixture
async def manager(address: str) -> AsyncIterator[SharedTabs]:
    manager = SharedTabs(redis=Redis.from_url(address), lock_expiration=60_000)
    yield manager
    await manager.close()


@pytest.fixture
def tab() -> rx.BaseStateToken:
    """A tab that has no state yet."""
    return rx.BaseStateToken(ident=str(uuid4()), cls=State)


async def change(manager: SharedTabs, tab: rx.BaseStateToken, number: int) -> None:
    """Do what a subscriber does with each batch."""
    async with manager.modify_state(tab) as root:
        root.is_hydrated = not root.is_hydrated
        (await root.get_state(OutputState)).batch = {"s": "", "n": number}


async def test_a_subscriber_that_is_broken_off_at_any_point_leaves_no_lock(
    manager: SharedTabs, tab: rx.BaseStateToken
) -> None:
    await change(manager, tab, 0)
    for steps in range(60):
        subscriber = asyncio.create_task(change(manager, tab, steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        subscriber.cancel()
        await asyncio.wait((subscriber,))
        # A lock that is left behind would be waited for until it expires.
        async with asyncio.timeout(10):
            await change(manager, tab, steps)


async def test_two_processes_see_each_others_changes(
    manager: SharedTabs, tab: rx.BaseStateToken, address: str
) -> None:
    other = SharedTabs(redis=Redis.from_url(address), lock_expiration=60_000)
    await change(manager, tab, 1)
    async with other.modify_state(tab) as root:
        assert (await root.get_state(OutputState)).batch == {"s": "", "n": 1}
    await other.close()


async def test_the_state_of_an_open_tab_does_not_expire(manager: SharedTabs, tab: rx.BaseStateToken) -> None:
    await change(manager, tab, 1)
    keys = [key async for key in manager.redis.scan_iter(f"{tab.ident}*")]
    assert len(keys) >= 2, "the state of a tab is kept in pieces"
    for key in keys:
        await manager.redis.expire(key, 5)
    await renew(manager, [tab.ident, str(uuid4())])
    for key in keys:
        assert await manager.redis.ttl(key) > 3000


async def test_closing_without_redis_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = SharedTabs(redis=Redis.from_url(f"unix://{tmp_path / 'none.sock'}"))
    gone._lock_task = asyncio.create_task(gone._subscribe_lock_updates())
    await asyncio.wait((gone._lock_task,))
    await gone.close()
    assert "Redis was away" in caplog.text
