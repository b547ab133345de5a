"""One of several server processes, or their engine: serves on a given socket, and ends when its parent does.

Run by `vibe_app/cli/workers.py` as `python -m vibe_app.cli.worker SOCKET PARENT`,
the numbers of two open files. Its settings are those of the environment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from vibe_app import frontend
from vibe_app.cli.server import serve_on
from vibe_app.settings import load_settings


def main() -> None:
    """Serve until told to stop, or until the parent is gone."""
    listener, parent = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    logger = logging.getLogger(__name__)
    settings = load_settings()

    def parent_gone() -> None:
        asyncio.get_running_loop().remove_reader(parent)
        os.kill(os.getpid(), signal.SIGTERM)

    @asynccontextmanager
    async def ready() -> AsyncGenerator[None]:
        from vibe_app.wiring import services

        address = listener.getsockname()
        where = f" at http://{address[0]}:{address[1]}/metrics" if settings.role == "engine" else ""
        told = {"empty": await services().accounts.is_empty(), "where": where}
        parent.sendall(json.dumps(told).encode() + b"\n")
        # The parent never writes: there is something to read once its end of the line is closed.
        asyncio.get_running_loop().add_reader(parent, parent_gone)
        try:
            yield
        finally:
            asyncio.get_running_loop().remove_reader(parent)

    serve_on(settings, frontend.home(), listener, ready, logger.debug)


if __name__ == "__main__":
    main()
