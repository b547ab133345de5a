"""`vibe db` and `vibe user`: what is done to the database without a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vibe_app import frontend
from vibe_app.cli.options import Fault, console, data_option, settings_from
from vibe_app.cli.steps import Step, StepError
from vibe_app.errors import VibeError
from vibe_app.private import keep_private
from vibe_app.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

    from vibe_app.accounts.users import Users
    from vibe_app.db import Database

Answer = TypeVar("Answer")

_REVISION = re.compile(r"^revision(?:: str)? = [\"'](\w+)[\"']", re.MULTILINE)
_DOWN_REVISION = re.compile(r"^down_revision[^=]*= [\"'](\w+)[\"']", re.MULTILINE)


def _alembic(settings: Settings) -> Config:
    from alembic.config import Config

    config = Config(frontend.home() / "alembic.ini")
    config.attributes["url"] = settings.database
    return config


def _known() -> tuple[set[str], str]:
    """Return every revision that this version of Vibe knows, and the newest of them.

    Read from the migrations' own text: a server asks at every start, and Alembic
    would take as long to import as the answer is worth.
    """
    texts = [path.read_text() for path in (frontend.home() / "alembic" / "versions").glob("*.py")]
    revisions = {found[1] for text in texts if (found := _REVISION.search(text))}
    built_on = {found[1] for text in texts if (found := _DOWN_REVISION.search(text))}
    (head,) = revisions - built_on
    return revisions, head


def latest(settings: Settings) -> str:
    """Return the newest revision that this version of Vibe knows."""
    return _known()[1]


def check_newest(settings: Settings) -> str:
    """Return the revision of the database, if it is the one that this version of Vibe works with.

    Raises:
        Fault: It is older or newer, or cannot be reached.
    """
    revision, newest = current(settings), latest(settings)
    _refuse_newer(revision)
    if revision != newest:
        raise Fault(
            f"The database is at revision {revision or 'none'}, this version of Vibe works with {newest}: "
            "run `vibe db upgrade` first."
        )
    return revision


def _refuse_newer(revision: str) -> None:
    """Refuse a database that a newer version of Vibe has migrated.

    Raises:
        Fault: It is at a revision that is not known here.
    """
    known, newest = _known()
    if revision and revision not in known:
        raise Fault(
            f"The database is at revision {revision}, which this version of Vibe does not know: a newer one "
            "has migrated it. Run that version, or with it `vibe db downgrade "
            f"{newest}` before you run this one."
        )


def current(settings: Settings) -> str:
    """Return the revision of the database; empty when it has no tables yet.

    Raises:
        Fault: The database cannot be reached.
    """
    found = ask(settings, "SELECT version_num FROM alembic_version")
    return str(found[0][0]) if found else ""


def ask(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, without what the server needs; none where a table is not there yet.

    Raises:
        Fault: The database cannot be reached.
    """
    path = sqlite_path(settings)
    return _ask_file(settings, path, query) if path else _ask_server(settings, query)


def _ask_file(settings: Settings, path: Path, query: str) -> list[tuple[Any, ...]]:
    import sqlite3

    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return []
        raise Fault(_unreachable(settings, error)) from error


