"""A process that shares the local workspaces of a data folder, and does what it is told on standard input.

Each line is a JSON array: a number, a verb, and its arguments. Lines of JSON
come back: `[number, "said", sentence]` for progress, `[number, "done", answer]`
or `[number, "refused", sentence]`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from vibe_app.errors import VibeError
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.local.shared import SharedLocalRuntime


def say(number: int, kind: str, what: Any) -> None:
    """Tell the test."""
    sys.stdout.write(json.dumps([number, kind, what]) + "\n")
    sys.stdout.flush()


async def carry_out(runtime: SharedLocalRuntime, number: int, verb: str, arguments: list[Any]) -> None:
    """Do one thing and say what came of it."""

    async def progress(sentence: str) -> None:
        say(number, "said", sentence)

    try:
        match verb, arguments:
            case "ensure", [project]:
                say(number, "done", asdict(await runtime.ensure(WorkspaceSpec(UUID(project)), progress)))
            case "stop", [project, erase]:
                say(number, "done", await runtime.stop(UUID(project), erase=erase))
            case "alive", []:
                say(number, "done", sorted(map(str, await runtime.alive())))
            case "host", []:
                say(number, "done", runtime.is_host)
            case "close", [keep]:
                await runtime.close(None if keep is None else [UUID(project) for project in keep])
                say(number, "done", None)
    except VibeError as error:
        say(number, "refused", error.message)


async def main() -> None:
    """Open the runtime, say "open", and go on until standard input ends."""

    async def on_host(alive: set[UUID]) -> None:
        say(0, "host", sorted(map(str, alive)))

    settings = Settings(data=Path(sys.argv[1]), opencode=sys.argv[2])  # pyright: ignore[reportCallIssue]
    runtime = SharedLocalRuntime(settings, on_host=on_host, pace=0)
    await runtime.open()
    say(0, "open", None)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    while line := await lines.readline():
        number, verb, *arguments = json.loads(line)
        task = asyncio.create_task(carry_out(runtime, number, verb, arguments))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
