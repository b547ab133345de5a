"""Real OpenCode in several cards' trees at once: each run in its own, and what each leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workspace_services.sidecar.provider import Answer, Provider, calls, providing, runs, says
from tests.workspace_services.sidecar.stack import Stack, direct, output, running, texts
from tests.workspace_services.sidecar.test_real_runs import agents
from vibe_app.workspaces.runtimes import hermetic


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as found:
        yield found


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Stack]:
    """A stack whose model the test plays."""
    stack = Stack(tmp_path_factory.mktemp("asking"))
    stack.config = direct(hermetic.opencode_config(layout=stack.layout, gateway_url=""), provider.url)
    with running(stack):
        yield stack


async def test_two_trees_at_once_are_worked_in_side_by_side(stack: Stack) -> None:
    for number in (1, 2):
        stack.tree(number)
    wait = "until [ -e ../{other}/there ]; do sleep 0.05; done; pwd; echo of {own} > file"
    sessions = [
        await stack.begin(f"rehearse: run touch there; {wait.format(own=own, other=other)}", tree=own)
        for own, other in ((1, 2), (2, 1))
    ]
    told = [await stack.events(session) for session in sessions]
    for number, events in enumerate(told, 1):
        assert events[-1]["text"] == "Session completed"
        assert output(events).startswith(f"{stack.tree(number)}\n")
        assert (stack.tree(number) / "file").read_text() == f"of {number}\n"


async def test_a_card_without_a_tree_is_refused_in_words(stack: Stack) -> None:
    (stack.layout.tasks).mkdir(exist_ok=True)
    (stack.layout.tasks / "98").symlink_to(stack.workspace)
    async with stack.client() as client:
        for number in (98, 99):
            body = {"session_id": f"none-{number}", "prompt": "p", "tree": number}
            answer = await client.post("/sessions", json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "tree_missing")
            assert str(number) in answer.json()["error"]


async def test_what_one_card_left_running_is_ended_and_another_s_is_not(stack: Stack) -> None:
    for number in (3, 4):
        stack.tree(number)
    # The one whose run goes on began first: by its age alone its process would be ended with the other's.
    going = await stack.begin(
        "rehearse: run setsid -f sleep 4004 >/dev/null 2>&1; echo begun; "
        "until [ -e go ]; do sleep 0.05; done",
        tree=4,
    )
    await stack.until(going, "begun")
    over = await stack.begin("rehearse: run setsid -f sleep 3003 >/dev/null 2>&1; echo ok", tree=3)
    events = await stack.events(over)
    assert "Ended what the run had left running: sleep" in texts(events, "status")
    left = " ".join(agents(stack))
    assert "sleep 3003" not in left
    assert "sleep 4004" in left
    assert await stack.live() == {going}
    (stack.tree(4) / "go").touch()
    await stack.events(going)
    assert agents(stack) == []


async def test_each_tree_s_guidance_is_told_to_its_agent_and_to_that_one_s_sub_agents(
    asking: Stack, provider: Provider
) -> None:
    for number in (1, 2):
        (asking.tree(number) / "AGENTS.md").write_text(f"GUIDANCE OF {number}.")
    heard: list[str] = []

    def play(_: int, request: dict[str, Any]) -> Answer:
        text = json.dumps(request["messages"])
        heard.append("".join(str(number) for number in (1, 2) if f"GUIDANCE OF {number}." in text))
        last = request["messages"][-1]
        if last["role"] == "tool" or "BELOW" in json.dumps(last):
            return says("Done.")
        return calls("task", {"description": "d", "prompt": "BELOW", "subagent_type": "general"})

    provider.reset(play)
    for number in (1, 2, 1):
        heard.clear()
        events = await asking.events(await asking.begin("go", tree=number))
        assert events[-1]["text"] == "Session completed"
        assert heard == [str(number)] * 3


async def test_guidance_is_right_after_somebody_else_had_the_instance_begin(
    asking: Stack, provider: Provider
) -> None:
    (asking.tree(6) / "AGENTS.md").write_text("GUIDANCE OF 6.")
    (asking.tree(7) / "AGENTS.md").write_text("GUIDANCE OF 7.")
    provider.reset(lambda *_: says("Done."))
    await asking.events(await asking.begin("go", tree=6))
    # As the passage to OpenCode's own interface does: it begins with what the configuration says now.
    async with asking.opencode_client(asking.tree(7)) as client:
        (await client.get("/session")).raise_for_status()
    await asking.events(await asking.begin("go", tree=7))
    assert "GUIDANCE OF 7." in json.dumps(provider.requests[-1]["messages"])
    assert "GUIDANCE OF 6." not in json.dumps(provider.requests[-1]["messages"])


async def test_a_tree_is_released_unless_a_session_works_there(stack: Stack) -> None:
    stack.tree(5)
    live = await stack.begin("rehearse: run echo begun; until [ -e go ]; do sleep 0.05; done", tree=5)
    await stack.until(live, "begun")
    async with stack.client() as client:
        answer = await client.delete("/trees/5")
        assert (answer.status_code, answer.json()["code"]) == (409, "session_live")
        (stack.tree(5) / "go").touch()
        await stack.events(live)
        assert (await client.delete("/trees/5")).status_code == 200
        assert (await client.delete("/trees/5")).status_code == 200
        assert (await client.delete("/trees/0")).status_code == 400
    again = await stack.events(await stack.begin("rehearse: say again", tree=5))
    assert again[-1]["text"] == "Session completed"


async def test_steps_and_the_last_message_are_told(asking: Stack, provider: Provider) -> None:
    asking.tree(8)
    todos = [
        {"content": "reads", "status": "completed", "priority": "high"},
        {"content": "writes tests", "status": "in_progress", "priority": "high"},
        {"content": "not this", "status": "cancelled", "priority": "low"},
        {"content": "sums up", "status": "pending", "priority": "low"},
    ]
    script = [
        calls("todowrite", {"todos": todos}),
        runs("echo begun; until [ -e go ]; do sleep 0.05; done"),
        says("It is **done**.\n\n- one\n"),
    ]
    provider.reset(lambda number, _: script[min(number, 3) - 1])
    session = await asking.begin("go", tree=8)
    await asking.until(session, "begun")
    state = await asking.state(session)
    assert state["steps"] == {"done": 1, "total": 3, "current": "writes tests"}
    assert state["summary"] == ""
    (asking.tree(8) / "go").touch()
    await asking.events(session)
    state = await asking.state(session)
    assert state["steps"] == {"done": 1, "total": 3, "current": "writes tests"}
    assert state["summary"] == "It is **done**.\n\n- one"
    # Another sidecar reads it in the journal; the next turn has no list of its own yet.
    asking.kill(asking.sidecar)
    asking.start_sidecar()
    await asking.ready()
    assert await asking.state(session) == state
    provider.reset(lambda *_: says("Nothing to do."))
    follow = await asking.begin("more", tree=8, conversation=state["conversation"])
    await asking.events(follow)
    assert (await asking.state(follow))["steps"] is None


async def test_an_answer_cut_off_by_the_length_limit_has_failed(asking: Stack, provider: Provider) -> None:
    asking.tree(9)
    provider.reset(lambda *_: says("It goes on and", finish="length"))
    session = await asking.begin("go", tree=9)
    await asking.events(session)
    state = await asking.state(session)
    assert (state["status"], state["failure"]) == ("failed", "broken")
    assert "length limit" in state["error"]
    assert state["summary"] == "It goes on and"
    assert len(provider.requests) == 1
