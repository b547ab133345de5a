"""Every handler of the pages, called by somebody with arguments of the right kinds and wild contents."""

from __future__ import annotations

import inspect
import logging
from typing import Any, get_type_hints

import pytest
from reflex_base.registry import RegistrationContext

from tests.web.conftest import Open
from vibe_app.board.views import ProjectView
from vibe_app.wiring import Services

WILD: dict[Any, list[Any]] = {
    str: ["", "x", "00000000-0000-0000-0000-000000000000", "\x00\n\x1b[1m\ud7ff", "9" * 5000, "../.."],
    int: [0, -1, 2**70],
    bool: [True, False],
    dict: [{}, {"x": [{}]}, {"title": 7, "name": None, "password": [], "email": {}}],
}


def wild(hint: Any, number: int) -> Any:
    """Return something of that kind."""
    kind = hint if hint in WILD else dict if "dict" in str(hint) else str
    return WILD[kind][number % len(WILD[kind])]


def calls() -> list[tuple[str, dict[str, Any]]]:
    """Return every handler of ours, named `<State>.<handler>`, with arguments, several times."""
    made = []
    known = RegistrationContext.get()
    for name, registered in sorted(known.event_handlers.items()):
        handler = registered.handler.fn
        state, _, method = name.rpartition(".")
        if "vibe_app" not in handler.__module__:
            continue
        hints = get_type_hints(handler)
        names = list(inspect.signature(handler).parameters)[1:]
        for number in range(6 if names else 1):
            given = {each: wild(hints.get(each), number + at) for at, each in enumerate(names)}
            made.append((f"{known.base_states[state].__name__}.{method}", given))
    return made


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", None])
async def test_no_handler_breaks_on_what_it_is_called_with(
    parts: Services, project: ProjectView, tab: Open, caplog: pytest.LogCaptureFixture, role: str | None
) -> None:
    broken = []
    with caplog.at_level(logging.ERROR):
        for name, given in calls():
            page = await tab(role, f"/p/{project.id}")
            await page.call(name, **given)
            broken = [record.exc_info for record in caplog.records if record.levelno >= logging.ERROR]
            assert not broken, (name, given, broken[0])
            await page.disconnect()
