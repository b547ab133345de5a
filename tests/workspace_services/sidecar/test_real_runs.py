"""Whole runs with the real OpenCode and the rehearsal model: what people see, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from uuid import uuid4

import psutil
import pytest

from tests.workspace_services.sidecar.stack import Stack, output, texts


def agents(stack: Stack) -> list[str]:
    """The command lines of what the agent started in this stack's workspace and still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
            if env.get("VIBE_PROJECT_ID") == stack.project_id and "OPENCODE_PID" in env:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


async def test_a_readme_is_written_and_every_step_is_shown(stack: Stack) -> None:
    session = await stack.begin("Add a README file")
    events = await stack.events(session)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (stack.workspace / "README.md").read_text().startswith("# README\n")
    assert "no AI provider is configured" in texts(events, "status")[0]
    assert "write: README.md" in texts(events, "status")
    assert "Created README.md" in texts(events, "status")
    assert "# README" in output(events)
    assert events[-1]["type"] == "done"
    assert events[-1]["text"] == "Session completed"
    state = await stack.state(session)
    assert (state["status"], state["error"], state["last_seq"]) == ("completed", None, len(events))
    assert state["usage"]["tokens_input"] > 1000


async def test_the_same_id_again_is_the_same_run_and_another_prompt_is_refused(stack: Stack) -> None:
    session = str(uuid4())
    await asyncio.gather(*(stack.begin("rehearse: run echo once >> count.txt", session) for _ in range(4)))
    await stack.events(session)
    assert await stack.begin("rehearse: run echo once >> count.txt", session) == session
    assert (stack.workspace / "count.txt").read_text() == "once\n"
    async with stack.client() as client:
        answer = await client.post("/sessions", json={"session_id": session, "prompt": "something else"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "prompt_differs"


async def test_readers_continue_where_they_were_and_all_see_the_same(stack: Stack) -> None:
    session = await stack.begin("rehearse: run for i in 1 2 3 4; do echo tick $i; sleep 0.2; done")
    readers = [asyncio.create_task(stack.events(session)) for _ in range(3)]
    first, *others = [await reader for reader in readers]
    assert all(other == first for other in others)
    assert [event async for event in stack.stream(session, after=3)] == first[3:]
    async with stack.client() as client:
        body = (await client.get(f"/sessions/{session}/stream?after={len(first) - 1}")).text
        beyond = (await client.get(f"/sessions/{session}/stream?after={len(first)}")).text
    assert body.startswith(f"id: {len(first)}\nevent: message\ndata: ")
    assert beyond == ""


async def test_thousands_of_lines_arrive_whole(stack: Stack) -> None:
    session = await stack.begin("rehearse: print 3000 lines")
    events = await stack.events(session)
    assert output(events) == "".join(f"rehearsal line {n} of 3000\n" for n in range(1, 3001))


@pytest.mark.alone
async def test_stop_ends_everything_within_two_seconds(stack: Stack) -> None:
    command = (
        "setsid -f sh -c 'trap \"\" TERM; while :; do sleep 1000; done' >/dev/null 2>&1; "
        "(trap '' TERM; nohup sleep 2000 >/dev/null 2>&1 &); "
        "trap '' TERM; echo started; sleep 600; echo never"
    )
    session = await stack.begin(f"rehearse: run {command}")
    await stack.until(session, "started")
    assert len(agents(stack)) >= 4
    start = time.monotonic()
    state = await stack.stop(session)
    assert time.monotonic() - start < 2
    assert state["status"] == "cancelled"
    assert agents(stack) == []
    events = await stack.events(session)
    assert events[-1]["text"] == "Session cancelled"
    assert await stack.stop(session) == await stack.state(session)


async def test_what_a_finished_run_left_behind_is_ended(stack: Stack) -> None:
    session = await stack.begin("rehearse: run setsid -f sleep 3000 >/dev/null 2>&1; echo ok")
    events = await stack.events(session)
    assert "Ended what the run had left running: sleep" in texts(events, "status")
    assert events[-1]["text"] == "Session completed"
    assert agents(stack) == []


async def test_two_sessions_run_at_once_and_stopping_one_leaves_the_other(stack: Stack) -> None:
    one = await stack.begin("rehearse: run echo one; sleep 600")
    await stack.until(one, "one")
    two = await stack.begin("rehearse: run echo two; sleep 1.5; echo two goes on")
    await stack.until(two, "two")
    assert await stack.live() == {one, two}
    assert (await stack.stop(one))["status"] == "cancelled"
    assert await stack.live() == {two}
    events = await stack.events(two)
    assert output(events).startswith("two\ntwo goes on\n")
    assert events[-1]["text"] == "Session completed"
    assert "one" not in output(events)
    assert await stack.live() == set()
    assert agents(stack) == []


@pytest.mark.parametrize(
    ("directive", "failure", "words"),
    [
        ("fail 401", "provider_refused", "refused the key"),
        ("fail 400", "provider_refused", "refused the request (400)"),
        ("fail 500", "provider_busy", "did not answer after several attempts (500)"),
        ("rubbish", "broken", "could not be used"),
    ],
)
async def test_a_model_that_fails_is_told_in_a_sentence(
    stack: Stack, directive: str, failure: str, words: str
) -> None:
    session = await stack.begin(f"rehearse: {directive}")
    events = await stack.events(session)
    state = await stack.state(session)
    assert (state["status"], state["failure"]) == ("failed", failure)
    assert words in state["error"]
    assert texts(events, "error") == [state["error"]]
    assert events[-1]["text"] == f"Session failed: {state['error']}"
    retries = [text for text in texts(events, "status") if "trying again" in text]
    assert len(retries) == (5 if failure == "provider_busy" else 0)


@pytest.mark.parametrize("directive", ["fail 429 2 times", "cut 1 times"])
async def test_a_model_that_recovers_is_asked_again_and_the_run_completes(
    stack: Stack, directive: str
) -> None:
    session = await stack.begin(f"rehearse: {directive}")
    events = await stack.events(session)
    assert any("trying again" in text for text in texts(events, "status"))
    assert output(events).endswith("The model answers again.\n")
    assert events[-1]["text"] == "Session completed"


@pytest.mark.alone
async def test_a_model_that_hangs_can_be_stopped(stack: Stack) -> None:
    session = await stack.begin("rehearse: hang")
    await stack.until(session, "part")
    start = time.monotonic()
    assert (await stack.stop(session))["status"] == "cancelled"
    assert time.monotonic() - start < 2


async def test_nothing_waits_for_a_person(stack: Stack) -> None:
    calls = [
        'question {"questions":[{"question":"Which?","header":"h","options":[]}]}',
        'write {"filePath":"/etc/vibe-must-not-be","content":"x"}',
        'read {"filePath":".env"}',
        'bash {"command":"cat /etc/hostname","description":"d"}',
        'task {"description":"sub job","prompt":"rehearse: run echo from below","subagent_type":"general"}',
    ]
    (stack.workspace / ".env").write_text("A=1\n")
    session = await stack.begin("\n".join(f"rehearse: call {call}" for call in calls))
    events = await stack.events(session)
    assert events[-1]["text"] == "Session completed"
    assert any("unavailable tool 'question'" in text for text in texts(events, "error"))
    assert any(text.startswith("write: /etc/vibe-must-not-be is outside") for text in texts(events, "error"))
    assert "A=1" in output(events)
    assert "sub job › bash: echo from below" in texts(events, "status")


async def test_commands_see_no_secrets(stack: Stack) -> None:
    session = await stack.begin("rehearse: run env")
    shown = output(await stack.events(session))
    assert f"VIBE_PROJECT_ID={stack.project_id}" in shown
    for secret in (stack.password, stack.key, stack.token):
        assert secret not in shown


async def test_no_prompt_can_break_the_output(stack: Stack) -> None:
    nasty = (
        "\x00\x07\x1b]0;title\x07\x1b[2J</script><script>alert(1)</script>&amp; \u202e\ud7ff 😀 \x9b31m\r\n"
    )
    spoken = json.dumps("\x1b[31mred\x1b[0m \x1b]52;c;AAAA\x07<b>&</b></script>\x1b[2J")
    prompt = nasty * 600 + f"\nrehearse: say {spoken}\n" + nasty
    prompt = prompt[: 64 * 1024].ljust(64 * 1024, "x") if len(prompt) < 64 * 1024 else prompt
    session = await stack.begin(prompt)
    events = await stack.events(session)
    assert events[-1]["text"] == "Session completed"
    assert output(events) == "\x1b[31mred\x1b[0m <b>&</b></script>\n"


async def test_bad_requests_get_a_sentence(stack: Stack) -> None:
    async with stack.client() as client:
        for body, words in [
            ({}, "session_id"),
            ({"session_id": "../x", "prompt": "p"}, "session_id"),
            ({"session_id": "x", "prompt": ""}, "prompt"),
            ({"session_id": "x", "prompt": "p", "model": "no-slash"}, "provider/model"),
        ]:
            answer = await client.post("/sessions", json=body)
            assert answer.status_code == 400, body
            assert words in answer.json()["error"]
        assert (await client.post("/sessions", content=b"x" * (1024 * 1024 + 1))).status_code == 413
        for path in ("/sessions/none", "/sessions/none/stream", "/nowhere"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await client.get("/sessions/none/stream?after=-1")).status_code == 400
        client.headers["Authorization"] = "Bearer wrong"
        for path in ("/sessions/none", "/sessions", "/rehearsal/v1/models"):
            assert (await client.get(path)).status_code == 401
        assert (await client.get("/health")).status_code == 200


async def test_an_unknown_model_is_refused_in_a_sentence(stack: Stack) -> None:
    session = str(uuid4())
    body = {"session_id": session, "prompt": "hello", "model": "nobody/nothing"}
    async with stack.client() as client:
        assert (await client.post("/sessions", json=body)).status_code == 200
    await stack.events(session)
    state = await stack.state(session)
    assert (state["status"], state["failure"]) == ("failed", "provider_refused")
    assert "nobody/nothing" in state["error"]
