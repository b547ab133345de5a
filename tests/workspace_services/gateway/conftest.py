"""A provider and a gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.workspace_services.gateway.gate import Gate, Upstream, gateway, provider


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A provider."""
    async with Upstream() as found:
        yield found


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Gate]:
    """A gateway that was told nothing."""
    async with gateway(tmp_path) as found:
        yield found


@pytest.fixture
async def gate(bare: Gate, upstream: Upstream) -> Gate:
    """A gateway before the provider, in each of its dialects."""
    await bare.configure(
        provider(upstream),
        provider(upstream, "anthropic", "anthropic"),
        provider(upstream, "google", "google"),
        provider(upstream, "groq"),
    )
    return bare
