"""Everything that is kept runs on both kinds of database."""

from __future__ import annotations

import pytest

from tests.conftest import BOTH


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param
