"""How runs end with the real OpenCode and a provider that behaves as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.workspace_services.sidecar.provider import Answer, Provider, calls, providing, refuses, runs, says
from tests.workspace_services.sidecar.stack import Stack, direct, running, texts
from vibe_app.workspaces.runtimes import hermetic


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Stack]:
    """A workspace whose model is asked at the provider of the test."""
    stack = Stack(tmp_path_factory.mktemp("endings"), silence=3)
    config = hermetic.opencode_config(
        layout=stack.layout, gateway_url="", model="scripted/model", compatible=True, model_timeout=2
    )
    stack.config = direct(config, provider.url)
    with running(stack):
        yield stack


async def run(stack: Stack, provider: Provider, script: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a session against a script to its end; return its state and its events."""
    provider.reset(script)
    session = await stack.begin("Write a long story")
    events = await stack.events(session, 60)
    state = await stack.state(session)
    if state["status"] == "failed":
        assert texts(events, "error")[-1] == state["error"]
        assert events[-1]["text"] == f"Session failed: {state['error']}"
    return state, events


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (says("I will now begin with the first", "length"), "broken", "cut off at the model's length limit"),
        (says("", "stop"), "broken", "its last answer is empty"),
        (says("", "stop", thinking="Is it done? It is."), "broken", "its last answer is empty"),
        (says("Once upon", "content_filter"), "provider_refused", "content filter"),
        (
            says('I look.\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>'),
            "broken",
            "a call of bash that was never made",
        ),
    ],
)
async def test_an_end_that_is_none_is_a_failure_with_its_reason(
    stack: Stack, provider: Provider, answer: Answer, failure: str, words: str
) -> None:
    state, _ = await run(stack, provider, lambda number, request: answer)
    assert (state["status"], state["failure"]) == ("failed", failure)
    assert words in state["error"]


async def test_what_was_done_before_an_empty_end_does_not_complete_it(
    stack: Stack, provider: Provider
) -> None:
    write = calls("write", {"filePath": str(stack.workspace / "a.txt"), "content": "a"}, text="I write it.")
    state, _ = await run(stack, provider, lambda number, request: write if number == 1 else says(""))
    assert state["status"] == "failed"
    assert "its last answer is empty. What it changed so far is kept" in state["error"]
    assert (stack.workspace / "a.txt").read_text() == "a"


async def test_a_last_answer_that_is_a_question_is_marked(stack: Stack, provider: Provider) -> None:
    state, _ = await run(stack, provider, lambda *_: says("Which one?\n\n- SQLite\n- PostgreSQL"))
    assert (state["status"], state["asking"]) == ("completed", True)
    state, _ = await run(stack, provider, lambda *_: says("It is done."))
    assert (state["status"], state["asking"]) == ("completed", False)


TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens",
        "type": "invalid_request_error",
        "code": "context_length_exceeded",
    }
}


async def ends_stuck(stack: Stack, provider: Provider, script: Any, most: int) -> str:
    """Run a script that never ends; return why it was ended, after at most so many requests."""
    state, _ = await run(stack, provider, script)
    assert (state["status"], state["failure"]) == ("failed", "no_progress")
    assert state["error"].endswith("The run was stopped since it makes no progress; what it changed is kept.")
    assert len(provider.requests) <= most + 12, "it went on after it was ended"
    return state["error"]


@pytest.mark.parametrize("text", ["Half an answer", ""])
async def test_answers_without_a_finish_reason_are_not_asked_for_for_ever(
    stack: Stack, provider: Provider, text: str
) -> None:
    why = await ends_stuck(stack, provider, lambda *_: says(text, None), 8)
    assert why.startswith("5 answers of the model in a row ended without a finish reason")


async def test_a_finish_reason_that_promises_a_call_is_no_progress_without_one(
    stack: Stack, provider: Provider
) -> None:
    def script(_: int, request: dict[str, Any]) -> Answer:
        # By its own conversation: a run that was ended before this one may still be asking.
        before = [message for message in request["messages"] if message["role"] == "assistant"]
        return says(f"Step {len(before) + 1}", "tool_calls")

    why = await ends_stuck(stack, provider, script, 8)
    assert "without a tool call; the last one said: Step 5" in why


async def test_a_task_too_long_for_everything_is_summed_up_a_few_times(
    stack: Stack, provider: Provider
) -> None:
    def script(number: int, request: dict[str, Any]) -> Answer:
        return refuses(400, TOO_LONG) if request.get("tools") else says("## Goal: the story")

    why = await ends_stuck(stack, provider, script, 10)
    assert "summed up 3 times without any work in between" in why


