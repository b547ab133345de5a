"""The bus of changes: who waits for a topic is woken when it has changed.

A message is only a hint: every listener re-reads, and re-reads at times unasked. Whoever waits for a
topic that ends with a star hears of each that begins so, by its own name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager


class Subscription:
    """What one listener has not yet seen: a set of topics, so that a burst is one wake-up."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._beginnings = tuple(topic[:-1] for topic in self.topics if topic.endswith("*"))
        self._changed: set[str] = set()
        self._wake = asyncio.Event()

    def notify(self, topics: Iterable[str]) -> None:
        """Remember the topics that this listener asked for, and wake it."""
        hit = {each for each in topics if each in self.topics or each.startswith(self._beginnings)}
        if hit:
            self._changed |= hit
            self._wake.set()

    async def wait(self, seconds: float | None = None) -> set[str]:
        """Return the topics changed since the last call; an empty set after `seconds` of silence."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return set()
        self._wake.clear()
        changed, self._changed = self._changed, set()
        return changed


class Bus:
    """The bus of changes inside one process; `notify` carries it to other replicas."""

    def __init__(self) -> None:
        self._listeners: set[Subscription] = set()

    def publish(self, topics: Iterable[str]) -> None:
        """Wake everyone who listens to one of the topics."""
        topics = set(topics)
        for listener in self._listeners:
            listener.notify(topics)

    def resync(self) -> None:
        """Wake everyone as if each of their topics had changed: messages may have been missed."""
        for listener in self._listeners:
            listener.notify(listener.topics)

    @contextmanager
    def subscribe(self, *topics: str) -> Generator[Subscription]:
        """Listen to some topics for as long as the block lasts."""
        listener = Subscription(topics)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
