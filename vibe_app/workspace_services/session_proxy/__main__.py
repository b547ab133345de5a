"""Starts the session proxy of one workspace: `vibe session-proxy`, or this module.

Everything comes from the environment:

| variable | meaning | default |
|---|---|---|
| `WORKSPACE_DIR` | the workspace, as OpenCode sees it | `/workspace` |
| `SIDECAR_TOKEN` | `Authorization: Bearer <token>` of every call but `/health`, `/ready`; required | |
| `OPENCODE_URL` | where OpenCode serves; it may come up later | `http://127.0.0.1:3000` |
| `OPENCODE_SERVER_PASSWORD` | the password OpenCode was started with; empty means none | |
| `HOST`, `PORT` | where to listen | `127.0.0.1`, `3002` |
| `LOG_LEVEL` | `debug`, `info`, `warning`, `error`; the log goes to stderr | `info` |

For OpenCode's own page and its terminal client the token will do as the password of
HTTP Basic, with any name. SIGTERM and SIGINT end it within a second; what OpenCode
does goes on. Exit status 2 with a sentence on stderr means a variable that cannot be used.
"""

from __future__ import annotations

import logging
import os
import sys

from vibe_app.workspace_services.common.serving import serve
from vibe_app.workspace_services.session_proxy.app import Config, create_app


def main() -> int:
    """Serve until a signal; return the exit status."""
    try:
        config = Config.from_env(os.environ)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # httpx logs each request at INFO, query and all.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    serve(create_app(config), config.listening)
    return 0


if __name__ == "__main__":
    sys.exit(main())
