"""The bus of changes: nobody sleeps through one, and a burst is one wake-up."""

from __future__ import annotations

import asyncio

from vibe_app.bus import Bus


async def test_the_bus_wakes_whoever_asked_and_once_for_a_burst() -> None:
    bus = Bus()
    with bus.subscribe("a", "b") as one, bus.subscribe("b") as two:
        bus.publish(["a"])
        bus.publish(["a", "b", "c"])
        assert await one.wait(0) == {"a", "b"}
        assert await two.wait(0) == {"b"}
        assert await one.wait(0) == set()
        waiting = asyncio.create_task(one.wait())
        await asyncio.sleep(0)
        bus.publish(["c"])
        assert not waiting.done()
        bus.publish(["b"])
        assert await waiting == {"b"}
    bus.publish(["a"])
    assert await one.wait(0) == set(), "nobody is told anything after leaving"


async def test_whoever_asks_for_a_beginning_hears_the_whole_names() -> None:
    bus = Bus()
    with bus.subscribe("card:1:*", "a") as one:
        bus.publish(["card:1:x", "card:1:y", "card:2:z", "a", "card:1"])
        assert await one.wait(0) == {"card:1:x", "card:1:y", "a"}
        bus.resync()
        assert await one.wait(0) == {"card:1:*", "a"}


async def test_a_change_during_the_work_on_the_last_is_not_lost() -> None:
    bus = Bus()
    with bus.subscribe("a") as changes:
        bus.publish(["a"])
        assert await changes.wait(1) == {"a"}
        bus.publish(["a"])
        assert await changes.wait(1) == {"a"}
