"""The real server on the real pages, with its workspaces' sidecar played by the bench.

Run as `python -m bench.served` with the sidecar's address and token in the
environment. All that differs from `vibe serve` is the runtime that the app's
parts are built with.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from tests.elsewhere import ElsewhereRuntime
from vibe_app import frontend, wiring
from vibe_app.cli import ports
from vibe_app.cli.server import run_server
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint

URL, TOKEN = "BENCH_SIDECAR_URL", "BENCH_SIDECAR_TOKEN"


def main() -> None:
    """Serve until SIGTERM."""
    endpoint = Endpoint(os.environ[URL], os.environ[TOKEN])
    runtime = ElsewhereRuntime(lambda _: endpoint)
    wiring.build = functools.partial(wiring.build, runtime=runtime)
    settings = load_settings(data=Path(sys.argv[1]))

    async def ready(_url: str) -> None:
        return

    run_server(settings, frontend.home(), ports.bind("127.0.0.1", 0), ready)


if __name__ == "__main__":
    main()
