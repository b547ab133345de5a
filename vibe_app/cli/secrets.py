"""`vibe secrets`: what is kept encrypted, seen from the terminal of whoever runs the installation."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from vibe_app.cli.database import ask, check_newest, with_database
from vibe_app.cli.options import Fault, console, data_option, settings_from
from vibe_app.errors import NotFound
from vibe_app.settings import Settings

if TYPE_CHECKING:
    from vibe_app.configuration.keyring import Keyring
    from vibe_app.db import Database

_KEY_IDS = (
    "SELECT DISTINCT key_id FROM secrets",
    "SELECT DISTINCT key_id FROM providers WHERE key_id IS NOT NULL",
)

CURE = (
    "Give the right key back, or name it in VIBE_SECRET_KEY_BEFORE and run `vibe secrets rotate`. If it is "
    "lost: `vibe secrets list` shows what cannot be read, `vibe secrets remove` forgets it."
)


def check_readable(settings: Settings) -> None:
    """Return if everything that is kept encrypted was encrypted under a key that is here.

    Raises:
        Fault: Something was not; what to do about it.
    """
    if unreadable(settings):
        name = "VIBE_SECRET_KEY" if settings.secret_key else f"{settings.key_file}"
        raise Fault(
            f"Stored secrets were encrypted under another key than that of {name}. Nothing was changed. "
            + CURE,
            2,
        )


def unreadable(settings: Settings) -> bool:
    """Tell whether something is kept under a key that is not here. No key is made for it.

    Raises:
        Fault: The database cannot be reached.
    """
    from vibe_app.configuration.keyring import Keyring

    kept = {row[0] for query in _KEY_IDS for row in ask(settings, query)}
    return bool(kept and kept - Keyring(settings.known_keys()).key_ids)


@click.group()
def secrets() -> None:
    """What is kept encrypted: providers' keys and repositories' tokens. None is ever shown."""


@secrets.command("list")
@data_option
def show(data: Path | None) -> None:
    """List what is kept, by its place, and whether it can be read."""
    from vibe_app.configuration.kept import Kept, everything
    from vibe_app.configuration.keyring import Keyring

    async def read(database: Database) -> list[Kept]:
        async with database.read() as db:
            return await everything(db)

    settings = _settings(data)
    known = Keyring(settings.known_keys()).key_ids
    for kept in with_database(settings, read):
        words = "" if kept.sealed.key_id in known else "  cannot be read: kept under another key"
        click.echo(f"{kept.place}  {kept.updated_at:%Y-%m-%d %H:%M} UTC{words}")


@secrets.command("set")
@click.argument("place")
@click.option("--username", default="", help="Beside a repository's token, where its server wants one.")
@data_option
def give(place: str, username: str, data: Path | None) -> None:
    """Keep a secret at PLACE: provider/ID or project/ID/repository.

    It is asked for, or read from standard input.
    """
    from vibe_app.configuration.providers import Providers

    settings = _settings(data)
    value = _value()

    async def write(database: Database) -> None:
        keyring = _keyring(settings)
        if place.startswith("provider/"):
            providers = Providers(database, keyring, settings)
            try:
                return await providers.give_key(place.removeprefix("provider/"), value)
            except NotFound:
                raise _nothing_at(place) from None
        await _write(database, keyring, place, username, value)

    with _key_in_use(settings, fcntl.LOCK_SH):
        with_database(settings, write)
    console.print(f"Kept at {place}.", markup=False)


@secrets.command()
@click.argument("place")
@data_option
def remove(place: str, data: Path | None) -> None:
    """Forget what is kept at PLACE, as `vibe secrets list` names it."""
    from vibe_app.configuration.kept import everything

    async def write(database: Database) -> bool:
        async with database.transaction() as db:
            found = [kept for kept in await everything(db) if kept.place == place]
            for kept in found:
                await kept.remove(db)
        return bool(found)

    if not with_database(_settings(data), write):
        raise _nothing_at(place)
    console.print(f"Nothing is kept at {place} any more.", markup=False)


@secrets.command()
@data_option
def rotate(data: Path | None) -> None:
    """Encrypt everything under a new key. It may be broken off anywhere, and run again.

    The key in the data folder is replaced by a new one, for which the server must be stopped; everybody
    signs in again. A key of the environment is replaced by you: set VIBE_SECRET_KEY to a new one and
    VIBE_SECRET_KEY_BEFORE to the old one, start the servers anew, run this, take VIBE_SECRET_KEY_BEFORE
    away again.
    """
    from vibe_app.cli.server import claimed_alone

    settings = _settings(data)
    if settings.secret_key:
        return _end(settings)
    with claimed_alone(settings) as mine:
        if not mine:
            raise Fault(
                f"A server runs on {settings.data}: stop it first, as it would go on with the old key.", 2
            )
        with _key_in_use(settings, fcntl.LOCK_EX):
            from vibe_app.configuration.rotation import forget_key_file_before, replace_key_file

            replace_key_file(settings)
            _end(settings)
            forget_key_file_before(settings)
    console.print("A new key is in place. Logins have ended: everybody signs in again.")


def _end(settings: Settings) -> None:
    from vibe_app.configuration.rotation import rotate as rotate_all

    done = with_database(settings, lambda database: rotate_all(database, _keyring(settings)))
    if done.unreadable:
        raise Fault(
            f"{done.count} secrets are kept under the present key now. These cannot be read with any key "
            f"that is here: {', '.join(done.unreadable)}. Name their key in VIBE_SECRET_KEY_BEFORE, or "
            "forget them with `vibe secrets remove`, and run this again."
        )
    if done.count or not settings.secret_key:
        console.print(f"[green]✓[/] {done.count} secrets were encrypted anew.")
    else:
        console.print(
            "Everything is kept under the present key. To replace it, set VIBE_SECRET_KEY to a new one and "
            "VIBE_SECRET_KEY_BEFORE to the present one, and run this again.",
            soft_wrap=True,
        )
    if settings.secret_key_before:
        console.print("VIBE_SECRET_KEY_BEFORE can be taken away once every server has the new key.")


async def _write(database: Database, keyring: Keyring, place: str, username: str, value: str) -> None:
    from vibe_app.addresses import Credential
    from vibe_app.board.projects.models import Project
    from vibe_app.configuration.credentials import Credentials
    from vibe_app.configuration.secrets import Secrets

    kind, _, rest = place.partition("/")
    owner, _, name = rest.rpartition("/")
    try:
        project_id = UUID(owner)
    except ValueError:
        raise _nothing_at(place) from None
    async with database.transaction() as db:
        if (kind, name) != ("project", "repository") or await db.get(Project, project_id) is None:
            raise _nothing_at(place)
        await Credentials(Secrets(keyring)).put(db, project_id, Credential(username, value))


def _value() -> str:
    value = click.prompt("Secret", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    value = value.strip()
    if not value or not value.isprintable() or len(value) > 4000:
        raise Fault("A secret is one line of at most 4000 characters.", 2)
    return value


def _nothing_at(place: str) -> Fault:
    return Fault(
        f"There is no place {place}. It is project/ID/repository of a project, or provider/ID of a provider "
        "that the server has; `vibe secrets list` shows those that are filled.",
        2,
    )


def _settings(data: Path | None) -> Settings:
    settings = settings_from(data=data)
    check_newest(settings)
    return settings


def _keyring(settings: Settings) -> Keyring:
    from vibe_app.configuration.keyring import Keyring

    return Keyring(settings.keys())


@contextmanager
def _key_in_use(settings: Settings, kind: int) -> Generator[None]:
    """Keep the key from being replaced, or everybody from using it, for as long as the block lasts."""
    path = settings.data / "run" / "key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, kind)
        yield
