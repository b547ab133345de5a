"""The catalogue of models: what is known of the models of the providers that are supported.

`models.json` beside this module has the form of models.dev and is taken out of the pinned OpenCode when
the product is built (`tools/catalogue.py`): OpenCode reads it in place of its own, the gateway takes its
prices from it, pages show it. A price that is not there is not known, and never 0. Pure, but for the one
file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

from vibe_app.shapes import shaped
from vibe_app.wire import HUGE
from vibe_app.wire.gateway import Dialect, Tokens

PATH = Path(__file__).parent / "models.json"

DIALECTS: Mapping[str, Dialect] = {"anthropic": "anthropic", "google": "google"}
"""The interface of each provider that is not OpenAI's."""

BASE_URLS: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com/v1",
    "openai": "https://api.openai.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "openrouter": "https://openrouter.ai/api/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "xai": "https://api.x.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
}
"""Where each provider is asked, as OpenCode's own packages do it."""

_NANODOLLARS = 1000
"""Nanodollars for one token, of one US dollar for a million."""


class _Tier(TypedDict, total=False):
    type: str
    size: int


class _Rates(TypedDict, total=False):
    input: float
    output: float
    cache_read: float
    cache_write: float


class _Step(_Rates, total=False):
    tier: _Tier


class _Cost(_Rates, total=False):
    tiers: list[_Step]


class _Limit(TypedDict, total=False):
    context: int
    output: int


class _Model(TypedDict, total=False):
    name: str
    cost: _Cost
    limit: _Limit


class _Provider(TypedDict, total=False):
    name: str
    models: dict[str, _Model]


@dataclass(frozen=True)
class Rates:
    """US dollars for a million tokens.

    Tokens of a cache without a rate of their own cost as much as input.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal

    def nanodollars(self, tokens: Tokens) -> int:
        """What tokens cost, rounded up to a nanodollar. Reasoning costs as output."""
        dollars = (
            self.input * tokens.input
            + self.output * (tokens.output + tokens.reasoning)
            + self.cache_read * tokens.cache_read
            + self.cache_write * tokens.cache_write
        )
        return min(int((dollars * _NANODOLLARS).to_integral_value(ROUND_CEILING)), HUGE)


@dataclass(frozen=True)
class Model:
    """What is known of a model.

    Args:
        id: As its provider calls it.
        name: As people call it.
        context: Tokens of a whole talk; 0 where it is not known.
        output: Tokens of one answer; 0 where it is not known.
        rates: Its prices; None where they are not known.
        steps: Other prices for a request whose input has more than so many tokens, the least first.
    """

    id: str
    name: str
    context: int
    output: int
    rates: Rates | None
    steps: tuple[tuple[int, Rates], ...] = ()

    def nanodollars(self, tokens: Tokens) -> int | None:
        """What a request cost; None where the price is not known."""
        given = tokens.input + tokens.cache_read + tokens.cache_write
        rates = self.rates
        for size, beyond in self.steps:
            rates = beyond if given > size else rates
        return rates.nanodollars(tokens) if rates else None


@dataclass(frozen=True)
class Catalogue:
    """The models by provider and by their own ids.

    Args:
        models: Them.
        names: How people call the providers.
    """

    models: Mapping[str, Mapping[str, Model]]
    names: Mapping[str, str]

    def find(self, provider: str, model: str) -> Model | None:
        """Return what is known of a model, None where nothing is."""
        return self.models.get(provider, {}).get(model)

    def nanodollars(self, provider: str, model: str, tokens: Tokens) -> int | None:
        """What a request cost; None where the price is not known."""
        found = self.find(provider, model)
        return found.nanodollars(tokens) if found else None


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Read the catalogue that comes with the product, once.

    Raises:
        OSError: It is not there.
        ValueError: It is no JSON.
    """
    return read(PATH.read_text(encoding="utf-8"))


def part(provider: str) -> str:
    """Return what the catalogue says of one provider, in models.dev's form; nothing of one it does not know.

    Raises:
        OSError: It is not there.
        ValueError: It is no JSON.
    """
    known = json.loads(PATH.read_text(encoding="utf-8"))
    return json.dumps({provider: known[provider]} if provider in known else {})


def read(text: str) -> Catalogue:
    """Read a catalogue in the form of models.dev, as far as it has that form.

    Raises:
        ValueError: It is no JSON.
    """
    providers = shaped(dict[str, _Provider], json.loads(text))
    return Catalogue(
        {
            name: {model_id: _model(model_id, model) for model_id, model in found.get("models", {}).items()}
            for name, found in providers.items()
        },
        {name: found.get("name", name) for name, found in providers.items()},
    )


def _model(model_id: str, found: _Model) -> Model:
    cost, limit = found.get("cost", _Cost()), found.get("limit", _Limit())
    steps = (
        (size, rates)
        for step in cost.get("tiers", ())
        if (size := step.get("tier", _Tier()).get("size")) and (rates := _rates(step))
    )
    return Model(
        model_id,
        found.get("name", model_id),
        limit.get("context", 0),
        limit.get("output", 0),
        _rates(cost),
        tuple(sorted(steps, key=lambda step: step[0])),
    )


def _rates(found: _Rates) -> Rates | None:
    if "input" not in found or "output" not in found:
        return None
    given = _decimal(found["input"])
    return Rates(
        given,
        _decimal(found["output"]),
        _decimal(found["cache_read"]) if "cache_read" in found else given,
        _decimal(found["cache_write"]) if "cache_write" in found else given,
    )


def _decimal(value: float) -> Decimal:
    # The shortest text of a float is what was written in the file.
    return Decimal(repr(value))
