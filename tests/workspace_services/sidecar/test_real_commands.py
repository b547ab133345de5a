"""Commands of the real OpenCode that outlive their limit, or are killed: how they end, and what is told."""

from __future__ import annotations

import json
import time

import pytest

from tests.workspace_services.sidecar.stack import Stack, output, texts
from tests.workspace_services.sidecar.test_real_runs import agents

LIMIT = 2.0


def bash(command: str, limit: float = 0) -> str:
    """The directive that has the agent call bash."""
    arguments = {"command": command, "description": "d"} | ({"timeout": limit * 1000} if limit else {})
    return f"rehearse: call bash {json.dumps(arguments)}"


@pytest.mark.parametrize(
    "away", ["setsid sleep 900", "env -i setsid sleep 30", "kill -9 $PPID; setsid sleep 900"]
)
async def test_what_a_command_leaves_open_is_ended_at_its_limit(stack: Stack, away: str) -> None:
    start = time.monotonic()
    session = await stack.begin(bash(f"{away} & echo started", LIMIT))
    events = await stack.events(session)
    assert "started\n" in output(events)
    assert "bash: stopped at its time limit" in texts(events, "error")
    assert events[-1]["text"] == "Session completed"
    assert agents(stack) == []
    # Far from the 900 s, and from the limit for commands that name none.
    assert time.monotonic() - start < 25


async def test_a_command_is_not_ended_for_the_limit_of_another(stack: Stack) -> None:
    command = "setsid sleep 8 & echo from the start; wait; echo until the end"
    short = await stack.begin(
        bash("setsid sleep 900 & echo from the short one, to the end; wait; sleep 1", LIMIT)
    )
    others = [await stack.begin(bash(command, 60)) for _ in range(2)]
    assert "bash: stopped at its time limit" in texts(await stack.events(short), "error")
    for other in others:
        events = await stack.events(other)
        assert output(events).startswith("from the start\nuntil the end\n")
        assert texts(events, "error") == []


@pytest.mark.parametrize("death", ["kill -9 $$", "kill -9 0", "pkill -9 -f part-of-this-text"])
async def test_a_command_that_is_killed_ends_at_once_and_says_so(stack: Stack, death: str) -> None:
    start = time.monotonic()
    session = await stack.begin(bash(f"setsid sleep 900 & echo dying; {death}; sleep 900"))
    events = await stack.events(session)
    assert "dying\n" in output(events)
    assert "bash: was killed (SIGKILL)" in texts(events, "error")
    assert events[-1]["text"] == "Session completed"
    assert agents(stack) == []
    # Far from the 120 s after which OpenCode would notice.
    assert time.monotonic() - start < 25
