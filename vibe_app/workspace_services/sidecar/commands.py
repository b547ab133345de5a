"""Ends what a command of the agent leaves open, once its time limit has passed.

At the limit OpenCode (1.18.33) signals the command's own process group, where its
supervisor ends what the command started (`vibe_app.workspaces.runtimes.supervision`). Where that did
not happen, since somebody killed the supervisor, this ends what is left: a process that
left the group would hold OpenCode up for ever.

OpenCode tells when a command was called, its text and its limit; the processes carry
when their command began and how long its text is.
Both together say whose a process is. Where two commands of the same length began
together, nothing is killed before the limits of both have passed. What a command that
has ended left running on purpose, with its output elsewhere, is let be until the run ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vibe_app.shapes import shaped
from vibe_app.workspace_services.sidecar.opencode_json import BashInput, Part

DEFAULT_LIMIT = 120.0
"""Seconds after which OpenCode ends a command that names no limit."""
GRACE = 4.0
"""Seconds beyond its limit: OpenCode sends SIGTERM at the limit and SIGKILL 3 s later."""
_TOGETHER = 5.0
"""A command begins within so many seconds of its call; what was called within them may be it."""
_SKEW = 0.1
_AGAIN = 1.0


@dataclass
class Call:
    """A command as it was called: when (seconds since 1970), its limit in seconds, its text's length."""

    owner: str
    began: float
    limit: float
    length: int
    over: bool = False

    @property
    def due(self) -> float:
        return self.began + self.limit + GRACE


@dataclass
class Commands:
    """The commands of all live runs in a workspace.

    Args:
        look: Returns the marks of the commands of which anything runs.
        end: Kills what is left of the command with a mark and returns the names of it.
    """

    look: Callable[[], Awaitable[list[str]]]
    end: Callable[[str], Awaitable[list[str]]]
    _calls: dict[str, Call] = field(default_factory=dict[str, Call])
    _ended: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def saw(self, owner: str, part: Part) -> None:
        """Take note of a part of a transcript; only those of bash matter.

        Args:
            owner: Whose run it belongs to.
            part: As OpenCode reports it.
        """
        state = part.get("state") or {}
        status = state.get("status", "pending")
        if part.get("tool") != "bash" or status == "pending":
            return
        # Without an exit status it was ended at its limit: what it left is due all the same.
        ended = (state.get("metadata") or {}).get("exit") is not None or status == "error"
        key, over = str(part.get("id")), status != "running" and ended
        if known := self._calls.get(key):
            known.over = over
        elif not over:
            given = shaped(BashInput, state.get("input"))
            self._calls[key] = Call(
                owner,
                ((state.get("time") or {}).get("start") or time.time() * 1000) / 1000,
                given.get("timeout", DEFAULT_LIMIT * 1000) / 1000,
                len(given.get("command", "")),
            )
            self._news.set()

    def forget(self, owner: str) -> list[str]:
        """Forget a run that is over, and return the names of what was ended for it."""
        self._calls = {key: call for key, call in self._calls.items() if call.owner != owner}
        return self._ended.pop(owner, [])

    async def watch(self) -> None:
        """End what is overdue, until cancelled."""
        while True:
            now, waiting = time.time(), [call.due for call in self._calls.values() if not call.over]
            pause = max(min(waiting) - now, _AGAIN) if waiting else None
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                await self._end_overdue()

    async def _end_overdue(self) -> None:
        for mark in await self.look():
            if (call := self._overdue(mark, time.time())) is not None:
                self._ended.setdefault(call.owner, []).extend(await self.end(mark))

    def _overdue(self, mark: str, now: float) -> Call | None:
        """The call whose command a mark belongs to, where that must be over."""
        try:
            start, _, size = mark.split(":")
            began, length = float(start), int(size)
        except ValueError:
            return None
        same = [
            call for call in self._calls.values() if call.length == length and call.began <= began + _SKEW
        ]
        latest = max((call.began for call in same), default=0.0)
        # One that was over before this command began cannot be its call; one that is open may be.
        running = [call for call in same if call.began >= latest - _TOGETHER and not call.over]
        if not running or any(now < max(call.due, began + call.limit + GRACE) for call in running):
            return None
        return running[0]
