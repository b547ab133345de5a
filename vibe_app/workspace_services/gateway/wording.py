"""What the gateway says where it refuses: sentences that a person can act on. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from vibe_app.wire import iso, now
from vibe_app.wire.gateway import DOLLAR, Ended, Limits, Spent

_FOREVER = 10**7
_RAISE = "Raise it in the settings of the project or of the installation to go on."


def exhausted(limits: Limits, spent: Spent, under_way: int, started_at: datetime | None) -> Ended | None:
    """Return which limit is reached, in words; None where one more request may go.

    Args:
        limits: What may be used.
        spent: What was used.
        under_way: Requests that are being answered: they count as requests already.
        started_at: From when the minutes count.
    """
    if limits.nanodollars is not None and spent.nanodollars >= limits.nanodollars:
        used = f"{dollars(spent.nanodollars)} of {dollars(limits.nanodollars)}"
        return _ended(f"The limit of costs is reached: {used} spent. {_RAISE}", "dollars")
    if limits.tokens is not None and spent.total >= limits.tokens:
        used = f"{spent.total:,} of {limits.tokens:,}"
        return _ended(f"The limit of tokens is reached: {used} used. {_RAISE}", "tokens")
    if limits.requests is not None and spent.requests + under_way >= limits.requests:
        used = f"{spent.requests + under_way:,} of {limits.requests:,}"
        return _ended(f"The limit of requests to the model is reached: {used} made. {_RAISE}", "requests")
    if limits.minutes is not None and started_at is not None:
        span = timedelta(minutes=min(limits.minutes, _FOREVER))
        if now() - started_at >= span:
            return _ended(
                f"The limit of time is reached: {limits.minutes:,} min have passed. {_RAISE}", "minutes"
            )
    return None


def come_back(provider: str, retry_at: datetime) -> Ended:
    """Return that a provider wants to be asked later than a turn can wait."""
    message = f"The model's provider {provider} asks to come back later, at {iso(retry_at)}."
    return Ended(code="come_back_later", message=message, retry_at=retry_at)


def dollars(nanodollars: int) -> str:
    """Write an amount in US dollars: to the cent, or as exactly as it takes where that would hide a part."""
    whole, part = divmod(nanodollars, DOLLAR)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{digits}"


def _ended(message: str, limit: str) -> Ended:
    return Ended.model_validate({"code": "budget_exhausted", "message": message, "limit": limit})
