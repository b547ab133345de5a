"""What is read of usage out of each provider's answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workspace_services.gateway.gate import sse
from vibe_app.wire.gateway import Dialect, Tokens
from vibe_app.workspace_services.gateway.metering import Meter

STREAM, JSON = "text/event-stream; charset=utf-8", "application/json"


def metered(dialect: Dialect, kind: str, *pieces: bytes) -> Meter:
    meter = Meter(dialect, kind)
    for piece in pieces:
        meter.feed(piece)
    meter.end()
    return meter


def chat(**usage: Any) -> list[bytes]:
    return sse(
        {"choices": [{"delta": {"content": 'the "usage" of it'}}], "usage": None},
        {"choices": [], "usage": usage},
    )


OPENAI = {
    "plain": (chat(prompt_tokens=10, completion_tokens=3), Tokens(input=10, output=3)),
    "cached and thought": (
        chat(
            prompt_tokens=10,
            completion_tokens=5,
            prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 1},
            completion_tokens_details={"reasoning_tokens": 2},
        ),
        Tokens(input=5, output=3, reasoning=2, cache_read=4, cache_write=1),
    ),
    "reasoning beside the completion": (
        chat(
            prompt_tokens=10,
            completion_tokens=5,
            total_tokens=22,
            completion_tokens_details={"reasoning_tokens": 7},
        ),
        Tokens(input=10, output=5, reasoning=7),
    ),
    "deepseek": (
        chat(prompt_tokens=10, completion_tokens=1, prompt_cache_hit_tokens=8),
        Tokens(input=2, output=1, cache_read=8),
    ),
    "groq": (
        sse({"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}}),
        Tokens(input=1, output=2),
    ),
    "responses": (
        sse(
            {"type": "response.created", "response": {"usage": None}},
            {
                "type": "response.completed",
                "response": {
                    "usage": {
                        "input_tokens": 20,
                        "input_tokens_details": {"cached_tokens": 5},
                        "output_tokens": 9,
                        "output_tokens_details": {"reasoning_tokens": 4},
                    }
                },
            },
        ),
        Tokens(input=15, output=5, reasoning=4, cache_read=5),
    ),
    "odd": (
        chat(
            prompt_tokens=-5,
            completion_tokens="7",
            prompt_tokens_details=[],
            completion_tokens_details={"reasoning_tokens": 99},
        ),
        Tokens(input=0, output=0, reasoning=7),
    ),
}


@pytest.mark.parametrize("name", OPENAI)
def test_openai_and_what_is_compatible(name: str) -> None:
    pieces, tokens = OPENAI[name]
    assert metered("openai", STREAM, *pieces).tokens == tokens
    # However it is cut.
    whole = b"".join(pieces)
    assert metered("openai", STREAM, *(whole[at : at + 1] for at in range(len(whole)))).tokens == tokens
    assert metered("openai", STREAM, whole.replace(b"\n", b"\r\n")).tokens == tokens


def test_anthropic_tells_its_sums_in_two_events() -> None:
    start = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 7,
        "output_tokens": 1,
    }
    pieces = sse(
        {"type": "message_start", "message": {"usage": start}},
        {"type": "content_block_delta", "delta": {"text": "usage"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 25, "input_tokens": None},
        },
        {"type": "message_stop"},
    )
    meter = Meter("anthropic", STREAM)
    meter.feed(pieces[0])
    assert (meter.seen, meter.final) == (True, False)
    for piece in pieces[1:]:
        meter.feed(piece)
    assert meter.final
    assert meter.tokens == Tokens(input=10, output=25, cache_read=100, cache_write=7)


def test_google_tells_them_in_every_piece() -> None:
    usage = {
        "promptTokenCount": 50,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 6,
        "toolUsePromptTokenCount": 2,
    }
    pieces = sse({"usageMetadata": {"promptTokenCount": 50}}, {"candidates": [], "usageMetadata": usage})
    wanted = Tokens(input=22, output=4, reasoning=6, cache_read=30)
    assert metered("google", STREAM, *pieces).tokens == wanted
    assert metered("google", JSON, json.dumps([{}, {"usageMetadata": usage}]).encode()).tokens == wanted


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        ("anthropic", {"usage": {"input_tokens": 3, "output_tokens": 1}}),
        ("google", {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}),
    ],
)
def test_an_answer_that_is_not_streamed_is_read_at_its_end(dialect: Dialect, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    meter = metered(dialect, JSON, raw[:5], raw[5:])
    assert (meter.tokens, meter.seen, meter.final) == (Tokens(input=3, output=1), True, True)


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("kind", [STREAM, JSON, ""])
@pytest.mark.parametrize(
    "piece",
    [
        b"",
        b"\xff\x00",
        b'data: {"usage":\n',
        b'data: "usage"\n\n',
        b'data: ["usage"]\n\n',
        b'data: {"usage":[],"usageMetadata":1,"message":{"usage":3},"response":4}\n\n',
        b'data: {"usage":' + b"[" * 100_000 + b"\n\n",
    ],
)
def test_nonsense_is_no_usage(dialect: Dialect, kind: str, piece: bytes) -> None:
    meter = metered(dialect, kind, piece)
    assert (meter.tokens, meter.seen) == (Tokens(), False)


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    meter = Meter("openai", STREAM)
    for _ in range(80):
        meter.feed(b"data: " + b"x" * 100_000)
    assert len(meter._rest) < 5_000_000
