"""The key under which secrets are kept is replaced: by whoever sets it, or in the data folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.addresses import Credential
from vibe_app.board.projects.models import Project
from vibe_app.configuration import rotation
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.kept import everything
from vibe_app.configuration.keyring import Keyring
from vibe_app.configuration.rotation import forget_key_file_before, replace_key_file, rotate
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.settings import Settings, load_settings

TOKENS = ["ghp_one", "ghp_two", "ghp_three"]
OLD, NEW = "o" * 40, "n" * 40


async def keep(database: Database, keyring: Keyring, tokens: list[str]) -> list[Project]:
    projects = [Project(name=f"Garden {token}") for token in tokens]
    async with database.transaction() as db:
        db.add_all(projects)
    async with database.transaction() as db:
        for project, token in zip(projects, tokens, strict=True):
            await Credentials(Secrets(keyring)).put(db, project.id, Credential("", token))
    return projects


async def read(database: Database, keyring: Keyring, projects: list[Project]) -> list[str]:
    async with database.read() as db:
        found = [await Credentials(Secrets(keyring)).get(db, project.id) for project in projects]
    return [credential.token for credential in found if credential]


async def under(database: Database, keyring: Keyring) -> int:
    """Return how many secrets are kept under the key that seals."""
    async with database.read() as db:
        return sum(kept.sealed.key_id == keyring.key_id(kept.purpose) for kept in await everything(db))


async def test_a_key_of_the_environment_is_replaced_by_the_next(database: Database, tmp_path: Path) -> None:
    before = load_settings(data=tmp_path, secret_key=OLD)
    projects = await keep(database, Keyring(before.keys()), TOKENS)
    both = load_settings(data=tmp_path, secret_key=NEW, secret_key_before=f"{'x' * 40}, {OLD}")
    assert await read(database, Keyring(both.keys()), projects) == TOKENS
    assert (await rotate(database, Keyring(both.keys()))).count == 3
    after = Keyring(load_settings(data=tmp_path, secret_key=NEW).keys())
    assert await read(database, after, projects) == TOKENS
    assert (await rotate(database, after)) == rotation.Rotated(0, ())


async def test_a_key_of_the_environment_replaces_the_one_that_was_made(
    database: Database, tmp_path: Path
) -> None:
    projects = await keep(database, Keyring(load_settings(data=tmp_path).keys()), TOKENS)
    keyring = Keyring(load_settings(data=tmp_path, secret_key=NEW).keys())
    assert await read(database, keyring, projects) == TOKENS
    await rotate(database, keyring)
    assert await under(database, keyring) == 3


async def test_what_no_key_opens_is_named_and_left_as_it_is(database: Database) -> None:
    projects = await keep(database, Keyring([OLD]), TOKENS[:1])
    readable = await keep(database, Keyring([NEW, OLD]), TOKENS[1:2])
    found = await rotate(database, Keyring([NEW]))
    assert found == rotation.Rotated(0, (f"project/{projects[0].id}/repository",))
    assert await read(database, Keyring([OLD]), projects) == TOKENS[:1]
    assert await read(database, Keyring([NEW]), readable) == TOKENS[1:2]


async def test_what_is_given_anew_meanwhile_is_not_undone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, both = Keyring([OLD]), Keyring([NEW, OLD])
    (project,) = await keep(database, old, TOKENS[:1])
    found = everything

    async def and_then_written(db: AsyncSession) -> Any:
        kept = await found(db)
        monkeypatch.setattr(rotation, "everything", found)
        async with database.transaction() as other:
            await Credentials(Secrets(old)).put(other, project.id, Credential("", "given meanwhile"))
        return kept

    monkeypatch.setattr(rotation, "everything", and_then_written)
    await rotate(database, both)
    assert await read(database, Keyring([NEW]), [project]) == ["given meanwhile"]


class Killed(BaseException):
    """The process ends here."""


def dying_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Have the process end before or after the step of that number, of all that change something."""
    passed = 0

    def steps(does: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == moment:
                raise Killed
            done = does(*arguments, **options)
            passed += 1
            if passed == moment:
                raise Killed
            return done

        return step

    for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink")):
        monkeypatch.setattr(owner, name, steps(getattr(owner, name)))
    commits = AsyncSession.commit

    async def commit(db: AsyncSession) -> None:
        nonlocal passed
        for after in (False, True):
            passed += 1
            if passed == moment:
                raise Killed
            if not after:
                await commits(db)

    monkeypatch.setattr(AsyncSession, "commit", commit)


async def rotate_all(database: Database, settings: Settings) -> None:
    replace_key_file(settings)
    assert not (await rotate(database, Keyring(settings.keys()))).unreadable
    forget_key_file_before(settings)


async def test_killed_at_any_point_everything_can_be_read_and_the_next_one_ends_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_AT_ONCE", 2)
    settings = load_settings(data=tmp_path)
    projects = await keep(database, Keyring(settings.keys()), TOKENS)
    moments, ended = 0, False
    while not ended:
        moments += 1
        first = settings.signing_key()
        with monkeypatch.context() as patched, suppress(Killed):
            dying_at(patched, moments)
            await rotate_all(database, settings)
            ended = True
        assert await read(database, Keyring(settings.keys()), projects) == TOKENS, moments
        if not ended:
            await rotate_all(database, settings)
        assert settings.signing_key() != first
        assert not settings.key_file_before.exists()
        alone = Keyring([settings.signing_key()])
        assert await read(database, alone, projects) == TOKENS
        assert await under(database, alone) == len(TOKENS)
    assert moments > 15
    assert settings.key_file.stat().st_mode & 0o777 == 0o600


async def test_a_rotation_that_was_broken_off_is_ended_with_the_key_that_it_had_made(
    database: Database, tmp_path: Path
) -> None:
    settings = load_settings(data=tmp_path)
    await keep(database, Keyring(settings.keys()), TOKENS)
    replace_key_file(settings)
    made = settings.signing_key()
    await rotate_all(database, settings)
    assert settings.signing_key() == made
