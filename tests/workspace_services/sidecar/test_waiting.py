"""Which waits give a place up, and which words mean that waiting is of no use."""

from __future__ import annotations

from typing import Any

import pytest

from vibe_app.wire import Failure
from vibe_app.workspace_services.sidecar.verdict import explain, is_final
from vibe_app.workspace_services.sidecar.waiting import LONGEST_WAIT, Waits

NOW = 1_800_000_000.0


def retry(after: float, message: str = "Rate limit reached") -> dict[str, Any]:
    """What OpenCode says while it waits."""
    return {"type": "retry", "attempt": 1, "message": message, "next": (NOW + after) * 1000}


def test_short_waits_are_added_up_until_the_model_answers() -> None:
    waits, clock = Waits(), 0.0
    for _ in range(3):
        for _ in range(3):
            waits.status("s", retry(30), clock)
            assert waits.verdict(clock, NOW) is None
            clock += 30
            waits.status("s", {"type": "busy"}, clock)
        waits.answered("s")
    for _ in range(4):
        waits.status("s", retry(31), clock)
        clock += 31
        found = waits.verdict(clock, NOW + 31)
    assert found
    assert found.failure is Failure.PROVIDER_WAIT
    assert found.retry_at
    assert found.retry_at.timestamp() == NOW + 31


def test_a_wait_known_to_be_long_is_given_up_at_once_a_sub_agents_too() -> None:
    waits = Waits()
    waits.status("s", {"type": "busy"}, 0)
    waits.status("child", retry(LONGEST_WAIT + 1), 0)
    found = waits.verdict(0, NOW)
    assert found
    assert (found.failure, found.retry_at and found.retry_at.timestamp()) == ("provider_wait", NOW + 121)


@pytest.mark.parametrize(
    "words",
    [
        "You exceeded your current quota, please check your plan and billing details.",
        '{"error":{"type":"insufficient_quota"}}',
        "Your credit balance is too low to access the Anthropic API.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
        "Insufficient credits. Add more using https://openrouter.ai/credits",
        "Key limit exceeded (total limit)",
        "Insufficient Balance",
        "Your team has used all available credits or reached its monthly spending limit.",
        "Quota exceeded for metric: requests, limit: 0. You exceeded your current quota. Please retry in 9s",
    ],
)
def test_what_is_final(words: str) -> None:
    assert is_final(words)
    found = explain({"name": "APIError", "data": {"message": "no", "statusCode": 429, "responseBody": words}})
    assert found.failure is Failure.PROVIDER_REFUSED


@pytest.mark.parametrize(
    "words",
    [
        "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in 1.2s.",
        "You exceeded your current quota, please check your plan. limit: 15. Please retry in 34.07s.",
        "Overloaded",
        "Number of request tokens has exceeded your per-minute rate limit",
    ],
)
def test_what_comes_back_by_itself(words: str) -> None:
    assert not is_final(words)
