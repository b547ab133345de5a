"""The real server on the real pages, with its workspaces' sidecar played by the bench.

Run as `python -m bench.served` with the sidecar's address and token in the
environment. All that differs from `vibe serve` is the runtime that the app's
parts are built with.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from vibe_app import frontend, wiring
from vibe_app.cli import ports
from vibe_app.cli.server import run_server
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, WorkspaceSpec

URL, TOKEN = "BENCH_SIDECAR_URL", "BENCH_SIDECAR_TOKEN"


class ElsewhereRuntime:
    """Every project's workspace is one sidecar that somebody else runs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def open(self) -> None:
        """Nothing was left running."""

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Nothing is to be let go of."""

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Return the sidecar."""
        return self._endpoint

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """Leave the sidecar to whoever runs it."""

    async def alive(self) -> set[UUID]:
        """Return no project: none is this process's to stop."""
        return set()


def main() -> None:
    """Serve until SIGTERM."""
    runtime = ElsewhereRuntime(Endpoint(os.environ[URL], os.environ[TOKEN]))
    wiring.build = functools.partial(wiring.build, runtime=runtime)
    settings = load_settings(data=Path(sys.argv[1]))

    async def ready(_url: str) -> None:
        return

    run_server(settings, frontend.home(), ports.bind("127.0.0.1", 0), ready)


if __name__ == "__main__":
    main()
