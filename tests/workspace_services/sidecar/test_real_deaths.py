"""What survives: the sidecar killed, OpenCode killed, the disk full; with the real OpenCode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace_services.sidecar.stack import Stack, direct, output, running, texts
from tests.workspace_services.sidecar.test_real_runs import agents
from vibe_app.workspaces.runtimes import hermetic


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, model: Stack) -> Iterator[Stack]:
    """A stack whose OpenCode asks for permission for one command, in spite of the rules."""
    stack = Stack(tmp_path_factory.mktemp("mortal"), model_url=model.url)
    config = direct(
        hermetic.opencode_config(layout=stack.layout, gateway_url=""), f"{model.url}/rehearsal/v1"
    )
    stack.config = config | {"permission": config["permission"] | {"bash": {"touch *": "ask"}}}
    with running(stack):
        yield stack


def wait_for_file(path: Path) -> None:
    """Wait for another process to make a file."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


async def restart_sidecar(stack: Stack) -> None:
    stack.kill(stack.sidecar)
    stack.start_sidecar()
    await stack.ready()


async def test_a_killed_sidecar_loses_and_doubles_no_line(mortal: Stack) -> None:
    session = await mortal.begin(
        "rehearse: run for i in $(seq 1 30); do echo tick $i; sleep 0.1; done\n"
        "rehearse: print 200 lines at 100 per second\n"
        "rehearse: run until [ -e go ]; do sleep 0.1; done; echo end"
    )
    seen = await mortal.until(session, "tick 5\n")
    await restart_sidecar(mortal)
    seen += await mortal.until(session, "rehearsal line 20 ", after=seen[-1]["seq"])
    await restart_sidecar(mortal)
    assert (await mortal.state(session))["status"] == "running"
    (mortal.workspace / "go").touch()
    async for event in mortal.stream(session, after=seen[-1]["seq"]):
        seen.append(event)
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    ticks = "".join(f"tick {n}\n" for n in range(1, 31))
    lines = "".join(f"rehearsal line {n} of 200\n" for n in range(1, 201))
    assert output(seen) == ticks + lines + "end\nThe rehearsal is over.\n"
    assert seen[-1]["text"] == "Session completed"
    assert seen == await mortal.events(session)


async def test_a_run_that_ended_while_the_sidecar_was_dead_is_told_afterwards(mortal: Stack) -> None:
    session = await mortal.begin("rehearse: run echo first; sleep 1; echo last | tee over")
    await mortal.until(session, "first")
    mortal.kill(mortal.sidecar)
    await asyncio.to_thread(wait_for_file, mortal.workspace / "over")
    mortal.start_sidecar()
    await mortal.ready()
    events = await mortal.events(session)
    assert output(events) == "first\nlast\nThe rehearsal is over.\n"
    assert events[-1]["text"] == "Session completed"


@pytest.mark.alone
async def test_a_killed_opencode_fails_the_session_and_the_next_one_works(mortal: Stack) -> None:
    session = await mortal.begin("rehearse: run sleep 300 & echo going; sleep 600")
    await mortal.until(session, "going")
    mortal.kill(mortal.opencode)
    start = time.monotonic()
    events = await mortal.events(session)
    assert time.monotonic() - start < 8
    state = await mortal.state(session)
    assert (state["status"], state["failure"]) == ("failed", "agent_lost")
    assert state["error"] in events[-1]["text"]
    assert agents(mortal) == []
    async with mortal.client() as client:
        for answer in (
            await client.get("/ready"),
            await client.post("/sessions", json={"session_id": "later", "prompt": "p"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "opencode_not_ready")
    mortal.start_opencode()
    await mortal.ready()
    events = await mortal.events(await mortal.begin("rehearse: say hello again", "later"))
    assert output(events) == "hello again\n"


async def test_when_sidecar_and_opencode_are_both_killed_the_session_fails_with_the_reason(
    mortal: Stack,
) -> None:
    session = await mortal.begin("rehearse: run echo going; sleep 600")
    await mortal.until(session, "going")
    mortal.kill(mortal.sidecar)
    mortal.kill(mortal.opencode)
    mortal.start_opencode()
    mortal.start_sidecar()
    await mortal.ready()
    events = await mortal.events(session)
    state = await mortal.state(session)
    assert (state["status"], state["failure"]) == ("failed", "agent_lost")
    assert output(events) == "going\n"
    assert agents(mortal) == []


async def test_a_permission_that_is_asked_after_all_is_refused_at_once(mortal: Stack) -> None:
    session = await mortal.begin("rehearse: run touch asked\nrehearse: run echo on")
    events = await mortal.events(session)
    assert "InvalidRequest: bash touch asked (nobody can be asked for permission during a run)" in texts(
        events, "status"
    )
    assert output(events) == "on\nThe rehearsal is over.\n"
    assert events[-1]["text"] == "Session completed"
    assert not (mortal.workspace / "asked").exists()


async def test_a_full_disk_ends_the_session_with_a_sentence_and_keeps_what_was_shown(mortal: Stack) -> None:
    mortal.kill(mortal.sidecar)
    mortal.largest_file = 8 * 1024
    mortal.start_sidecar()
    await mortal.ready()
    try:
        session = await mortal.begin("rehearse: print 500 lines at 400 per second\nrehearse: run sleep 60")
        events = await mortal.events(session)
        state = await mortal.state(session)
        assert (state["status"], state["failure"]) == ("failed", "broken")
        assert "cannot be written to the workspace" in state["error"]
        assert events[-1]["type"] == "done"
        shown = output(events)
        assert "".join(f"rehearsal line {n} of 500\n" for n in range(1, 501)).startswith(shown)
        assert len(shown) > 1000
        assert agents(mortal) == []
    finally:
        mortal.largest_file = 0
        await restart_sidecar(mortal)
    again = await mortal.events(session)
    assert output(again) == shown
    assert again[-1]["type"] == "done"
