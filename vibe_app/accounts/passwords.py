"""Hashing passwords (argon2id) and checking them."""

from __future__ import annotations

import asyncio
import secrets
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """The one place that hashes; each takes a good part of a second of a processor, in a thread."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()

    async def hash(self, password: str) -> str:
        """Return what is kept of a password."""
        return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(self, hashed: str | None, password: str) -> bool:
        """Tell whether it is the password that was hashed; None, for nobody's, takes as long and is never."""
        return await asyncio.to_thread(self._check, hashed, password)

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(16))

    def _check(self, hashed: str | None, password: str) -> bool:
        decoy = self._decoy  # made on the first call, whoever it is for: it costs as much as a check
        try:
            return self._hasher.verify(hashed or decoy, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False
