"""When a run only waits for its model's provider, and when waiting cannot help. Pure: no network, no clock.

OpenCode waits by itself for as long as a provider asks for, also two hours (`retry-after`), and retries an
exhausted quota like a busy moment: of both it reports no more than the provider's sentence and when it
will ask again.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from vibe_app.workspace_services.sidecar.opencode_json import Status
from vibe_app.workspace_services.sidecar.verdict import (
    Verdict,
    is_final,
    out_of_credit,
    wait_until,
)
from vibe_app.workspace_services.sidecar.wording import one_line

LONGEST_WAIT = 120.0
"""Seconds of waiting for which a run keeps its place; what is known to take longer gives it up at once."""
_FURTHEST = 366 * 24 * 3600.0
"""Seconds ahead of which no provider is believed."""


class Waits:
    """Watches the waits of one run and of its sub-agents."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._waited: defaultdict[str, float] = defaultdict(float)
        self._retry: dict[str, Status] = {}

    def status(self, session: str, status: Status, clock: float) -> None:
        """Take in what OpenCode says a session does.

        Args:
            session: The OpenCode session.
            status: Its value of `GET /session/status`, or an event's.
            clock: The present, in seconds on any clock that only goes forward.
        """
        if (began := self._since.pop(session, None)) is not None:
            self._waited[session] += clock - began
        self._retry.pop(session, None)
        if status.get("type") == "retry":
            self._since[session] = clock
            self._retry[session] = status

    def answered(self, session: str) -> None:
        """The model said something: what was waited for before does not count any more."""
        self._waited.pop(session, None)

    def verdict(self, clock: float, now_s: float) -> Verdict | None:
        """Return how the run ends where it should not go on waiting, None where it may.

        Args:
            clock: The present on the clock of `status`.
            now_s: The present in seconds since 1970.
        """
        for session, status in self._retry.items():
            message = one_line(str(status.get("message") or "no reason given"))
            if is_final(message):
                return out_of_credit(message)
            until = min(status.get("next", 0) / 1000, now_s + _FURTHEST)
            waited = self._waited[session] + clock - self._since[session]
            if until - now_s > LONGEST_WAIT or waited > LONGEST_WAIT:
                moment = datetime.fromtimestamp(max(until, now_s), UTC)
                return wait_until(moment, message)
        return None
