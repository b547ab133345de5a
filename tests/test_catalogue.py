"""The catalogue of models: as the pinned OpenCode has it, and prices to the nanodollar."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tools.catalogue import extract, written
from vibe_app.catalogue import BASE_URLS, PATH, catalogue, read
from vibe_app.settings import PROVIDER_KEYS, load_settings
from vibe_app.wire.gateway import Tokens

OPENCODE = load_settings().opencode_binary

SOME = {
    "maker": {
        "models": {
            "plain": {"cost": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}},
            "uncached": {"cost": {"input": 0.15, "output": 0.6}},
            "stepped": {
                "cost": {
                    "input": 1.25,
                    "output": 10,
                    "tiers": [
                        {"input": 5, "output": 30, "tier": {"type": "context", "size": 500}},
                        {"input": 2.5, "output": 15, "tier": {"type": "context", "size": 200}},
                    ],
                }
            },
            "unknown": {"limit": {"context": 1000, "output": 100}},
            "odd": {"cost": {"input": "dear", "output": 1}, "limit": []},
        }
    }
}


def test_it_is_what_the_pinned_opencode_says_and_what_it_reads_back() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert written(extract(OPENCODE)) == text
    assert written(extract(OPENCODE, PATH)) == text
    assert len(text.encode()) <= 300_000


def test_it_holds_the_providers_that_are_supported_and_no_others() -> None:
    found = catalogue()
    assert set(found.models) == set(PROVIDER_KEYS) == set(BASE_URLS)
    assert all(len(models) > 3 for models in found.models.values())
    sonnet = found.find("anthropic", "claude-sonnet-4-5")
    assert sonnet is not None
    assert (sonnet.name, sonnet.context) == ("Claude Sonnet 4.5 (latest)", 1_000_000)
    assert sonnet.rates is not None
    assert sonnet.rates.output == Decimal(15)


@pytest.mark.parametrize(
    ("model", "tokens", "nanodollars"),
    [
        ("plain", Tokens(input=1000, output=10), 3_150_000),
        ("plain", Tokens(reasoning=1, cache_read=1, cache_write=1), 15_000 + 300 + 3_750),
        ("plain", Tokens(), 0),
        ("uncached", Tokens(input=1, output=1), 750),
        ("uncached", Tokens(cache_read=100), 15_000),
        ("stepped", Tokens(input=200), 250_000),
        ("stepped", Tokens(input=150, cache_read=51), 502_500),
        ("stepped", Tokens(input=501, output=1), 2_505_000 + 30_000),
        ("unknown", Tokens(input=1), None),
        ("odd", Tokens(input=1), None),
        ("absent", Tokens(input=1), None),
    ],
)
def test_a_price_is_exact_or_not_known(model: str, tokens: Tokens, nanodollars: int | None) -> None:
    assert read(json.dumps(SOME)).nanodollars("maker", model, tokens) == nanodollars


def test_a_part_of_a_nanodollar_is_rounded_up() -> None:
    cheap = {"maker": {"models": {"m": {"cost": {"input": 0.0001, "output": 0}}}}}
    assert read(json.dumps(cheap)).nanodollars("maker", "m", Tokens(input=11)) == 2


def test_a_catalogue_of_another_form_holds_nothing() -> None:
    assert read("[]").models == {}
    assert read('{"a": 1, "b": {"models": []}}').models == {"b": {}}
