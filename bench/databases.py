"""The two kinds of database for a bench, each set as an installation would have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.server import NotReady
from tests.postgres import Server, find

KINDS = SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

# What tests do without, for speed or to have no surprise, and an installation does not.
_AS_INSTALLED = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}


@contextmanager
def database(kind: str) -> Iterator[dict[str, str]]:
    """Have a new database of a kind for as long as the block lasts.

    Yields:
        The environment that names it; nothing for SQLite, which is in the data folder.

    Raises:
        NotReady: There is no PostgreSQL.
    """
    if kind == SQLITE:
        yield {}
        return
    if (binaries := find()) is None:
        raise NotReady("There is no PostgreSQL: run `make bench`, which brings one.")
    server = Server(binaries, _AS_INSTALLED)
    try:
        server.start()
        with server.database() as url:
            yield {"VIBE_DATABASE_URL": url}
    finally:
        server.close()
