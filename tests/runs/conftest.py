"""Settings and an engine for the tests of `runs`, on both kinds of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import BOTH
from tests.fakes import FakeRuntime
from tests.runs.rig import Rig, rigged
from vibe_app.settings import Settings, load_settings


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """The engine runs on both."""
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
