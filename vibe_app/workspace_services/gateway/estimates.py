"""What a request may use at most, before anybody knows: so that several at once cannot go far over a limit.

An estimate holds a request back while others of its session are under way, and is never a reason to refuse
one. It is meant to be too much rather than too little: a token has at least one byte, an answer is as long
as it may be. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vibe_app.catalogue import Model
from vibe_app.wire.gateway import Limits, Spent, Tokens

_LONGEST_ANSWER = 32_000
"""Tokens that OpenCode 1.18.33 asks for at most, where neither the request nor the catalogue tells."""

# In a string of the body quotes are written `\"`, so no text that is sent looks like this.
_MOST = re.compile(
    rb'"(?:max_tokens|max_completion_tokens|max_output_tokens|maxOutputTokens)"\s*:\s*([0-9]{1,9})'
)


@dataclass(frozen=True)
class Estimate:
    """What a request may use; 0 nanodollars where it costs nothing, or its price is not known."""

    tokens: int = 0
    nanodollars: int = 0


NOTHING = Estimate()


def estimated(body: bytes, model: Model | None, *, free: bool) -> Estimate:
    """Estimate what a request will use.

    Args:
        body: What is asked.
        model: What the catalogue knows of the model that is asked.
        free: Whether it costs nothing.
    """
    given = min(len(body), model.context) if model and model.context else len(body)
    # A tool's own arguments may bear such a name too: the largest counts.
    told = [int(found[1]) for found in _MOST.finditer(body)]
    made = max(told) if told else (model.output if model and model.output else _LONGEST_ANSWER)
    if free or model is None:
        return Estimate(given + made)
    # What is put into a cache can cost more than what is only read.
    ways = (Tokens(input=given, output=made), Tokens(cache_write=given, output=made))
    return Estimate(given + made, max(model.nanodollars(way) or 0 for way in ways))


def crowded(limits: Limits, spent: Spent, held: Sequence[Estimate], more: Estimate) -> bool:
    """Tell whether a request may go over a limit together with those that are under way.

    Args:
        limits: What may be used.
        spent: What was used.
        held: What those that are under way may use.
        more: What the request may use.
    """
    money = spent.nanodollars + sum(each.nanodollars for each in (*held, more))
    tokens = spent.total + sum(each.tokens for each in (*held, more))
    over = limits.nanodollars is not None and money > limits.nanodollars
    return (over and more.nanodollars > 0) or (limits.tokens is not None and tokens > limits.tokens)
