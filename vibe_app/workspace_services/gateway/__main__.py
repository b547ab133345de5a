"""Starts the gateway of one workspace: `vibe gateway`, or this module.

Everything but the providers' keys, which arrive over the control API alone, comes from the environment:

| variable | meaning | default |
|---|---|---|
| `JOURNAL_DIR` | where it journals, out of the agent's reach; made if need be; required | |
| `PROJECT_ID` | the project's id; required | |
| `GATEWAY_TOKEN` | what OpenCode sends as its providers' key; required | |
| `CONTROL_TOKEN` | `Authorization: Bearer <token>` of the control API; required | |
| `PORT` | the model API, for OpenCode | `3004` |
| `CONTROL_PORT` | the control API, for the engine and the sidecar | `3005` |
| `PROXY_PORT` | the agent's way out to the network | `3006` |
| `AGENT_HOST` | where the model API and the proxy listen | `127.0.0.1` |
| `HOST` | where the control API listens | `127.0.0.1` |
| `MODEL_SILENCE` | seconds for which a provider may be silent | `600` |
| `LOG_LEVEL` | `debug`, `info`, `warning`, `error`; the log goes to stderr | `info` |

Nobody of the same user can look into its memory or environment (prctl(2), PR_SET_DUMPABLE). SIGTERM and
SIGINT end it within a second; after a `kill -9` it goes on from its journal. Exit status 2 with a sentence
on stderr means a variable that cannot be used, 3 a port or a journal that somebody else has.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_DUMPABLE = 4


def hide() -> None:
    """Let nobody of the same user read this process's memory or environment, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def main() -> int:
    """Serve until a signal; return the exit status."""
    hide()
    # What takes its time is imported behind the curtain.
    from vibe_app.workspace_services.gateway.serving import run

    return run(os.environ)


if __name__ == "__main__":
    sys.exit(main())
