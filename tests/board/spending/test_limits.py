"""What a session may spend: how limits are read and meet, and money and tokens in words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from vibe_app.board.lifecycle import SessionKind, SessionStatus
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.spending.limits import (
    NO_LIMITS,
    Limits,
    LimitsPatch,
    LimitsView,
    changed,
    dollars,
    nano,
    thousands,
    usd,
)
from vibe_app.board.spending.wording import cost_words, limits_words, spent_words
from vibe_app.errors import InvalidRequest

CENT = 10_000_000


def session(**values: Any) -> SessionCard:
    """A card's session that has spent something."""
    names = dict.fromkeys(SessionCard.model_fields)
    given = {
        "id": UUID(int=1),
        "task_id": UUID(int=2),
        "project_id": UUID(int=3),
        "status": SessionStatus.RUNNING,
        "kind": SessionKind.EXECUTE,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
        "attempt": 1,
        "stop_requested": False,
        "model": "openai/gpt-5",
        "last_line": "",
        "last_seq": 0,
        "limits": LimitsView.show(NO_LIMITS),
    }
    return SessionCard.model_validate(names | given | values)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (1_250_000, "$0.0013"),
        (9_999_999, "$0.0100"),
        (CENT, "$0.01"),
        (14_999_999, "$0.01"),
        (15_000_000, "$0.02"),
        (2_000_000_000, "$2.00"),
        (1_234_567_890_000_000, "$1,234,567.89"),
    ],
)
def test_money_is_told_to_the_cent_and_less_than_one_to_two_digits(amount: int, words: str) -> None:
    assert dollars(amount) == words


def test_money_is_exact_in_and_out() -> None:
    assert nano(0.1) + nano(0.2) == nano(Decimal("0.3"))
    assert usd(nano(0.123456789)) == 0.123456789
    assert usd(None) is None


def test_tokens_have_room_on_a_card() -> None:
    counts = (0, 999, 1000, 34_499, 999_499, 999_500, 1_240_000)
    assert [thousands(count) for count in counts] == ["0", "999", "1k", "34k", "999k", "1.0M", "1.2M"]


def test_the_tighter_of_two_limits_holds() -> None:
    ours, installation = Limits(5, None, 30, 7), Limits(3, 100, None, 9)
    assert ours.within(installation) == Limits(3, 100, 30, 7)
    assert NO_LIMITS.within(NO_LIMITS) == NO_LIMITS


def test_a_project_changes_what_is_given_and_takes_away_what_is_null() -> None:
    before = Limits(2 * CENT, 100, 30, 7)
    after = changed(before, LimitsPatch.model_validate({"usd": 0.15, "tokens": None}), NO_LIMITS)
    assert after == Limits(15 * CENT, None, 30, 7)


@pytest.mark.parametrize("given", [{"usd": 0.2}, {"tokens": 101}, {"minutes": 31}, {"requests": 8}])
def test_a_project_can_only_tighten_the_installation_s(given: dict[str, Any]) -> None:
    installation = Limits(15 * CENT, 100, 30, 7)
    with pytest.raises(InvalidRequest, match="at the most") as refused:
        changed(NO_LIMITS, LimitsPatch.model_validate(given), installation)
    assert refused.value.code == "limit_too_high"


def test_a_limit_that_was_set_before_the_installation_s_keeps_nobody_from_changing_another() -> None:
    assert changed(Limits(nano=CENT * 100), LimitsPatch(tokens=5), Limits(nano=CENT)).tokens == 5


@pytest.mark.parametrize(
    "given",
    [
        *({"usd": value} for value in (0, -1, "NaN", "Infinity", 1e-7, 10**7)),
        *({name: value} for name in ("tokens", "minutes", "requests") for value in (0, -1, 10**15)),
        {"usd": "much"},
        {"usd": [1]},
        {"tokens": 1.5},
        {"seconds": 1},
    ],
)
def test_what_is_no_limit_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((InvalidRequest, ValidationError)):
        LimitsPatch.model_validate(given)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ""),
        (
            {"cost": 0.12, "cost_at_least": 0.12, "tokens_input": 30_000, "tokens_cache_read": 4_000},
            "$0.12 of $2.00 · 34k tokens",
        ),
        ({"cost_at_least": 0.12, "tokens_input": 34_000}, "at least $0.12 of $2.00 · 34k tokens"),
        ({"cost_at_least": 0.0, "tokens_input": 34_000}, "price unknown · 34k tokens"),
        ({"cost": 0.0, "cost_at_least": 0.0, "tokens_output": 12}, "$0.00 of $2.00 · 12 tokens"),
    ],
)
def test_a_card_says_what_was_spent_of_what(values: dict[str, Any], words: str) -> None:
    limits = LimitsView.show(Limits(nano=200 * CENT))
    assert spent_words(session(limits=limits, **values)) == words


def test_without_limits_a_card_says_what_was_spent() -> None:
    assert spent_words(session(cost=0.12, tokens_output=900)) == "$0.12 · 900 tokens"
    # What is free, as the rehearsal model, costs no word.
    assert spent_words(session(cost=0.0, cost_at_least=0.0, tokens_output=900)) == "900 tokens"
    # Nor does nothing at all.
    assert spent_words(session(cost=0.0, cost_at_least=0.0, tokens_input=0, tokens_output=0)) == ""


def test_tokens_and_requests_are_told_of_their_limits_too() -> None:
    limits = LimitsView.show(Limits(tokens=100_000, requests=20))
    words = spent_words(session(limits=limits, tokens_input=34_000, model_requests=12, cost=0.0))
    assert words == "34k of 100k tokens · 12 of 20 requests"
    nothing = spent_words(session(limits=limits, tokens_input=0, model_requests=0, cost=0.0))
    assert nothing == "0 of 100k tokens · 0 of 20 requests"


def test_limits_and_costs_in_words() -> None:
    assert limits_words(LimitsView.show(Limits(200 * CENT, 5000, 30, 1000))) == (
        "$2.00, 5,000 tokens, 30 min, 1,000 requests"
    )
    assert limits_words(LimitsView.show(Limits(None, 1, None, 1))) == "1 token, 1 request"
    assert limits_words(LimitsView.show(NO_LIMITS)) == ""
    assert cost_words(session()) == ""
    assert cost_words(session(cost_at_least=0.0)) == "price unknown"
