"""The bus of changes across replicas: PostgreSQL's LISTEN and NOTIFY.

A transaction sends its topics as one message, delivered when it commits and not
if it does not. What was sent while a listener was away is lost to it, so each
time it is back it says "everything may have changed", and everyone re-reads.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import aclosing

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.aio import BROKEN

log = logging.getLogger(__name__)

CHANNEL = "vibe_changes"
LONGEST = 7000
"""Bytes of one message; PostgreSQL refuses 8000 and more."""


def _payloads(sender: str, topics: Iterable[str]) -> Iterator[str]:
    batch: list[str] = [sender]
    size = len(sender)
    for topic in sorted(topics):
        length = len(json.dumps(topic)) + 2
        if size + length > LONGEST:
            yield json.dumps(batch)
            batch, size = [sender], len(sender)
        batch.append(topic)
        size += length
    if len(batch) > 1:
        yield json.dumps(batch)


class Replicas:
    """Tells the other replicas of the app what changed here, and hears what changed there.

    Args:
        url: The SQLAlchemy address of the database; it must say how a vanished server is noticed, since a
            listener never asks.
        publish: Takes the topics of a message.
        resync: Called after each connect, since messages may have been missed.
    """

    def __init__(self, url: str, publish: Callable[[set[str]], None], resync: Callable[[], None]) -> None:
        self._address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._name = secrets.token_hex(8)
        self._publish = publish
        self._resync = resync
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    async def tell(self, db: AsyncSession, topics: Collection[str]) -> None:
        """Send the topics with this transaction's commit."""
        for payload in _payloads(self._name, topics):
            await db.execute(
                text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload}
            )

    def open(self) -> None:
        """Start to listen; the connection is made, and made again, in the background."""
        self._task = asyncio.create_task(self._forever(), name="listen for changes")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _forever(self) -> None:
        """Listen again whenever listening ends, however it ends."""
        pause = 0.2
        while True:
            listening = asyncio.create_task(self._listen())
            try:
                await asyncio.wait({listening})
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            pause = 0.2 if self.connected.is_set() else min(pause * 2, 5.0)
            self.connected.clear()
            error = None if listening.cancelled() else listening.exception()
            if error is None or isinstance(error, psycopg.Error | OSError | TimeoutError):
                log.warning("changes of other replicas are not heard for a moment: %s", error)
            else:
                BROKEN["listen for changes"] += 1
                log.error("the listener broke and is started again", exc_info=error)
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._address, autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self.connected.set()
            self._resync()
            async with aclosing(connection.notifies()) as messages:
                async for message in messages:
                    sender, topics = _read(message.payload)
                    if sender != self._name:
                        self._publish(topics)


def _read(payload: str) -> tuple[str, set[str]]:
    """Return a message's sender and topics; one that is none of ours has no topics."""
    try:
        sender, *topics = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return "", set()
    return str(sender), {topic for topic in topics if isinstance(topic, str)}
