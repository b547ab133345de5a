"""The set-up command of a tree, run by the real OpenCode before the agent is asked."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import Stack, output, texts
from tests.workspace_services.sidecar.test_real_runs import agents
from vibe_app.wire import Failure, SidecarStatus
from vibe_app.workspace_services.sidecar.opencode import OpenCode
from vibe_app.workspace_services.sidecar.setting_up import SettingUp

ODD = """printf 'it says "%s"\\n' '$HOME `x` \\ \'"'quoted'"
if true; then
  echo "second $((1 + 1))"
fi
cat  # nothing to read: it does not wait
echo wrong >&2
printf 'no end of line'"""


def said_alone(command: str) -> list[str]:
    """What a command says that nobody wraps."""
    words = ["bash", "-c", f"exec 2>&1; {command}"]
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout.splitlines()


async def test_it_runs_in_the_tree_and_its_output_is_the_run_s(stack: Stack) -> None:
    tree = stack.tree(1)
    session = await stack.begin("rehearse: run cat made", tree=1, setup=f"{ODD}\npwd > made")
    events = await stack.events(session)
    statuses = texts(events, "status")
    begun = statuses.index("Preparing the card's tree")
    prepared = statuses.index("The card's tree is prepared")
    assert statuses[begun + 1 : prepared] == said_alone(ODD)
    assert any("rehearsal" in text.lower() for text in statuses[prepared:])
    assert output(events).startswith(f"{tree}\n")
    assert (await stack.state(session))["prepared"]
    # Nothing of it is in the agent's conversation, and its own is put away.
    async with stack.opencode_client(tree) as client:
        talks = (await client.get("/session")).json()
    assert [talk["title"] for talk in talks if talk["title"].startswith("Set-up")] == []


async def test_one_that_fails_ends_the_session_and_the_agent_is_not_asked(stack: Stack) -> None:
    stack.tree(2)
    session = await stack.begin("rehearse: run touch asked", tree=2, setup="echo no network; exit 7")
    events = await stack.events(session)
    state = await stack.state(session)
    assert (state["status"], state["failure"], state["prepared"]) == ("failed", "broken", False)
    assert "ended with status 7" in state["error"]
    assert "no network" in texts(events, "status")
    assert not (stack.tree(2) / "asked").exists()


@pytest.mark.alone
async def test_one_that_is_stopped_leaves_nothing(stack: Stack) -> None:
    stack.tree(3)
    command = "trap '' TERM; (setsid sleep 4321 >/dev/null 2>&1 &); echo begun; sleep 600"
    session = await stack.begin("rehearse: run touch asked", tree=3, setup=command)
    async for event in stack.stream(session):
        if event["text"] == "begun":
            break
    state = await stack.stop(session)
    assert (state["status"], state["prepared"]) == ("cancelled", False)
    assert agents(stack) == []
    assert not (stack.tree(3) / "asked").exists()


async def test_what_it_starts_to_stay_is_there_for_the_agent_and_ends_with_the_run(stack: Stack) -> None:
    stack.tree(4)
    command = "setsid -f sleep 5432 >/dev/null 2>&1"
    session = await stack.begin(
        "rehearse: run pgrep -f 'slee[p] 5432' >/dev/null && echo is there", tree=4, setup=command
    )
    events = await stack.events(session)
    assert "is there" in output(events)
    assert "Ended what the run had left running: sleep" in texts(events, "status")


async def test_of_a_long_output_the_beginning_and_the_end_are_told(stack: Stack) -> None:
    stack.tree(5)
    session = await stack.begin("rehearse: say ok", tree=5, setup="seq 1 300000; echo last")
    statuses = texts(await stack.events(session), "status")
    assert {"1", "2", "300000", "last", "[...]"} <= set(statuses)
    assert "150000" not in statuses
    assert (await stack.state(session))["prepared"]


async def test_a_sidecar_that_dies_meanwhile_leaves_a_failure_worth_repeating(stack: Stack) -> None:
    stack.tree(6)
    session = await stack.begin("rehearse: run touch asked", tree=6, setup="echo begun; sleep 600")
    async for event in stack.stream(session):
        if event["text"] == "begun":
            break
    stack.kill(stack.sidecar)
    stack.start_sidecar()
    await stack.ready()
    await stack.events(session)
    state = await stack.state(session)
    assert (state["status"], state["failure"], state["prepared"]) == ("failed", "agent_lost", False)
    assert agents(stack) == []
    assert not (stack.tree(6) / "asked").exists()


async def test_what_is_prepared_stays_so_for_the_next_sidecar(stack: Stack) -> None:
    stack.tree(7)
    command = "echo once >> times"
    wait = "rehearse: run echo begun; until [ -e go ]; do sleep 0.05; done"
    session = await stack.begin(wait, tree=7, setup=command)
    await stack.until(session, "begun")
    stack.kill(stack.sidecar)
    (stack.tree(7) / "go").touch()
    stack.start_sidecar()
    await stack.ready()
    assert (await stack.events(session))[-1]["text"] == "Session completed"
    assert (await stack.state(session))["prepared"]
    assert (stack.tree(7) / "times").read_text() == "once\n"


async def test_opencode_that_dies_meanwhile_ends_the_session(stack: Stack) -> None:
    stack.tree(8)
    session = await stack.begin("rehearse: say ok", tree=8, setup="echo begun; sleep 600")
    async for event in stack.stream(session):
        if event["text"] == "begun":
            break
    stack.kill(stack.opencode)
    await stack.events(session)
    state = await stack.state(session)
    assert (state["status"], state["failure"]) == ("failed", "agent_lost")
    stack.start_opencode()
    await stack.ready()


async def test_one_that_does_not_end_in_time_is_ended(stack: Stack) -> None:
    folder = stack.tree(9)
    client = OpenCode(f"http://127.0.0.1:{stack.opencode_port}", folder, stack.password)
    said: list[str] = []
    session = await client.create_session("Set-up", [])
    verdict = await SettingUp(client, session, "echo begun; sleep 600", said.extend, 1.2).run(asyncio.Queue())
    assert verdict is not None
    assert (verdict.status, verdict.failure) == (SidecarStatus.FAILED, Failure.BROKEN)
    assert "did not end within" in (verdict.error or "")
    await eventually(lambda: agents(stack) == [])
    await client.close()
