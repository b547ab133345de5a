"""Starts the file browser of one workspace: `vibe file-browser`, or this module.

Everything comes from the environment:

| variable | meaning | default |
|---|---|---|
| `WORKSPACE_DIR` | the workspace; must exist | `/workspace` |
| `SIDECAR_TOKEN` | `Authorization: Bearer <token>` of every call but `/health`, `/ready`; required | |
| `FILES_READ_MIB` | MiB that are returned of a file in one piece | `5` |
| `FILES_UPLOAD_MIB` | MiB that a written file may have | `512` |
| `FILES_ARCHIVE_MIB` | MiB of files that an archive may hold | `2048` |
| `BUBBLEWRAP` | path of bubblewrap, which hides the rest of the machine from git; empty for none | |
| `HOST`, `PORT` | where to listen | `127.0.0.1`, `3001` |
| `LOG_LEVEL` | `debug`, `info`, `warning`, `error`; the log goes to stderr | `info` |

It needs `rg` on PATH for searches, and `git`. SIGTERM and SIGINT end it within a second; a file
that is being written then is dropped whole. Exit status 2 with a sentence on stderr
means a variable that cannot be used.
"""

from __future__ import annotations

import os
import sys

from vibe_app.workspace_services.common.serving import hide, serve
from vibe_app.workspace_services.file_browser.app import Config, create_app


def main() -> int:
    """Serve until a signal; return the exit status."""
    # Before git runs here: this process's environment holds the token.
    hide()
    try:
        config = Config.from_env(os.environ)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    serve(create_app(config), config.listening)
    return 0


if __name__ == "__main__":
    sys.exit(main())