def _ask_server(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    import psycopg

    try:
        with psycopg.connect(settings.database.replace("+psycopg", ""), connect_timeout=10) as connection:
            return connection.execute(query.encode()).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.Error as error:
        raise Fault(_unreachable(settings, error)) from error


def sqlite_path(settings: Settings) -> Path | None:
    """Return the database's file, if it is one."""
    scheme, _, path = settings.database.partition(":///")
    return Path(path) if scheme.startswith("sqlite") else None


def _unreachable(settings: Settings, error: Exception) -> str:
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    what = sqlite_path(settings) or "of VIBE_DATABASE_URL"
    return (
        f"The database {what} cannot be opened ({cause}). Check that it runs and that its address is right."
    )


def migrate(settings: Settings) -> str:
    """Bring the database to the newest revision and return that.

    Raises:
        Fault: It cannot be reached, or a newer version of Vibe has migrated it.
    """
    from alembic import command

    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run_alembic(settings, partial(command.upgrade, _alembic(settings), "head"))
    keep_private(settings.data)
    return latest(settings)


def _run_alembic(settings: Settings, run: Callable[[], None]) -> None:
    from alembic.util import CommandError
    from sqlalchemy.exc import OperationalError

    _refuse_newer(current(settings))
    try:
        run()
    except OperationalError as error:
        raise Fault(_unreachable(settings, error)) from error
    except CommandError as error:
        # A newer version may have migrated it while this one waited for the lock.
        _refuse_newer(current(settings))
        raise Fault(f"The database cannot be migrated: {error}.") from error


def database_step(settings: Settings) -> Step:
    """The database, with every table in its newest form."""

    def found() -> str | None:
        try:
            revision = current(settings)
            _refuse_newer(revision)
        except Fault as fault:
            raise StepError(fault.message, "Then start again.") from fault
        return f"revision {revision}" if revision == latest(settings) else None

    return Step("database", "migrating", found, lambda: f"revision {migrate(settings)}")


@click.group()
def db() -> None:
    """The database: its revision, and migrations."""


@db.command()
@data_option
def upgrade(data: Path | None) -> None:
    """Bring the database to the newest revision."""
    console.print(f"The database is at revision {migrate(settings_from(data=data))}.")


@db.command()
@click.argument("revision")
@data_option
def downgrade(revision: str, data: Path | None) -> None:
    """Take the database back to REVISION, for an older version of Vibe. Stop the servers on it first.

    What that version cannot hold is lost.
    """
    from alembic import command

    settings = settings_from(data=data)
    if revision not in _known()[0]:
        raise Fault(f"There is no revision {revision}; known are {', '.join(sorted(_known()[0]))}.", 2)
    _run_alembic(settings, partial(command.downgrade, _alembic(settings), revision))
    console.print(f"The database is at revision {current(settings)}.")


@db.command("current")
@data_option
def show_current(data: Path | None) -> None:
    """Show the revision of the database; exit status 1 when it is not the newest."""
    settings = settings_from(data=data)
    revision, newest = current(settings), latest(settings)
    _refuse_newer(revision)
    if revision == newest:
        console.print(f"The database is at revision {revision}, the newest.")
        return
    console.print(
        f"The database is at revision {revision or 'none'}, the newest is {newest}: run `vibe db upgrade`."
    )
    raise SystemExit(1)


def with_database(settings: Settings, use: Callable[[Database], Awaitable[Answer]]) -> Answer:
    """Run `use` with the database, opened for this call alone.

    Raises:
        Fault: What was asked was refused, in the words of the refusal.
    """
    # Tables name these two: SQLAlchemy wants to know them.
    import vibe_app.accounts.models  # pyright: ignore[reportUnusedImport]
    import vibe_app.board.projects.models  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from vibe_app.db import Database

    async def run() -> Answer:
        database = Database(settings.database)
        try:
            return await use(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except VibeError as error:
        raise Fault(error.message) from error


def users_of(database: Database) -> Users:
    """Return the people of a database."""
    from vibe_app.accounts.passwords import Passwords
    from vibe_app.accounts.people import PeopleRows
    from vibe_app.accounts.users import Users
    from vibe_app.board.projects.members import Members

    return Users(database, Passwords(), Members(database, PeopleRows()))


@click.group()
def user() -> None:
    """People with an account."""


@user.command()
@click.option("--email", prompt="E-mail address", help="The address to sign in with.")
@click.option("--name", prompt="Name", help="What others see.")
@click.password_option(help="At least 10 characters; asked for when not given.")
@click.option("--admin", is_flag=True, help="May manage the installation.")
@data_option
def add(email: str, name: str, password: str, admin: bool, data: Path | None) -> None:
    """Create an account."""
    settings = settings_from(data=data)
    check_newest(settings)
    role = "admin" if admin else "member"
    made = with_database(settings, lambda database: users_of(database).add(None, email, name, password, role))
    console.print(f"{made.name} can now sign in as {made.email} ({made.role.value}).")
