"""One replica of the app in a process of its own: engine and REST API, without pages.

Run as `python -m soak.replica <port>` with the app's settings in the environment
and, in `SOAK_WORKSPACES`, a file that says where each project's sidecar answers;
without that it has the runtime that its settings name.
It says "ready" on its standard output once it serves, and dies with whoever
holds the other end of its standard input.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import uvicorn
from starlette.applications import Starlette

from tests.elsewhere import ElsewhereRuntime
from vibe_app.api.app import api_routes
from vibe_app.cli import ports
from vibe_app.cli.server import Server
from vibe_app.log import set_up
from vibe_app.settings import load_settings
from vibe_app.wiring import build, running
from vibe_app.workspaces.runtimes.base import Endpoint

WORKSPACES = "SOAK_WORKSPACES"


def listed_in(listed: Path) -> Callable[[UUID], Endpoint | None]:
    """Return what says where a project's sidecar answers, as a file lists it.

    Args:
        listed: A JSON object: for each project the arguments of its `Endpoint`.
    """

    def where(project_id: UUID) -> Endpoint | None:
        found = json.loads(listed.read_text()).get(str(project_id))
        return Endpoint(**found) if found else None

    return where


def die_with_the_parent() -> None:
    """End this process at once when its standard input is closed, which the death of its parent does."""

    def wait() -> None:
        # Not through sys.stdin, whose lock a thread must not hold when Python ends.
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="wait for the parent's end").start()


def say(word: str) -> None:
    """Write a line for the parent."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until SIGTERM."""
    die_with_the_parent()
    set_up("info", with_process=True)
    for chatty in ("uvicorn", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings = load_settings()
    listed = os.environ.get(WORKSPACES)
    runtime = ElsewhereRuntime(listed_in(Path(listed))) if listed else None

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(build(settings, runtime)):
            yield

    @asynccontextmanager
    async def ready() -> AsyncIterator[None]:
        say("ready")
        yield

    config = uvicorn.Config(
        Starlette(routes=api_routes(), lifespan=lifespan),
        http="h11",
        lifespan="on",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    Server(config, ready).run([ports.bind("127.0.0.1", int(sys.argv[1]))])


if __name__ == "__main__":
    main()
