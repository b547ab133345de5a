"""How a run ends whose workspace's gateway refuses: in the gateway's words, and never by a guess."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from vibe_app.wire import Failure, SidecarStatus
from vibe_app.workspace_services.sidecar.opencode_json import Error
from vibe_app.workspace_services.sidecar.verdict import explain

SENTENCE = "The limit of costs is reached: $0.63 of $0.50 spent."


def refused(body: Any, status: int = 402) -> Error:
    """What OpenCode keeps of a refusal."""
    text = body if isinstance(body, str) else json.dumps(body)
    data = {"message": "Payment Required", "statusCode": status, "responseBody": text, "isRetryable": False}
    return {"name": "APIError", "data": data}  # pyright: ignore[reportReturnType]


# The three dialects say the same in `code`; Google's own code is a number.
@pytest.mark.parametrize("error", [{"message": SENTENCE, "code": "x"}, {"message": SENTENCE, "code": 402}])
def test_a_reached_limit_is_told_as_the_gateway_says_it(error: dict[str, Any]) -> None:
    verdict = explain(refused({"type": "error", "error": error, "code": "budget_exhausted"}))
    assert (verdict.status, verdict.failure, verdict.error) == (
        SidecarStatus.FAILED,
        Failure.BUDGET_EXHAUSTED,
        SENTENCE,
    )


@pytest.mark.parametrize(
    "moment", ["2030-01-02T03:04:05.000Z", "2030-01-02T04:04:05+01:00", "2030-01-02T03:04:05"]
)
def test_a_long_wait_says_until_when(moment: str) -> None:
    body = {"code": "come_back_later", "retry_at": moment, "error": {"message": "It asks to come back."}}
    verdict = explain(refused(body))
    assert verdict.failure is Failure.PROVIDER_WAIT
    assert verdict.retry_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert verdict.error == "The model's provider lets it wait until 03:04 UTC (It asks to come back)."


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Payment Required",
        "[" * 100_000,
        [],
        {"error": {"message": "Insufficient credits"}},
        {"code": ["budget_exhausted"]},
        {"code": "come_back_later"},
        {"code": "come_back_later", "retry_at": "soon"},
        {"code": "come_back_later", "retry_at": 7},
    ],
)
def test_a_402_of_the_provider_s_own_is_its_credit(body: Any) -> None:
    verdict = explain(refused(body))
    assert verdict.failure is Failure.PROVIDER_REFUSED
    assert verdict.retry_at is None


def test_the_words_alone_are_no_limit() -> None:
    verdict = explain(refused({"code": "budget_exhausted", "error": {"message": SENTENCE}}, 400))
    assert verdict.failure is Failure.PROVIDER_REFUSED


def test_a_limit_without_a_sentence_has_one() -> None:
    assert explain(refused({"code": "budget_exhausted"})).error == "A limit of this session is reached."
