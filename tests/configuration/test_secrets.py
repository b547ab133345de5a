"""Secrets in the database: what is stored, and what can be read back by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from vibe_app.board.projects.models import Project
from vibe_app.configuration.models import Secret
from vibe_app.configuration.secrets import Secrets
from vibe_app.db import Database
from vibe_app.errors import Unavailable

TOKEN = "ghp_0123456789"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.open()
    yield database
    await database.close()


async def project(database: Database) -> Project:
    row = Project(name="Garden")
    async with database.transaction() as db:
        db.add(row)
    return row


async def test_a_secret_is_kept_encrypted_replaced_and_removed(database: Database) -> None:
    secrets, one = Secrets("key"), await project(database)
    for value in ("another", TOKEN):
        async with database.transaction() as db:
            await secrets.put(db, one.id, "repository", value)
    async with database.read() as db:
        (row,) = await db.scalars(select(Secret))
        assert TOKEN.encode() not in row.data
        assert row.key_id == secrets.key_id
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
        await Secrets("key").put(db, one.id, "repository", TOKEN)
    other = Secrets("another key")
    assert other.key_id != Secrets("key").key_id
    async with database.read() as db:
        with pytest.raises(Unavailable, match="give it again"):
            await other.get(db, one.id, "repository")


async def test_a_row_that_is_moved_to_another_project_cannot_be_read(database: Database) -> None:
    secrets, one, two = Secrets("key"), await project(database), await project(database)
    async with database.transaction() as db:
        await secrets.put(db, one.id, "repository", TOKEN)
    async with database.transaction() as db:
        await db.execute(update(Secret).where(col(Secret.project_id) == one.id).values(project_id=two.id))
    async with database.read() as db:
        with pytest.raises(Unavailable):
            await secrets.get(db, two.id, "repository")
