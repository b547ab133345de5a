"""What a card's tree, its checkpoint and its list of changed files take, against plain git on the same files.

A repository of 2,000 files and 10 MB. The room of the workspace does its verb, and plain git what comes
nearest to it, by turns: a tree and `git worktree add`; a checkpoint after 20 files were changed and
`git add -A && git write-tree`; the list and `git diff --numstat`. Where there is bubblewrap, it stands around
each git that reads a tree, as in a local workspace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.figures import Figure, percentile, spread
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, changes, checkpoints, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace

FILES, CHANGED = 2000, 20
_TURNS, _FEW = 20, 3
_LINE = "a line of a file as people write them, of some sixty letters\n"
_PERSON = wire.Person(name="Bench", email="bench@localhost")


async def run(quick: bool) -> list[Figure]:
    """Measure all three by turns."""
    turns = _FEW if quick else _TURNS
    with tempfile.TemporaryDirectory() as folder:
        hub, plain = await _made(Path(folder))
        rounds = [await _round(hub, plain, number) for number in range(1, turns + 1)]
    names = ("A card's tree, to git worktree add", "A checkpoint, to git add and write-tree")
    names += ("The list of a change, to git diff --numstat",)
    figures: list[Figure] = []
    for name, samples in zip(names, zip(*rounds, strict=True), strict=True):
        ours, theirs = [each[0] for each in samples], [each[1] for each in samples]
        note = f"ours {spread(ours)}; plain git {spread(theirs)}"
        figures.append(Figure(name, percentile(ours, 50) / percentile(theirs, 50), note=note))
    return figures


async def _made(folder: Path) -> tuple[Hub, Path]:
    async def ignore(_: str) -> None:
        pass

    bubblewrap = shutil.which("bwrap") or ""
    await make_workspace(folder / "workspace", source=None, mark={}, progress=ignore, bubblewrap=bubblewrap)
    hub = Hub(folder / "workspace", bubblewrap)
    names = [f"folder {number % 100}/file {number}.txt" for number in range(FILES)]
    for name in names:
        (hub.base / name).parent.mkdir(exist_ok=True)
        (hub.base / name).write_text(_LINE * 80)
    for begin in range(0, FILES, 1000):
        asked = wire.SaveOnBase(paths=names[begin : begin + 1000], author=_PERSON, message="Files")
        await base.save(hub, asked)
    plain = folder / "plain"
    _git(folder, "clone", "--quiet", str(hub.path), str(plain))
    return hub, plain


async def _round(hub: Hub, plain: Path, number: int) -> list[tuple[float, float]]:
    """One turn of each: milliseconds of ours, and of plain git's."""
    beside = plain.with_name(f"beside {number}")
    tree = await _timed(lambda: trees.want(hub, number, wire.WantTree()))
    worktree = _timed_git(plain, ["worktree", "add", "--quiet", "--detach", str(beside)])
    for folder in (hub.tree(number), beside):
        for change in range(CHANGED):
            name = change * 97 % FILES
            (folder / f"folder {name % 100}/file {name}.txt").write_text(f"{number}\n{_LINE * 79}")
    at = trees.base_of(hub, number)
    asked = wire.TakeCheckpoint(base=at, message="Round")
    kept = await _timed(lambda: checkpoints.take(hub, number, asked))
    added = _timed_git(beside, ["add", "--all"], ["write-tree"])
    revision = (await checkpoints.take(hub, number, asked)).revision or at
    listed = await _timed(lambda: changes.diff(hub, wire.AskDiff(base=at, revision=revision)))
    counted = _timed_git(beside, ["diff", "--cached", "--numstat"])
    return [(tree, worktree), (kept, added), (listed, counted)]


async def _timed(verb: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await verb()
    return (time.perf_counter() - began) * 1000


def _timed_git(folder: Path, *commands: list[str]) -> float:
    began = time.perf_counter()
    for command in commands:
        _git(folder, *command)
    return (time.perf_counter() - began) * 1000


def _git(folder: Path, *arguments: str) -> None:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True)
