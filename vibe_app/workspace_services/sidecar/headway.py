"""Whether a run gets on: by its waits for the provider, by what the agent does, and by the files it changes.

What OpenCode reports is judged by `Waits` and `Progress`; what a command does to files it does not report,
so they are looked at where it matters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from vibe_app.wire import Failure
from vibe_app.workspace_services.sidecar import verdict as verdicts
from vibe_app.workspace_services.sidecar.changes import changed_since
from vibe_app.workspace_services.sidecar.opencode_json import Event, Message
from vibe_app.workspace_services.sidecar.progress import Progress
from vibe_app.workspace_services.sidecar.verdict import Verdict
from vibe_app.workspace_services.sidecar.waiting import Waits

# Times that changed files excuse repetitions: a server that writes its log changes some for ever.
_PARDONS = 20


class Headway:
    """Watches one run and its sub-agents.

    Args:
        workspace: The folder in which it works.
        silence: Seconds for which the model may keep its stream open without a word.
    """

    def __init__(self, workspace: str, silence: float) -> None:
        self._workspace = workspace
        self._progress = Progress(workspace, time.monotonic(), silence)
        self._waits = Waits()
        self._pardons = 0

    def feed(self, event: Event) -> None:
        """Take in one event of the run's own OpenCode session or of a sub-agent's."""
        properties = event.get("properties") or {}
        session = properties.get("sessionID", "")
        self._progress.feed(event, time.monotonic())
        match event.get("type"):
            case "session.status":
                self._waits.status(session, properties.get("status") or {}, time.monotonic())
            case "message.part.updated":
                self._waits.answered(session)
            case _:
                pass

    def transcript(self, session: str, messages: Sequence[Message]) -> None:
        """Take in what is new in a transcript."""
        self._progress.transcript(session, messages, time.monotonic())

    async def verdict(self, name: Callable[[str], str | None]) -> Verdict | None:
        """Return how a run ends that does not get on, None for one that does.

        Args:
            name: Says what a sub-agent's OpenCode session is called; None for the run's own.
        """
        clock = time.monotonic()
        if waits := self._waits.verdict(clock, time.time()):
            return waits
        stuck = self._progress.stuck(clock)
        if stuck is None:
            return None
        if stuck.unless_files_change and self._pardons < _PARDONS:
            began = time.time() - (clock - stuck.since)
            if await asyncio.to_thread(changed_since, self._workspace, began):
                self._pardons += 1
                self._progress.moved_on(clock)
                return None
        words = stuck.words
        if title := name(stuck.session):
            words = f"Sub-agent {title}: {words[:1].lower()}{words[1:]}"
        if stuck.failure is Failure.NO_PROGRESS:
            words = f"{words}. The run was stopped since it makes no progress; what it changed is kept."
        return verdicts.failed(stuck.failure, words)
