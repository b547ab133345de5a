"""A process that runs the engine on a given database until it is killed.

Its one workspace is a sidecar in the process of the test. With `--poison` it
dies as soon as it has accepted a session, as one that eats all memory would make it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.elsewhere import ElsewhereRuntime
from tests.runs.rig import QUICK
from vibe_app.runs.record import Record
from vibe_app.settings import load_settings
from vibe_app.wiring import build, running
from vibe_app.workspaces.runtimes.base import Endpoint


async def started_and_dead(self: Record, conversation: str = "", heard: bool = True) -> None:
    """In place of noting that a session has started."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    """Run until SIGTERM; say "ready" once the engine is open."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--lease", type=float, required=True)
    parser.add_argument("--heartbeat", type=float, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--gateway", default="")
    parser.add_argument("--poison", action="store_true")
    options = parser.parse_args()
    if options.poison:
        Record.started = started_and_dead
    settings = load_settings(
        data=options.data,
        database_url=options.database,
        secret_key=options.key,
        lease=options.lease,
        heartbeat=options.heartbeat,
    )
    runtime = ElsewhereRuntime(lambda _: Endpoint(options.url, options.token, gateway_url=options.gateway))
    async with running(build(settings, runtime, QUICK)):
        terminated = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await terminated.wait()


if __name__ == "__main__":
    asyncio.run(main())
