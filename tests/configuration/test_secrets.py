"""Secrets in the database: what is stored, and what can be read back by whom."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select, text, update
from sqlmodel import col

from vibe_app.addresses import Credential
from vibe_app.board.projects.models import Project
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.kept import everything
from vibe_app.configuration.keyring import Keyring, Purpose, Sealed, Unreadable
from vibe_app.configuration.models import Secret
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.errors import Unavailable
from vibe_app.settings import load_settings

TOKEN = "ghp_0123456789"
KEY = "k3" * 20


def secrets_of(*keys: str) -> Secrets:
    return Secrets(Keyring(keys))


async def project(database: Database) -> Project:
    row = Project(name="Garden")
    async with database.transaction() as db:
        db.add(row)
    return row


async def test_a_secret_is_kept_encrypted_replaced_and_removed(database: Database) -> None:
    secrets, one = secrets_of("key"), await project(database)
    for value in ("another", TOKEN):
        async with database.transaction() as db:
            await secrets.put(db, one.id, "repository", value)
    async with database.read() as db:
        (row,) = await db.scalars(select(Secret))
        assert TOKEN.encode() not in row.data
        assert row.key_id == Keyring(["key"]).key_id(Purpose.PROJECT)
        assert await secrets.get(db, one.id, "repository") == TOKEN
        assert await secrets.get(db, one.id, "other") is None
        assert await secrets.having(db, [one.id], "repository") == {one.id}
    async with database.transaction() as db:
        await secrets.remove(db, one.id, "repository")
    async with database.read() as db:
        assert await secrets.get(db, one.id, "repository") is None


async def test_another_key_reads_nothing_and_says_what_to_do(database: Database) -> None:
    one = await project(database)
    async with database.transaction() as db:
        await secrets_of("key").put(db, one.id, "repository", TOKEN)
    other = secrets_of("another key")
    async with database.read() as db:
        with pytest.raises(Unavailable, match="give it again"):
            await other.get(db, one.id, "repository")


async def test_a_row_that_is_moved_to_another_project_cannot_be_read(database: Database) -> None:
    secrets, one, two = secrets_of("key"), await project(database), await project(database)
    async with database.transaction() as db:
        await secrets.put(db, one.id, "repository", TOKEN)
    async with database.transaction() as db:
        await db.execute(update(Secret).where(col(Secret.project_id) == one.id).values(project_id=two.id))
    async with database.read() as db:
        with pytest.raises(Unavailable):
            await secrets.get(db, two.id, "repository")


async def test_a_key_of_before_still_reads_and_no_longer_writes(database: Database) -> None:
    one = await project(database)
    async with database.transaction() as db:
        await secrets_of("old").put(db, one.id, "repository", TOKEN)
        await secrets_of("new", "older", "old").put(db, one.id, "other", TOKEN)
    async with database.read() as db:
        assert await secrets_of("new", "older", "old").get(db, one.id, "repository") == TOKEN
        assert await secrets_of("new").get(db, one.id, "other") == TOKEN
        with pytest.raises(Unavailable):
            await secrets_of("old").get(db, one.id, "other")


def test_each_purpose_has_a_key_of_its_own() -> None:
    keyring = Keyring(["key"])
    sealed = keyring.seal(Purpose.PROJECT, "what", TOKEN)
    with pytest.raises(Unreadable):
        keyring.open(Purpose.PROVIDER, "what", Sealed(keyring.key_id(Purpose.PROVIDER), sealed.data))
    assert keyring.open(Purpose.PROJECT, "what", sealed) == TOKEN
    assert len({keyring.key_id(purpose) for purpose in Purpose}) == len(Purpose)


async def whole_database(database: Database) -> str:
    """Return every value of every table, in both of the forms in which a secret could stand there."""
    said: list[str] = []
    async with database.read() as db:
        connection = await db.connection()
        for table in await connection.run_sync(lambda sync: inspect(sync).get_table_names()):
            for row in await db.execute(text(f'SELECT * FROM "{table}"')):
                for value in row:
                    data = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    said += [data.decode(errors="replace"), data.hex()]
    return "\n".join(said)


async def test_a_secret_stands_nowhere_in_the_database_nor_in_what_is_printed_of_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    keyring, one = Keyring(["key"]), await project(database)
    credential = Credential("garden", TOKEN)
    async with database.transaction() as db:
        await Credentials(Secrets(keyring)).put(db, one.id, credential)
    dump = await whole_database(database)
    assert str(one.id).replace("-", "") in dump.replace("-", "")
    async with database.read() as db:
        (row,) = await db.scalars(select(Secret))
        (kept,) = await everything(db)
    settings = load_settings(secret_key=KEY, secret_key_before=KEY, model_api_key=TOKEN)
    said = [dump, repr(row), str(row), repr(kept), repr(keyring), repr(credential), repr(settings)]
    said += [str(settings), str(settings.keys), caplog.text]
    for secret in (TOKEN, TOKEN.encode().hex(), KEY):
        assert [each for each in said if secret in each] == []