async def test_the_same_call_with_the_same_result_is_made_a_few_times(
    stack: Stack, provider: Provider
) -> None:
    why = await ends_stuck(stack, provider, lambda number, _: runs("echo same", f"Try {number}."), 9)
    assert "The same call was made 8 times" in why
    assert "(bash: echo same)" in why


async def test_calls_that_take_turns_are_the_same_as_well(stack: Stack, provider: Provider) -> None:
    why = await ends_stuck(stack, provider, lambda number, _: runs(f"echo {number % 2}"), 17)
    assert "The same call was made 8 times" in why


async def test_calls_that_cannot_be_made_are_made_a_few_times(stack: Stack, provider: Provider) -> None:
    why = await ends_stuck(stack, provider, lambda number, _: calls("nosuch", {"try": number}), 9)
    assert "nosuch, a call that cannot be made" in why


async def test_a_sub_agent_that_repeats_itself_ends_the_run(stack: Stack, provider: Provider) -> None:
    task = {"description": "dig", "prompt": "look into it", "subagent_type": "general"}

    def script(number: int, request: dict[str, Any]) -> Answer:
        return calls("task", task) if number == 1 else runs("echo same")

    why = await ends_stuck(stack, provider, script, 10)
    assert why.startswith("Sub-agent dig: the same call was made 8 times")


async def test_a_stream_of_nothing_but_signs_of_life_is_silent(stack: Stack, provider: Provider) -> None:
    why = await ends_stuck(stack, provider, lambda *_: Answer(provider.silence()), 1)
    assert "has been open for 3 s without a word" in why


@pytest.mark.parametrize(
    "answer",
    [
        Answer([b"<!doctype html><title>Welcome</title>"], headers={"content-type": "text/html"}),
        Answer([b'{"hello": "world"}'], headers={"content-type": "application/json"}),
    ],
)
async def test_an_address_that_is_no_model_is_refused_at_its_first_answer(
    stack: Stack, provider: Provider, answer: Answer
) -> None:
    state, _ = await run(stack, provider, lambda *_: answer)
    assert (state["status"], state["failure"]) == ("failed", "provider_refused")
    assert "Check VIBE_MODEL_BASE_URL" in state["error"]
    assert len(provider.requests) <= 12, "it went on after it was refused"


async def test_a_long_run_that_gets_on_is_left_alone(stack: Stack, provider: Provider) -> None:
    """Many calls, the same test after each edit with the same result, and polls that differ."""
    story = [runs(f"echo {number}") for number in range(40)]
    for number in range(12):
        edit = {"filePath": str(stack.workspace / "code.py"), "content": f"version {number}"}
        story += [calls("write", edit), runs("echo 3 failed; false")]
    story += [runs("date +%N") for _ in range(12)]
    story += [runs("echo x >> grows.txt") for _ in range(12)]
    story += [says("All of it is done.")]
    state, _ = await run(stack, provider, lambda number, _: story[number - 1])
    assert (state["status"], state["error"]) == ("completed", None)
    assert len(provider.requests) == len(story)


async def test_a_provider_that_asks_for_two_hours_is_not_waited_for(stack: Stack, provider: Provider) -> None:
    busy = refuses(429, {"error": {"message": "Rate limit reached"}}, retry_after="7200")
    state, events = await run(stack, provider, lambda *_: busy)
    assert (state["status"], state["failure"]) == ("failed", "provider_wait")
    until = datetime.fromisoformat(state["retry_at"])
    assert 7000 < (until - datetime.now(UTC)).total_seconds() <= 7200
    assert f"until {until:%H:%M} UTC (Rate limit reached)" in events[-1]["text"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"message": "You exceeded your current quota, check your plan", "code": "insufficient_quota"}),
        (402, {"message": "Insufficient credits", "code": 402}),
        (403, {"message": "Key limit exceeded (total limit)", "code": 403}),
        (400, {"message": "Your credit balance is too low to access the Anthropic API."}),
    ],
)
async def test_what_waiting_cannot_mend_is_final_whatever_its_code(
    stack: Stack, provider: Provider, status: int, error: dict[str, Any]
) -> None:
    state, _ = await run(stack, provider, lambda *_: refuses(status, {"error": error}))
    assert (state["status"], state["failure"]) == ("failed", "provider_refused")
    assert "credit or quota is used up" in state["error"]
    assert error["message"] in state["error"]
    assert len(provider.requests) == 1
