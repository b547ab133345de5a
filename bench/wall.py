"""What the wall costs: a workspace's start, a command, git and a search, inside and outside by turns."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

from bench.figures import Figure, percentile, spread
from bench.server import NotReady
from vibe_app.settings import Settings, load_settings
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.base import Tenancy, WorkspaceSpec
from vibe_app.workspaces.runtimes.layout import Layout
from vibe_app.workspaces.runtimes.local import keeper
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime
from vibe_app.workspaces.runtimes.local.wall import Wall, arguments, data, find, seccomp_filter

RATIO, START_S = 1.1, 0.3
_PROJECT = UUID(int=7)
FILES, LINES = 20_000, 20
COMMANDS = {
    "a command": "true",
    "git status on 20,000 files": "git status --short",
    "rg on 20,000 files": "rg --count-matches needle . | wc -l",
}
# Run by the system's Python on both sides: how many milliseconds each command takes, as JSON.
_CLOCK = """
import json, subprocess, sys, time
found = {}
for command in json.loads(sys.argv[1]):
    taken = found[command] = []
    for _ in range(int(sys.argv[2])):
        began = time.perf_counter()
        subprocess.run(["/bin/bash", "-c", command], cwd=sys.argv[3], check=True, stdout=subprocess.DEVNULL)
        taken.append((time.perf_counter() - began) * 1000)
print(json.dumps(found))
"""


async def run(quick: bool) -> list[Figure]:
    """Measure everything."""
    settings = load_settings()
    wall = find(settings)
    if not isinstance(wall, Wall):
        raise NotReady(f"There is no wall here: {wall.reason} {wall.cure}")
    rg = shutil.which("rg") or str(settings.tools / "rg")
    with TemporaryDirectory(prefix="vibe-wall-") as folder:
        layout = await asyncio.to_thread(_tree, Path(folder))
        figures = await asyncio.to_thread(_commands, wall, layout, Path(rg), 2 if quick else 10)
        return [await _starts(settings, Path(folder), 1 if quick else 6), *figures]


def _tree(folder: Path) -> Layout:
    """Make a repository of many small files."""
    layout = Layout(folder / "workspaces" / "w", folder / "homes" / "w", folder / "given" / "w")
    layout.home.parent.mkdir(parents=True)
    for number in range(FILES):
        path = layout.tasks / "1" / f"d{number // 200}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line {number} with a needle\n" * LINES)
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *words], cwd=layout.tasks / "1", check=True, stdout=subprocess.DEVNULL)
    hermetic.prepare(layout)
    hermetic.write_config(layout.workspace, {})
    return layout


def _commands(wall: Wall, layout: Layout, rg: Path, rounds: int) -> list[Figure]:
    """Time the commands, a block inside and a block outside by turns."""
    inside: dict[str, list[float]] = {command: [] for command in COMMANDS.values()}
    outside: dict[str, list[float]] = {command: [] for command in COMMANDS.values()}
    for _ in range(rounds):
        for found, block in ((inside, _inside(wall, layout, rg)), (outside, _outside(layout, rg))):
            for command, taken in block.items():
                found[command] += taken
    figures: list[Figure] = []
    for name, command in COMMANDS.items():
        ratio = percentile(inside[command], 50) / percentile(outside[command], 50)
        note = f"inside {spread(inside[command])}; outside {spread(outside[command])}"
        figures.append(Figure(f"{name}, inside to outside (medians)", ratio, "", RATIO, note))
    return figures


def _clock(layout: Layout) -> list[str]:
    program = layout.home / "clock.py"
    program.write_text(_CLOCK)
    return [
        "/usr/bin/python3",
        str(program),
        json.dumps(list(COMMANDS.values())),
        "10",
        str(layout.tasks / "1"),
    ]


def _environment(layout: Layout, rg: Path) -> dict[str, str]:
    return {"PATH": f"{rg.parent}:/usr/bin:/bin", "HOME": str(layout.home), "LANG": "C.UTF-8"}


def _outside(layout: Layout, rg: Path) -> dict[str, list[float]]:
    done = subprocess.run(
        _clock(layout),
        env=_environment(layout, rg),
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def _inside(wall: Wall, layout: Layout, rg: Path) -> dict[str, list[float]]:
    first, last = arguments(wall, layout, [rg], [], [])
    variables = [
        word for name, value in _environment(layout, rg).items() for word in ("--setenv", name, value)
    ]
    plan = keeper.Plan(
        bubblewrap=wall.bubblewrap,
        arguments=[*first, "--clearenv", *variables],
        data=data(layout),
        last=last,
        filter=seccomp_filter(),
        before=[],
        command=_clock(layout),
        secrets={},
        port=0,
        outward=[],
        memory=4096,
        disk=10_240,
        folders=[str(layout.tasks), str(layout.home)],
        notices=str(layout.bounds),
    )
    done = subprocess.run(
        [sys.executable, "-P", "-S", "-m", keeper.__name__],
        input=plan.to_json(),
        env={"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


async def _starts(settings: Settings, folder: Path, pairs: int) -> Figure:
    """Start the real OpenCode with the wall and without, by turns, on a workspace that is there already."""
    taken: dict[str, list[float]] = {"on": [], "off": []}
    for number in range(pairs + 1):
        for sandbox, found in taken.items():
            changed = settings.model_copy(update={"data": folder / sandbox, "sandbox": sandbox})
            changed = changed.model_copy(update={"opencode": str(settings.opencode_binary)})
            seconds = await _start(changed)
            # The first makes the workspace, and reads OpenCode from the disk.
            found += [seconds] if number else []
    more = percentile(taken["on"], 50) - percentile(taken["off"], 50)
    note = f"with it {spread(taken['on'], 's')}; without {spread(taken['off'], 's')}"
    return Figure("a workspace's start, more than without (medians)", more, "s", START_S, note)


async def _start(settings: Settings) -> float:
    runtime = LocalRuntime(settings, pace=0)
    keys = ServiceKeys.of("a key for the bench", _PROJECT, 1)
    await runtime.open(Tenancy(uuid4(), lambda *_: keys, []))
    try:
        began = time.perf_counter()
        await runtime.ensure(WorkspaceSpec(_PROJECT, epoch=1, keys=keys))
        return time.perf_counter() - began
    finally:
        await runtime.close(keep=())
