"""Replaces the key under which secrets are kept.

At any moment everything can be read with the keys that are accepted then, so this may be killed
anywhere; the next one ends what is left to do. A key of the environment is replaced by whoever sets
it. The one that was made in the data folder is replaced here, in four steps: its copy stands beside
it, the new one takes its place, everything is sealed anew, the copy goes.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

from vibe_app.configuration.kept import Kept, everything
from vibe_app.configuration.keyring import Keyring, Unreadable
from vibe_app.db import Database
from vibe_app.settings import Settings

# Rows that are sealed anew in one transaction, so that nobody waits long for them.
_AT_ONCE = 50


@dataclass(frozen=True)
class Rotated:
    """What was done.

    Args:
        count: Secrets that were sealed anew.
        unreadable: Places of those that no key opens; they are as they were.
    """

    count: int
    unreadable: tuple[str, ...]


def replace_key_file(settings: Settings) -> None:
    """Put a new key in place of the one in the data folder, and keep a copy of that until `rotate` is done.

    Where an earlier call was not followed by its end, nothing more is made: its key is the new one.
    No server may run on the data folder.

    Raises:
        OSError: The data folder cannot be written.
    """
    settings.signing_key()  # there may be none yet
    if not settings.key_file_before.exists():
        descriptor, copy = tempfile.mkstemp(prefix="secret.", dir=settings.data)
        with os.fdopen(descriptor, "w") as file:
            file.write(settings.key_file.read_text())
            file.flush()
            os.fsync(file.fileno())
        os.replace(copy, settings.key_file_before)
        _sync(settings)
    if settings.key_file_before.read_text() == settings.key_file.read_text():
        os.replace(settings.new_key_file(), settings.key_file)
        _sync(settings)


def forget_key_file_before(settings: Settings) -> None:
    """Delete the copy of the key of before; nothing may be kept under it any more."""
    settings.key_file_before.unlink(missing_ok=True)
    _sync(settings)


async def rotate(database: Database, keyring: Keyring) -> Rotated:
    """Seal everything with the key that seals now.

    What somebody writes meanwhile is not undone, and looked at once more.

    Raises:
        Unavailable: The database does not answer. What was done stands.
    """
    count = 0
    while True:
        async with database.read() as db:
            old = [
                kept for kept in await everything(db) if kept.sealed.key_id != keyring.key_id(kept.purpose)
            ]
        readable: list[tuple[Kept, str]] = []
        unreadable: list[str] = []
        for kept in old:
            try:
                readable.append((kept, keyring.open(kept.purpose, kept.identity, kept.sealed)))
            except Unreadable:
                unreadable.append(kept.place)
        if not readable:
            return Rotated(count, tuple(unreadable))
        async with database.transaction() as db:
            for kept, value in readable[:_AT_ONCE]:
                count += await kept.replace(db, keyring.seal(kept.purpose, kept.identity, value))


def _sync(settings: Settings) -> None:
    """Have the folder's names on the disk before anything goes on."""
    folder = os.open(settings.data, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
