"""How runs end with the real OpenCode and a provider that behaves as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sidecar.provider import Answer, Provider, calls, providing, says
from tests.sidecar.stack import Stack, running, texts
from vibe_app.runtimes import hermetic


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Stack]:
    """A workspace whose model is asked at the provider of the test."""
    stack = Stack(tmp_path_factory.mktemp("endings"))
    stack.config = hermetic.opencode_config(
        workspace=stack.workspace,
        home=stack.home,
        model="scripted/model",
        base_url=provider.url,
        model_timeout=5,
    )
    stack.env = {"VIBE_MODEL_API_KEY": "sk-for-tests"}
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
