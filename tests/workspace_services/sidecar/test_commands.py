"""Whose a process is, and when it is over its time: said by calls and marks alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from vibe_app.workspace_services.sidecar.commands import DEFAULT_LIMIT, GRACE, Commands


class Kills:
    """Stands for the processes: the marks of those that run, and of those that were ended."""

    def __init__(self, *marks: str) -> None:
        self.marks = list(marks)
        self.ended: list[str] = []
        self.all_ended = asyncio.Event()

    async def look(self) -> list[str]:
        return list(self.marks)

    async def end(self, mark: str) -> list[str]:
        self.marks.remove(mark)
        self.ended.append(mark)
        if not self.marks:
            self.all_ended.set()
        return ["sleep"]


def called(
    key: str, ago: float, limit: Any = 1.0, command: str = "ten chars.", **state: Any
) -> dict[str, Any]:
    """A running bash part that was called some seconds ago."""
    given = {"command": command} | ({"timeout": limit * 1000} if limit is not None else {})
    start = (time.time() - ago) * 1000
    state = {"status": "running", "input": given, "time": {"start": start}} | state
    return {"type": "tool", "tool": "bash", "id": key, "state": state}


def mark(ago: float, length: int = 10, pid: int = 7) -> str:
    """The mark of a command whose supervisor began some seconds ago."""
    return f"{time.time() - ago:.6f}:{pid}:{length}"


async def ended(kills: Kills, *parts: dict[str, Any]) -> list[str]:
    commands = Commands(kills.look, kills.end)
    for part in parts:
        commands.saw("run", part)
    await commands._end_overdue()
    return kills.ended


async def test_the_watch_ends_what_is_overdue_and_says_for_whom() -> None:
    kills = Kills(mark(1 + GRACE))
    commands = Commands(kills.look, kills.end)
    watching = asyncio.create_task(commands.watch())
    commands.saw("run", called("a", 1 + GRACE + 0.05))
    await asyncio.wait_for(kills.all_ended.wait(), 10)
    watching.cancel()
    assert commands.forget("another run") == []
    assert commands.forget("run") == ["sleep"]
    assert commands.forget("run") == []


async def test_nothing_is_ended_before_its_limit_and_grace() -> None:
    assert await ended(Kills(mark(1)), called("a", 1.1, limit=60)) == []
    assert await ended(Kills(mark(60 + GRACE - 1)), called("a", 60 + GRACE + 5, limit=60)) == []


@pytest.mark.parametrize("limit", [None, "soon"])
async def test_a_call_without_a_usable_limit_has_opencodes(limit: str | None) -> None:
    given = {"input": {"command": "ten chars.", "timeout": limit}} if limit else {}
    young, old = DEFAULT_LIMIT + GRACE - 1, DEFAULT_LIMIT + GRACE + 1
    assert await ended(Kills(mark(young)), called("a", young + 0.1, None, **given)) == []
    assert len(await ended(Kills(mark(old)), called("a", old + 0.1, None, **given))) == 1


async def test_another_command_is_not_taken_for_it() -> None:
    overdue = called("a", 100)
    assert await ended(Kills(mark(50, length=11)), overdue) == [], "another text"
    assert await ended(Kills(mark(200)), overdue) == [], "it ran before the call"
    later = called("b", 50, limit=600)
    assert await ended(Kills(mark(49.9)), overdue, later) == [], "the later call's own"


async def test_two_like_commands_at_once_are_ended_when_both_limits_have_passed() -> None:
    short, long = called("a", 20, limit=1), called("b", 19.5, limit=600)
    assert await ended(Kills(mark(19.4), mark(19.3)), short, long) == []
    long = called("b", 19.5, limit=2)
    assert len(await ended(Kills(mark(19.4), mark(19.3)), short, long)) == 2


async def test_what_a_finished_command_left_running_is_let_be() -> None:
    kills = Kills(mark(99))
    commands = Commands(kills.look, kills.end)
    commands.saw("run", called("a", 100))
    commands.saw("run", called("a", 100, status="completed", metadata={"exit": 0}))
    commands.saw("run", called("b", 90))
    await commands._end_overdue()
    assert kills.ended == []


async def test_what_a_command_left_that_ended_at_its_limit_is_due() -> None:
    over = called("a", 100, status="completed", metadata={"exit": None})
    assert len(await ended(Kills(mark(99)), called("a", 100), over)) == 1
    failed = called("a", 100, status="error", error="x")
    assert await ended(Kills(mark(99)), called("a", 100), failed) == []


async def test_a_mark_that_is_none_is_nobodys() -> None:
    assert await ended(Kills("", "x", "1:2", "a:b:c"), called("a", 100)) == []
