"""Everything that is kept runs on both kinds of database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conftest import BOTH
from vibe_app.db import Database


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """One that is open and has every table."""
    database = Database(database_url)
    await database.open()
    yield database
    await database.close()
