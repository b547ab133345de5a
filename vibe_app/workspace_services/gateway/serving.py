"""Runs the gateway's server until a signal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

import uvicorn

from vibe_app.catalogue import Catalogue, catalogue
from vibe_app.errors import Unavailable
from vibe_app.log import set_up
from vibe_app.wire import KEEP_ALIVE
from vibe_app.workspace_services.gateway.app import Config, create_app, listeners
from vibe_app.workspace_services.gateway.journal import Journal
from vibe_app.workspace_services.gateway.ledger import Ledger

_BACKLOG = 128
_log = logging.getLogger(__name__)


def run(env: Mapping[str, str]) -> int:
    """Serve until a signal; return the exit status."""
    try:
        config = Config.from_env(env)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    set_up(config.control.log_level)
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        ledger = Ledger(Journal(config.journal), _prices())
        sockets = listeners(config)
    except BlockingIOError:
        sys.stderr.write(f"Another gateway has the journal in {config.journal}.\n")
        return 3
    except (OSError, Unavailable) as error:
        sys.stderr.write(f"The gateway cannot start: {error}.\n")
        return 3
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config, ledger),
            http="h11",
            ws="none",
            loop="asyncio",
            backlog=_BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            # Which door a request came in by is nobody's to say.
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
    )
    server.run(sockets=sockets)
    return 0


def _prices() -> Catalogue:
    try:
        return catalogue()
    except (OSError, ValueError):
        _log.warning("There is no catalogue of models: no price is known")
        return Catalogue({}, {})
