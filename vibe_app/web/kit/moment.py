"""Times as people say them, on the reader's own clock and in their zone.

The present is unknown until the page is live, so that what the server wrote into the
page never differs from what the browser shows first.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.connection import connected
from vibe_app.web.kit.hooks import first_of, js

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_AGES = ((_HOUR, _MINUTE, "min"), (_DAY, _HOUR, "h"), (14 * _DAY, _DAY, "d"))
"""Up to how many seconds a time is told in which unit; what is older is told by its date."""


def ago(at: Any) -> rx.Component:
    """Show a moment as "5 min ago", with the exact one on hover.

    Args:
        at: In epoch milliseconds, 0 for none.
    """
    return _ago(at=at)


def on(at: Any) -> rx.Component:
    """Show the day of a moment, with the exact one on hover.

    Args:
        at: In epoch milliseconds.
    """
    return _on(at=at)


def elapsed(since: Any, coarse: bool = False) -> rx.Component:
    """Show the time since a moment as "2 min 31 s", counting on while the page is connected.

    Args:
        since: In epoch milliseconds.
        coarse: Whether to say "2 min" of it.
    """
    return _elapsed(since=since, coarse=coarse)


def due(day: Any) -> rx.Component:
    """Show by when something is to be done, "Due tomorrow" or "Overdue 24 Dec", by the reader's own calendar.

    Args:
        day: As `2026-12-24`.
    """
    return _due(day=day)


def _now(every: int) -> Any:
    """Return the present in epoch ms, looked at again every so many ms; 0 until the page is live."""
    return js(
        "now",
        int,
        (
            "const [now, setNow] = useState(0);",
            "useEffect(() => setNow(Date.now()), []);",
            "useInterval(() => $connected && setNow(Date.now()), $every, {autoInvoke: true});",
        ),
        connected=connected,
        every=every,
    )


def _age(seconds: Any, date: Any) -> Any:
    words = date
    for limit, unit, name in reversed(_AGES):
        words = rx.cond(seconds < limit, round(seconds / unit).to_string() + f" {name} ago", words)
    return rx.cond(seconds < 45, "just now", words)


@rx.memo
def _ago(at: rx.Var[int]) -> rx.Component:
    now = _now(30_000)
    return rx.cond(at == 0, rx.el.span("–"), _moment(at, now, _age((now - at) / 1000, _date(at))))


@rx.memo
def _on(at: rx.Var[int]) -> rx.Component:
    return _moment(at, _now(_HOUR * 1000), _date(at))


def _moment(at: Any, now: Any, words: Any) -> rx.Component:
    return rx.el.time(
        rx.cond(now == 0, "", words),
        date_time=js("new Date($at).toISOString()", str, at=at),
        title=rx.cond(now == 0, "", js("new Date($at).toLocaleString()", str, at=at)),
    )


def _date(at: Any) -> Any:
    return js(
        "new Date($at).toLocaleDateString(undefined, {day: 'numeric', month: 'short', year: 'numeric'})",
        str,
        at=at,
    )


@rx.memo
def _elapsed(since: rx.Var[int], coarse: rx.Var[bool]) -> rx.Component:
    now = _now(1000)
    seconds = js("Math.max(0, Math.floor(($now - $since) / 1000))", int, now=now, since=since)
    hours, minutes, rest = seconds // _HOUR, seconds // _MINUTE % 60, seconds % 60
    words = first_of(
        ((now == 0) | (since == 0), ""),
        (seconds >= _HOUR, hours.to_string() + " h " + minutes.to_string() + " min"),
        (seconds < _MINUTE, rest.to_string() + " s"),
        (coarse, minutes.to_string() + " min"),
        otherwise=minutes.to_string() + " min " + rest.to_string() + " s",
    )
    return rx.el.span(words, class_name="v-digits")


@rx.memo
def _due(day: rx.Var[str]) -> rx.Component:
    now = _now(30_000)
    at = js("new Date($day + 'T00:00')", day=day)
    # Days of the calendar: one on which clocks are changed is no shorter.
    days = js("Math.round((+$at - new Date($now).setHours(0, 0, 0, 0)) / 864e5)", int, at=at, now=now)
    year = js("new Date($now).getFullYear() == $at.getFullYear() ? undefined : 'numeric'", at=at, now=now)
    date = js(
        "$at.toLocaleDateString(undefined, {day: 'numeric', month: 'short', year: $year})",
        str,
        at=at,
        year=year,
    )
    named = first_of((days == 0, "today"), (days == 1, "tomorrow"), (days == -1, "yesterday"), otherwise=date)
    late = (now > 0) & (days < 0)
    words = rx.cond(now == 0, "", rx.cond(late, "Overdue ", "Due ") + named)
    return rx.el.span(words, class_name=rx.cond(late, "v-due v-red v-word", "v-due"), title=words)
