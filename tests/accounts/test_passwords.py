"""A burst of sign-ins takes two threads, and nobody else's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from vibe_app.accounts.passwords import AT_ONCE, WAITING, Passwords
from vibe_app.errors import TooMany


class Counting:
    """Stands for the hasher: each call lasts until the test opens the gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.most = self._now = 0
        self._lock = threading.Lock()

    def hash(self, password: str) -> str:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.gate.wait(30)
        with self._lock:
            self._now -= 1
        return password


async def test_two_are_hashed_at_once_and_no_more_than_fifty_wait() -> None:
    passwords, counting = Passwords(), Counting()
    passwords._hasher = counting  # type: ignore[assignment]
    burst = [asyncio.create_task(passwords.hash(str(number))) for number in range(200)]
    try:
        # Those too many are refused at once; another thread is free meanwhile.
        refused, _ = await asyncio.wait(burst, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(each.exception(), TooMany) for each in refused)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
    finally:
        counting.gate.set()
    outcomes = await asyncio.gather(*burst, return_exceptions=True)
    late = [each for each in outcomes if isinstance(each, TooMany)]
    assert len(late) == 200 - AT_ONCE - WAITING
    assert {each.retry_after for each in late} == {2}
    assert counting.most == AT_ONCE
    assert await passwords.hash("again") == "again"


async def test_who_gives_up_waiting_makes_room() -> None:
    passwords, counting = Passwords(), Counting()
    passwords._hasher = counting  # type: ignore[assignment]
    waiting = [asyncio.create_task(passwords.hash(str(number))) for number in range(AT_ONCE + WAITING)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await passwords.hash("one more")
        waiting[-1].cancel()
        await asyncio.wait({waiting[-1]})
        waiting.append(asyncio.create_task(passwords.hash("one more")))
    finally:
        counting.gate.set()
    assert (await asyncio.gather(*waiting, return_exceptions=True))[-1] == "one more"
