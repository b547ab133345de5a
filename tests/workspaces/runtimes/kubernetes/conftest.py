"""Clusters that pretend, with the runtime open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.specs import tenancy
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse, pretend_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[PretendHouse]:
    """A cluster whose node makes every pod ready by itself."""
    async with pretend_house(tmp_path) as house:
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.close()


@pytest.fixture
async def idle(tmp_path: Path) -> AsyncIterator[PretendHouse]:
    """A cluster whose node does only what the test says. A workspace must be ready within a second."""
    async with pretend_house(tmp_path, auto=False, start_timeout=1) as house:
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.close()
