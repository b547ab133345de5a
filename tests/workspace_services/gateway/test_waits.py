"""A provider that wants to be asked later: short waits pass, long ones end the turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.workspace_services.gateway.gate import Gate, Upstream, json_reply
from vibe_app.workspace_services.gateway.waits import long_wait

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def retry_info(delay: str) -> bytes:
    return (
        '{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure"},'
        f'{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}]}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "3600"}, b"", 3600),
        ({"retry-after": "121"}, b"", 121),
        ({"retry-after": "120"}, b"", None),
        ({"retry-after": "0"}, b"", None),
        ({"retry-after": "-5"}, b"", None),
        ({"retry-after": "soon"}, b"", None),
        ({"retry-after-ms": "600000"}, b"", 600),
        ({"retry-after-ms": "600000", "retry-after": "1"}, b"", 600),
        ({"retry-after": format_datetime(NOW + timedelta(hours=2), usegmt=True)}, b"", 7200),
        ({"retry-after": format_datetime(NOW - timedelta(hours=2), usegmt=True)}, b"", None),
        ({"retry-after": "9" * 12}, b"", 366 * 86400),
        ({"retry-after": "9" * 500}, b"", None),
        ({}, retry_info("1800s"), 1800),
        ({}, retry_info("1800.5s"), 1800.5),
        ({}, b"[" + retry_info("1800s") + b"]", 1800),
        ({}, retry_info("60s"), None),
        ({}, retry_info("long"), None),
        ({}, b"[]", None),
        ({}, b"{", None),
        ({}, b'{"error":{"details":{"retryDelay":"1800s"}}}', None),
    ],
)
def test_every_way_to_say_it_is_understood(
    headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    for status in (429, 503, 529):
        found = long_wait(status, headers, body, NOW)
        assert found == (None if seconds is None else NOW + timedelta(seconds=seconds))
    assert long_wait(500, headers, body, NOW) is None


async def test_a_provider_that_wants_an_hour_ends_the_turn_at_once(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1")
    upstream.script = lambda _: json_reply({"error": {"message": "Quota"}}, 429, retry_after="3600")
    before = datetime.now(UTC)
    refused = await gate.ask()
    assert refused.status_code == 402
    answer = refused.json()
    assert answer["error"]["code"] == answer["code"] == "come_back_later"
    retry_at = datetime.fromisoformat(answer["retry_at"])
    assert timedelta(seconds=3590) < retry_at - before < timedelta(seconds=3660)
    ended = (await gate.spending("s")).ended
    assert ended is not None
    assert ended.code == "come_back_later"
    assert ended.retry_at is not None
    assert abs(ended.retry_at - retry_at) < timedelta(seconds=1)
    gate.kill()
    await gate.start()
    assert (await gate.spending("s")).ended == ended


async def test_a_short_wait_passes_untouched(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1")
    body = {"error": {"message": "Slow down"}}
    upstream.script = lambda _: json_reply(body, 429, retry_after="7", x_ratelimit="1")
    passed = await gate.ask()
    assert (passed.status_code, passed.json()) == (429, body)
    assert (passed.headers["retry-after"], passed.headers["x-ratelimit"]) == ("7", "1")
    assert (await gate.spending("s")).ended is None


@pytest.mark.parametrize(
    ("name", "path"), [("anthropic", "messages"), ("google", "models/gemini-2.5-flash:streamGenerateContent")]
)
async def test_each_dialect_is_refused_in_its_own_form(
    gate: Gate, upstream: Upstream, name: str, path: str
) -> None:
    await gate.session("s", "ses_1", requests=0)
    refused = await gate.ask(provider=name, path=path)
    error = refused.json()["error"]
    assert refused.status_code == 402
    assert "limit of requests" in error["message"]
    if name == "google":
        assert (error["code"], error["status"]) == (402, "budget_exhausted")
    else:
        assert (refused.json()["type"], error["type"]) == ("error", "budget_exhausted")
    assert refused.json()["code"] == "budget_exhausted"
    assert upstream.asked == []
