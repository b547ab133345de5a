"""A reader of `output` with a bad line: cut at random, it goes on with `Last-Event-ID`, on any replica."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import httpx

Seen = tuple[int, str, str, str]
"""An event's number, type, text and time stamp, as they came."""

_SILENCE = httpx.Timeout(20.0, connect=3.0)
_AGAIN = 0.2


@dataclass
class Reader:
    """Follows one session to its end.

    Args:
        client: Makes the connections; it signs the reader in.
        pick: Chooses where to connect next: the address of a replica's API.
        path: The path of `output`.
        session_id: Whose output.
        dice: Decide when to cut.
        steadiness: The share of connections that the reader leaves alone.
        by_bytes: The share of the others that are cut after so many bytes, not after some time.
        most_bytes, most_seconds: Where those are cut at the latest.

    Attributes:
        seen: Every whole event that came, in order.
        cuts: How many connections the reader cut itself.
        broken: How many were cut by the other side, or silent for too long.
        troubles: What no reader should meet.
    """

    client: httpx.AsyncClient
    pick: Callable[[], str]
    path: str
    session_id: str
    dice: Random
    steadiness: float = 0.2
    by_bytes: float = 0.6
    most_bytes: int = 6000
    most_seconds: float = 3.0
    seen: list[Seen] = field(default_factory=list)
    cuts: int = 0
    broken: int = 0
    troubles: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The number of the last event that came."""
        return self.seen[-1][0] if self.seen else 0

    @property
    def done(self) -> bool:
        """Whether the session's last event came."""
        return bool(self.seen) and self.seen[-1][1] == "done"

    async def follow(self) -> None:
        """Read, cut and connect again until the session is over."""
        while not self.done:
            await self.connect()

    async def connect(self) -> None:
        """Read over one connection until it is cut, by whomever."""
        headers = {"Last-Event-ID": str(self.last)} if self.seen else {}
        params = {"session_id": self.session_id}
        try:
            async with self.client.stream(
                "GET", self.pick() + self.path, params=params, headers=headers, timeout=_SILENCE
            ) as answer:
                if answer.status_code == 200:
                    await self._read(answer)
                    return
                await answer.aread()
                if answer.status_code != 503:
                    self.troubles.append(
                        f"the reader of {self.session_id} at {self.last} was answered"
                        f" {answer.status_code}: {answer.text[:200]}"
                    )
        except httpx.TransportError:
            self.broken += 1
        await asyncio.sleep(_AGAIN)

    async def _read(self, answer: httpx.Response) -> None:
        """Take what comes until the dice cut it."""
        how, rest = self.dice.random(), float("inf")
        seconds = None
        if how > self.steadiness:
            if self.dice.random() < self.by_bytes:
                rest = self.dice.randrange(1, self.most_bytes)
            else:
                seconds = self.dice.uniform(0.01, self.most_seconds)
        received = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for chunk in answer.aiter_raw():
                    taken = chunk if len(chunk) <= rest else chunk[: int(rest)]
                    rest -= len(taken)
                    # Only whole events count, as for a browser: what is cut off comes again.
                    *frames, received = (received + taken).split(b"\n\n")
                    for frame in frames:
                        self._take(frame)
                    if rest <= 0:
                        break
                else:
                    self._check_end(received)
                    return
        self.cuts += 1

    def _check_end(self, rest: bytes) -> None:
        if rest.strip() and not rest.startswith(b":"):
            self.troubles.append(f"the output of {self.session_id} ended in mid-event: {rest[:80]!r}")

    def _take(self, frame: bytes) -> None:
        seq, data = 0, b""
        for line in frame.split(b"\n"):
            name, _, value = line.partition(b": ")
            if name == b"id":
                seq = int(value)
            elif name == b"data":
                data = value
        if not data:
            return
        body = json.loads(data)
        if seq != self.last + 1:
            self.troubles.append(f"the reader of {self.session_id} got event {seq} after {self.last}")
        self.seen.append((seq, body["type"], body["text"], body["timestamp"]))
