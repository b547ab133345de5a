"""Starts the sidecar of one workspace: `python -m vibe_app.workspace_services.sidecar`.

Whoever starts it (the local runtime, a pod) also starts the OpenCode server that
it drives, and gives both the same secrets. Everything comes from the environment:

| variable | meaning | default |
|---|---|---|
| `WORKSPACE_DIR` | the workspace; must exist and be writable | `/workspace` |
| `PROJECT_ID` | the project's id; required | |
| `SIDECAR_TOKEN` | `Authorization: Bearer <token>` of every call but `/health`, `/ready`; required | |
| `OPENCODE_URL` | where OpenCode serves; it may come up later than the sidecar | `http://127.0.0.1:3000` |
| `OPENCODE_SERVER_PASSWORD` | the password OpenCode was started with; empty means none | |
| `SWEEPER_URL` | who ends left-over commands that run out of sight; empty means the sidecar | |
| `GATEWAY_URL` | the gateway's control address, which takes SIDECAR_TOKEN; empty means none | |
| `OPENCODE_HOME` | OpenCode's private home, for all of a long output; empty where it is out of sight | |
| `MODEL_SILENCE` | seconds for which a model may keep its stream open without a word | `600` |
| `GUIDANCE_FILE` | OpenCode's copy of what a repository says, in a folder of that name those of trees | |
| `RUN_NOTICE` | a sentence that each run begins with | |
| `REHEARSAL_KEY` | `Bearer` key of `/rehearsal/v1`; empty means that the route is closed | |
| `REHEARSAL_PACE` | factor on the rehearsal model's pauses: 1 for people, 0 for tests | `1` |
| `HOST`, `PORT` | where to listen | `127.0.0.1`, `3003` |
| `LOG_LEVEL` | `debug`, `info`, `warning`, `error`; the log goes to stderr | `info` |

The matching OpenCode process is `opencode serve --hostname 127.0.0.1 --port <port>`,
started in the workspace with exactly the environment of
`vibe_app.workspaces.runtimes.hermetic.opencode_env` after `prepare_home` and `write_config`.
Its `VIBE_PROJECT_ID` must equal the sidecar's `PROJECT_ID`: by it the sidecar
knows the processes that a run left behind. Either both see each other's processes
and run as the same user, or SWEEPER_URL names who sees OpenCode's: so it is in a pod.

SIGTERM and SIGINT end the sidecar within a second; a live session goes on inside
OpenCode, and the next sidecar of the same workspace takes it up again.
Exit status 2 with a sentence on stderr means a variable that cannot be used.
"""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from vibe_app.log import set_up
from vibe_app.wire import KEEP_ALIVE
from vibe_app.workspace_services.sidecar.app import Config, create_app


def main() -> int:
    """Serve until a signal; return the exit status."""
    try:
        config = Config.from_env(os.environ)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    set_up(config.log_level)
    # httpx logs each request at INFO, which would be every poll of OpenCode's status.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(
        create_app(config),
        host=config.host,
        port=config.port,
        log_config=None,
        access_log=False,
        # Who asks is part of a proof, and nobody's to say.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        # Open streams would otherwise hold the shutdown for as long as a session runs.
        timeout_graceful_shutdown=1,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
