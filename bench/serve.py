"""`vibe serve` by itself: how soon it answers, and what it takes while nobody asks anything."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import psutil

from bench.figures import Figure, spread
from bench.server import address, data_folder, stop, vibe_serve

START_S, IDLE_MB, IDLE_PERCENT = 3, 200, 1


async def first_page(data: Path) -> float:
    """Start a server, and end it; return how many seconds passed until its first page was there."""
    began = time.perf_counter()
    process = vibe_serve(data)
    try:
        url = await address(data, process)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{url}/")
        taken = time.perf_counter() - began
        answer.raise_for_status()
    finally:
        await stop(process)
    return taken


async def idle(data: Path, seconds: float) -> tuple[float, float, float]:
    """Leave a server alone; return its RSS and PSS in bytes and its share of a core in per cent."""
    process = vibe_serve(data)
    try:
        await address(data, process)
        await asyncio.sleep(5)  # what belongs to the start is over
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]

        def spent() -> float:
            return sum(sum(each.cpu_times()[:2]) for each in family)

        before, began = spent(), time.monotonic()
        await asyncio.sleep(seconds)
        share = 100 * (spent() - before) / (time.monotonic() - began)
        sizes = [each.memory_full_info() for each in family]
        return sum(size.rss for size in sizes), sum(size.pss for size in sizes), share
    finally:
        await stop(process)


async def run(quick: bool) -> list[Figure]:
    """Measure both."""
    with data_folder() as folder:
        first = await first_page(Path(folder))  # Python keeps what it compiles for the next
        starts = [await first_page(Path(folder)) for _ in range(2 if quick else 5)]
        rss, pss, share = await idle(Path(folder), 10 if quick else 30)
    return [
        Figure(
            "From starting `vibe serve` to its first page, slowest",
            max(starts),
            "s",
            START_S,
            f"{spread(starts, 's')}; the start before them {first:.1f} s",
        ),
        Figure("Memory of the idle server (RSS)", rss / 2**20, "MB", IDLE_MB, f"PSS {pss / 2**20:.0f} MB"),
        Figure("Its share of a core", share, "%", IDLE_PERCENT),
    ]
