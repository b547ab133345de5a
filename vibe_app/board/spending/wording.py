"""What a session has spent of what, in a few words: for its card, its history and the command line. Pure."""

from __future__ import annotations

from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.spending.limits import LimitsView, counted, dollars, nano, thousands

_UNKNOWN = "price unknown"


def spent_words(session: SessionCard) -> str:
    """Say what a session has spent of what it may: `$0.12 of $2.00 · 34k tokens`; nothing where unknown."""
    limits = session.limits
    parts = [_cost(session)]
    tokens = tokens_of(session)
    # None at all need no word, unless something is to be seen beside them.
    if tokens or (tokens is not None and limits.tokens is not None):
        most = "" if limits.tokens is None else f" of {thousands(limits.tokens)}"
        parts.append(f"{thousands(tokens)}{most} tokens")
    if limits.requests is not None and session.model_requests is not None:
        parts.append(f"{session.model_requests:,} of {limits.requests:,} requests")
    return " · ".join(filter(None, parts))


def cost_words(session: SessionCard) -> str:
    """Say what a session has cost, as far as it is known; nothing where nobody counted."""
    if session.cost is not None:
        return dollars(nano(session.cost))
    if session.cost_at_least is None:
        return ""
    return f"at least {dollars(nano(session.cost_at_least))}" if session.cost_at_least else _UNKNOWN


def tokens_of(session: SessionCard) -> int | None:
    """Return the tokens of every kind together; None where nobody counted."""
    kinds = (
        session.tokens_input,
        session.tokens_output,
        session.tokens_reasoning,
        session.tokens_cache_read,
        session.tokens_cache_write,
    )
    known = [count for count in kinds if count is not None]
    return sum(known) if known else None


def limits_words(limits: LimitsView) -> str:
    """Say what a session may spend: `$2.00, 30 min`; nothing where it has no limit."""
    said = [
        counted(limits.tokens, "token") if limits.tokens else "",
        f"{limits.minutes:,} min" if limits.minutes else "",
        counted(limits.requests, "request") if limits.requests else "",
    ]
    cost = "" if limits.usd is None else dollars(nano(limits.usd))
    return ", ".join(filter(None, [cost, *said]))


def _cost(session: SessionCard) -> str:
    words, most = cost_words(session), session.limits.usd
    # What is free needs no word, unless something is to be seen beside it.
    if most is None:
        return words if session.cost != 0 else ""
    return f"{words} of {dollars(nano(most))}" if words and words != _UNKNOWN else words
