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
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from tests.runs.rig import CREDENTIALS, QUICK
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database
from vibe_app.runs.event_log import EventLog
from vibe_app.runs.record import Record
from vibe_app.runs.supervisor import Supervisor
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, WorkspaceSpec
from vibe_app.workspaces.service import Workspaces


class RuntimeElsewhere:
    """Every workspace is the sidecar at one address."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def open(self) -> None: ...

    async def close(self, keep: Collection[UUID] | None = None) -> None: ...

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        return self._endpoint

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None: ...

    async def alive(self) -> set[UUID]:
        return set()


async def started_and_dead(self: Record) -> None:
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
    parser.add_argument("--poison", action="store_true")
    options = parser.parse_args()
    if options.poison:
        Record.started = started_and_dead
    settings = load_settings(
        data=options.data, database_url=options.database, lease=options.lease, heartbeat=options.heartbeat
    )
    database = Database(settings.database)
    runtime = RuntimeElsewhere(Endpoint(options.url, options.token))
    async with Agent() as agent:
        workspaces = Workspaces(database, runtime, agent, settings.workspace_idle_minutes, CREDENTIALS)
        event_log = EventLog(database, settings.lease)
        supervisor = Supervisor(database, workspaces, agent, event_log, settings, QUICK)
        terminated = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
        await database.open()
        await supervisor.open()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await terminated.wait()
        await supervisor.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
