"""The entries of usage, by their numbers, for as long as the engine may not hold them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vibe_app.wire.gateway import UsageEntry


class Entries:
    """Those that are kept, oldest first.

    Attributes:
        last: The number of the newest entry there ever was.
        confirmed: The last number that the engine holds: entries up to it may go.
    """

    def __init__(self) -> None:
        self.last = 0
        self.confirmed = 0
        self._kept: list[UsageEntry] = []
        self._dropped = 0

    def __iter__(self) -> Iterator[UsageEntry]:
        """Yield those that are kept."""
        return iter(self._kept)

    def add(self, entry: UsageEntry) -> None:
        """Keep the newest entry."""
        self._kept.append(entry)
        self.last = entry.seq

    def reach(self, number: int) -> bool:
        """Tell whether all entries after a number are kept, and it is not beyond the newest."""
        return self._dropped <= number <= self.last

    def after(self, number: int, most: int) -> tuple[UsageEntry, ...]:
        """Return the first entries after a number, `most` at the most."""
        skipped = max(number - self._dropped, 0)
        return tuple(self._kept[skipped : skipped + most])

    def confirm(self, number: int) -> None:
        """Note that the engine holds all up to a number."""
        self.confirmed = max(self.confirmed, number)

    def unconfirmed(self) -> list[UsageEntry]:
        """Return those that the engine may not hold."""
        return self._kept[self.confirmed - self._dropped :]

    def drop_confirmed(self) -> None:
        """Let go of those that the engine holds."""
        self._kept, self._dropped = self.unconfirmed(), self.confirmed

    def begin_after(self, number: int) -> None:
        """Note that all up to a number were dropped, before any is added."""
        self._dropped = self.last = self.confirmed = number
