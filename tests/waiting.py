"""Waiting in tests for what only the outside world can tell: a process, a file, a port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable

import psutil

from vibe_app.workspaces.runtimes.local import processes


async def eventually(condition: Callable[[], object | Awaitable[object]], seconds: float = 10.0) -> None:
    """Return once `condition` holds; ask again every 10 ms.

    Raises:
        TimeoutError: It does not hold within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if await answer if isawaitable(answer) else answer:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"this did not come true within {seconds:g} s: {condition}")
        await asyncio.sleep(0.01)


async def kill(*pids: int) -> None:
    """Kill those of the processes that still run, and return once all have ended.

    A process that was killed is first without its environment, by which a workspace's
    processes are recognised, and ends some milliseconds later.
    """
    doomed: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.kill()
            doomed.append(process)
    await eventually(lambda: not any(map(processes.runs, doomed)))
