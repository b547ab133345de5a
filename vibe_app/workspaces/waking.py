"""How many workspaces one person may wake by looking at them: boards and files that are opened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from vibe_app.errors import TooMany
from vibe_app.wire import now

AT_MOST = 20
"""Workspaces that one person may wake within the time after which an idle one is stopped."""
SETTLED = timedelta(seconds=10)
"""After so long a workspace that was to be woken is, or is not."""


class Waking:
    """Counts the workspaces that each person woke of late, in this process.

    Args:
        span: The time after which an idle workspace is stopped.
        clock: Says what time it is.
    """

    def __init__(self, span: timedelta, clock: Callable[[], datetime] = now) -> None:
        self._span, self._clock = span, clock
        self._woken: dict[UUID, dict[UUID, datetime]] = {}

    def full(self, person: UUID, project: UUID) -> set[UUID]:
        """Return what a person woke a while ago, if one more project would be too many; else nothing.

        Of these it can be asked which are awake still.
        """
        woken, present = self._woken.get(person, {}), self._clock()
        if project in woken or len(woken) < AT_MOST:
            return set()
        return {each for each, at in woken.items() if present - at > SETTLED}

    def forget(self, project: UUID) -> None:
        """Take back what was noted of a project: its workspace could not be woken, sleeps, or is gone."""
        for woken in self._woken.values():
            woken.pop(project, None)

    def count(self, person: UUID, project: UUID) -> None:
        """Note that a person wakes a project's workspace.

        Raises:
            TooMany: They woke `AT_MOST` others already.
        """
        present = self._clock()
        recent = {id: at for id, at in self._woken.get(person, {}).items() if present - at < self._span}
        if project not in recent and len(recent) >= AT_MOST:
            minutes = self._span / timedelta(minutes=1)
            raise TooMany(
                f"You have woken {AT_MOST} workspaces within {minutes:g} minutes. What nobody uses stops "
                "by itself; then this one can be opened. Execute starts it at any time.",
                int((min(recent.values()) + self._span - present).total_seconds()) + 1,
                "too_many_workspaces",
            )
        recent[project] = present
        self._woken[person] = recent
