"""What the supervisor of an agent's commands costs each of them: the same command with it and without."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, percentile, spread
from vibe_app.workspaces.runtimes.supervision import SCRIPT, bash_env

MORE_MS = 150
COMMAND = "echo done"


async def taken(environment: dict[str, str]) -> float:
    """Return how many milliseconds bash takes for the command, its output closed."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", COMMAND, env=environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert (process.returncode, said) == (0, b"done\n")
    return (time.perf_counter() - began) * 1000


def written(folder: Path) -> str:
    """Write what bash reads before each command, and return where."""
    script, before, bounds = folder / "supervisor", folder / "before", folder / "bounds"
    bounds.touch()
    script.write_text(SCRIPT)
    before.write_text(bash_env(script, bounds, folder / "tasks", ["SECRET"]))
    return str(before)


async def run(quick: bool) -> list[Figure]:
    """Measure by turns."""
    bare = {"PATH": os.environ["PATH"]}
    with TemporaryDirectory() as folder:
        # As OpenCode starts it: a child of the process with this number.
        supervised = bare | {"BASH_ENV": written(Path(folder)), "OPENCODE_PID": str(os.getpid())}
        pairs = [(await taken(supervised), await taken(bare)) for _ in range(20 if quick else 200)]
    with_it, without = [first for first, _ in pairs], [second for _, second in pairs]
    return [
        Figure(
            "p95 of a command under its supervisor, more than bash alone",
            percentile(with_it) - percentile(without),
            "ms",
            MORE_MS,
            f"supervised {spread(with_it)}; bash {spread(without)}",
        )
    ]
