"""How long a provider wants to be left alone, in the ways in which providers say it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

from vibe_app.wire.gateway import LONG_WAIT

WAITING = frozenset((429, 503, 529))
"""Statuses with which a provider asks to come back later; 529 is Anthropic's "overloaded"."""

_LONGEST = timedelta(days=366)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,9})?")


def long_wait(status: int, headers: Mapping[str, str], body: bytes, moment: datetime) -> datetime | None:
    """Return when to ask again, where a provider's refusal asks for more than `LONG_WAIT`.

    Args:
        status: The answer's.
        headers: The answer's; found whatever their case.
        body: The answer's.
        moment: The present.
    """
    if status not in WAITING:
        return None
    wait = _told(headers, moment)
    if wait is None:
        wait = _google(body)
    if wait is None or wait.total_seconds() <= LONG_WAIT:
        return None
    return moment + min(wait, _LONGEST)


def _told(headers: Mapping[str, str], moment: datetime) -> timedelta | None:
    """Read `retry-after-ms` and `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3)."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(milliseconds):
        return timedelta(milliseconds=min(float(milliseconds), 1e14))
    after = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(after):
        return timedelta(seconds=min(float(after), 1e11))
    try:
        date = parsedate_to_datetime(after)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)) - moment
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _google(body: bytes) -> timedelta | None:
    """Read `google.rpc.RetryInfo` (cloud.google.com/apis/design/errors): `"retryDelay": "3600s"`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    listed = cast(list[Any], found) if isinstance(found, list) else [found]
    details = _inner(_inner(listed[0] if listed else None, "error"), "details")
    for detail in cast(list[Any], details) if isinstance(details, list) else ():
        delay = _inner(detail, "retryDelay")
        if isinstance(delay, str) and delay.endswith("s") and _SECONDS.fullmatch(delay[:-1]):
            return timedelta(seconds=min(float(delay[:-1]), 1e11))
    return None


def _inner(value: Any, name: str) -> Any:
    return cast(dict[str, Any], value).get(name) if isinstance(value, dict) else None
