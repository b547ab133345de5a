"""Settings and an engine for the tests of `runs`.

What the engine does is told on PostgreSQL; through the API and the pages it runs
on SQLite. A module whose subject is what the database is asked to hold true has
`database_kind` take both, one after the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import POSTGRESQL
from tests.fakes import FakeRuntime
from tests.runs.rig import Rig, rigged
from vibe_app.settings import Settings, load_settings


@pytest.fixture(params=[POSTGRESQL])
def database_kind(request: pytest.FixtureRequest) -> str:
    """PostgreSQL; see above."""
    return request.param


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """A migrated database, and leases that are renewed often enough for tests that wait for it."""
    key = "a key for tests only, thirty-two bytes"
    return load_settings(data=tmp_path, database_url=database_url, secret_key=key, lease=2.0, heartbeat=0.2)


@pytest.fixture
async def rig(settings: Settings, runtime: FakeRuntime) -> AsyncIterator[Rig]:
    """An engine whose workspaces are `runtime`'s."""
    async with rigged(settings, runtime) as rig:
        yield rig
