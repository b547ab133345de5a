"""The parts are opened and closed together: what fails of one keeps none of the others open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes import FakeRuntime, RuntimeThatIsAway
from tests.waiting import eventually
from vibe_app.errors import Unavailable
from vibe_app.settings import Settings
from vibe_app.wiring import Services, build, running, services

PARTS = ["database", "agent", "workspace_client", "jobs", "usage", "supervisor"]
"""Those that are closed, in the order in which they are opened."""


class Closings:
    """Notes which parts are closed, in order; each fails where `fails`."""

    def __init__(self, parts: Services, patch: pytest.MonkeyPatch, *, fails: bool) -> None:
        self.names: list[str] = []
        self._fails = fails
        for name in PARTS:
            patch.setattr(getattr(parts, name), "close", self._noting(name, getattr(parts, name).close))

    def _noting(self, name: str, close: Any) -> Any:
        async def noting() -> None:
            self.names.append(name)
            await close()
            if self._fails:
                raise ZeroDivisionError(name)

        return noting


async def test_a_part_that_fails_to_close_keeps_none_of_the_others_open(
    settings: Settings, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = build(settings, runtime)
    closed = Closings(parts, monkeypatch, fails=True)
    with pytest.raises(ZeroDivisionError):
        async with running(parts):
            assert services() is parts
    assert closed.names == PARTS[::-1]
    with pytest.raises(RuntimeError, match="before the app has started"):
        services()


async def test_a_part_that_fails_to_open_leaves_none_of_the_others_open(
    settings: Settings, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = build(settings, runtime)
    closed = Closings(parts, monkeypatch, fails=False)

    async def fail() -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr(parts.supervisor, "open", fail)
    with pytest.raises(ZeroDivisionError):
        async with running(parts):
            pytest.fail("it has not opened")
    assert closed.names == PARTS[::-1]
    with pytest.raises(RuntimeError, match="before the app has started"):
        services()


async def test_an_app_starts_while_the_place_of_its_workspaces_is_away(settings: Settings) -> None:
    async with running(build(settings, RuntimeThatIsAway())) as parts:

        async def told() -> bool:
            try:
                await parts.workspaces.check()
            except Unavailable as error:
                return "connection refused" in error.message
            return False

        await eventually(told)
