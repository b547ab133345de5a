"""Hashing passwords (argon2id) and checking them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from vibe_app.errors import TooMany

AT_ONCE = 2
"""Passwords that are hashed at once: each takes a processor and 64 MiB for as long as it lasts."""
WAITING = 50
"""Passwords that may wait for their turn."""

_T = TypeVar("_T")


class Passwords:
    """The one place that hashes; each takes a good part of a second of a processor, in a thread.

    The threads are its own, so that a burst of sign-ins takes none that files or Git wait for.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._asked = 0

    async def hash(self, password: str) -> str:
        """Return what is kept of a password.

        Raises:
            TooMany: `WAITING` others wait already.
        """
        return await self._in_turn(lambda: self._hasher.hash(password))

    async def is_right(self, hashed: str | None, password: str) -> bool:
        """Tell whether it is the password that was hashed; None, for nobody's, takes as long and is never.

        Raises:
            TooMany: `WAITING` others wait already.
        """
        return await self._in_turn(lambda: self._check(hashed, password))

    async def _in_turn(self, work: Callable[[], _T]) -> _T:
        if self._asked >= AT_ONCE + WAITING:
            raise TooMany("Too many people sign in at this moment. Try again in 2 s.", retry_after=2)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._asked -= 1

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(16))

    def _check(self, hashed: str | None, password: str) -> bool:
        decoy = self._decoy  # made on the first call, whoever it is for: it costs as much as a check
        try:
            return self._hasher.verify(hashed or decoy, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False
