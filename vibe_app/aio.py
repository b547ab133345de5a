"""Tasks of the event loop: how they end, and how those go on that must not end."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from vibe_app.errors import Unavailable

log = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds until a loop that broke is started again, doubled each time."""
BROKEN: Counter[str] = Counter()
"""How often each loop that must not end has broken in this process."""


async def cancel(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel what is not done yet and wait until it is; what it raised is not asked for."""
    under_way = [task for task in tasks if task is not None]
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


async def forever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that must not end; whatever befalls it is logged and counted, and it is started again.

    Args:
        name: What the log and the metrics call it.
        loop: The loop. One that is away with a database or a server raises `Unavailable`.
    """
    clock = asyncio.get_running_loop().time
    pause = SHORTEST_PAUSE
    while True:
        task = asyncio.ensure_future(loop())
        began = clock()
        try:
            await asyncio.wait({task})
        finally:
            await cancel(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable):
            log.warning("%s: %s", name, error)
        else:
            BROKEN[name] += 1
            log.error("%s: it broke and is started again", name, exc_info=error)
        pause = SHORTEST_PAUSE if clock() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)
