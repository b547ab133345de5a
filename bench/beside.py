"""Two cards of one project side by side, against the slower of them alone: real OpenCode, a scripted model.

Each card has the agent run commands, write a file, and say 1,500 lines as quickly as a model does: mostly
waiting, as real work is. By turns the first alone, the second alone, and both at once, from Execute to the
end with the change there.
"""

from __future__ import annotations

import asyncio
import time

from bench.execute import warm
from bench.figures import Figure, percentile, spread
from bench.server import App, app, status_is

MOST = 1.2
_TURNS, _FEW = 8, 2
_SAYS = (
    "rehearse: run echo {name} > {name}.txt\nrehearse: print {lines} lines at 300 per second\n"
    "rehearse: run ls\nrehearse: say done"
)


async def run(quick: bool) -> list[Figure]:
    """Measure by turns."""
    turns = _FEW if quick else _TURNS
    async with app() as served:
        project = await served.project()
        await warm(served, project)
        rounds = [await _turn(served, project) for _ in range(turns)]
    alone = [max(first, second) for first, second, _ in rounds]
    both = [each for *_, each in rounds]
    note = f"both {spread(both)}; the slower alone {spread(alone)}"
    ratio = percentile(both, 50) / percentile(alone, 50)
    return [Figure("Two cards side by side, to the slower alone", ratio, limit=MOST, note=note)]


async def _turn(served: App, project: str) -> tuple[float, float, float]:
    """Milliseconds of one card, of the other, and of both at once."""
    first = await _timed(served, project, "one")
    second = await _timed(served, project, "two")
    began = time.perf_counter()
    await asyncio.gather(_timed(served, project, "one"), _timed(served, project, "two"))
    return first, second, (time.perf_counter() - began) * 1000


async def _timed(served: App, project: str, name: str) -> float:
    says = _SAYS.format(name=name, lines=1500)
    asked = await served.ask("POST", f"{project}/tasks", title=name, description=says)
    task = f"{project}/tasks/{asked['id']}"
    began = time.perf_counter()
    await served.ask("POST", f"{task}/execute")
    await status_is(served, task, "completed", seconds=120)
    taken = (time.perf_counter() - began) * 1000
    assert (await served.ask("GET", f"{task}/change"))["files"]
    return taken
