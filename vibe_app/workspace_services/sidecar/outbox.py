"""What a run has to say, held back for a moment, so that what comes together is written together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vibe_app.wire import EventType
from vibe_app.workspace_services.sidecar.translate import Emission, merged

_COALESCE = 0.05
_LARGEST_BATCH = 32 * 1024


class Outbox:
    """The entries of one run that are not written yet.

    Args:
        write: Takes those that go together.
        clock: The present, in seconds on any clock that only goes forward.

    Attributes:
        due_at: When what is held must be written, on that clock.
    """

    def __init__(self, write: Callable[[list[Emission]], None], clock: Callable[[], float]) -> None:
        self.due_at = 0.0
        self._write = write
        self._clock = clock
        self._held: list[Emission] = []
        self._chars = 0

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self._held)

    @property
    def is_due(self) -> bool:
        """Whether something is held that must be written now."""
        return bool(self._held) and (self._chars > _LARGEST_BATCH or self._clock() >= self.due_at)

    @property
    def is_mid_line(self) -> bool:
        """Whether what is held ends in the middle of a line of output, which more will follow."""
        return self._held[-1].type is EventType.OUTPUT and not self._held[-1].text.endswith("\n")

    def put(self, emissions: Sequence[Emission]) -> None:
        """Hold something more."""
        if emissions and not self._held:
            self.due_at = self._clock() + _COALESCE
        self._held += emissions
        self._chars += sum(len(emission.text) for emission in emissions)

    def flush(self) -> None:
        """Write what is held.

        Raises:
            OSError: It cannot be written, and is held no more.
        """
        entries = list(merged(self._held))
        self.clear()
        if entries:
            self._write(entries)

    def clear(self) -> None:
        """Let go of what is held."""
        self._held, self._chars = [], 0
