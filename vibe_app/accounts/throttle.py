"""How long to wait after failed attempts to sign in, so that guessing is slow and nobody locks others out.

Whoever guesses from one place waits by themselves: failures count for the address together with the network
they come from, 5 free ones and then up to 15 min. Networks and addresses have counters of their own against
many addresses from one place, and one address from many places. Those belong to a crowd: they have ten times
the patience, never ask for more than a minute, and do not bind a place from which the address has signed in.
A browser that has signed in carries a mark of its own and waits for nothing but its own failures.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.models import LoginThrottle
from vibe_app.errors import TooMany
from vibe_app.wire import now

FREE_FAILURES = 5
"""Failed attempts before a wait; each further one doubles it, from 2 s to 15 min."""
CROWD = 10
"""How many failures count as one for a network or an address."""
LONGEST = 900.0
LONGEST_OF_A_CROWD = 60.0
"""Seconds of the longest wait, of somebody and of a network or an address."""
REMEMBERED = timedelta(days=90)
"""For how long a place counts as one from which an address has signed in."""

_CROWDS = ("host:", "email:")
_KNOWN = "known:"


@dataclass(frozen=True)
class Attempt:
    """Somebody who gives an address and a password.

    Args:
        email: The address, as it is compared.
        host: The network address that the server sees, empty where there is none.
        mark: The mark of a browser that has signed in to this address before.
    """

    email: str
    host: str = ""
    mark: str = ""

    @property
    def own(self) -> str:
        """The key of this one's own failures."""
        return f"browser:{self.mark}" if self.mark else f"pair:{self._place}"

    @property
    def known(self) -> str:
        """The key that says that the address has signed in from this network."""
        return f"{_KNOWN}{self._place}"

    @property
    def _place(self) -> str:
        # Hashed, as both together may be longer than a key.
        return hashlib.sha256(f"{self.email} {network(self.host)}".encode()).hexdigest()

    @property
    def crowds(self) -> list[str]:
        """The keys that others share."""
        return [f"email:{self.email}", *([f"host:{network(self.host)}"] if self.host else [])]


def network(host: str) -> str:
    """Return what one person has of network addresses: one of IPv4, 64 bits of IPv6 (RFC 6177)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


async def check(db: AsyncSession, attempt: Attempt) -> None:
    """Return if this one has not to wait.

    Raises:
        TooMany: It has; says how long.
    """
    keys = [attempt.own]
    if not attempt.mark and await db.get(LoginThrottle, attempt.known) is None:
        keys += attempt.crowds
    await check_keys(db, *keys)


async def check_keys(db: AsyncSession, *keys: str) -> None:
    """Return if nobody has to wait for one of these.

    Raises:
        TooMany: Somebody has; says how long.
    """
    for row in await db.scalars(select(LoginThrottle).where(col(LoginThrottle.key).in_(keys))):
        left = _wait_after(row) - (now() - row.last_failure_at).total_seconds()
        if left > 0:
            seconds = int(left) + 1
            raise TooMany(f"Too many failed attempts. Try again in {seconds} s.", retry_after=seconds)


async def failed(db: AsyncSession, attempt: Attempt) -> None:
    """Count a failed attempt; a marked browser's is its own affair."""
    await count(db, attempt.own, *([] if attempt.mark else attempt.crowds))


async def succeeded(db: AsyncSession, attempt: Attempt) -> None:
    """Forget this one's failures, and remember from where it came."""
    await forget(db, attempt.own)
    await db.merge(LoginThrottle(key=attempt.known, failures=0, last_failure_at=now()))


async def forget(db: AsyncSession, key: str) -> None:
    """Forget the failures of a key."""
    await db.execute(delete(LoginThrottle).where(col(LoginThrottle.key) == key))


async def count(db: AsyncSession, *keys: str) -> None:
    """Count a failed attempt for each of these."""
    for key in keys:
        row = await db.get(LoginThrottle, key)
        if row is None:
            row = LoginThrottle(key=key)
            db.add(row)
        elif (now() - row.last_failure_at) > timedelta(hours=1):
            row.failures = 0
        row.failures += 1
        row.last_failure_at = now()
    await db.flush()
    known = col(LoginThrottle.key).startswith(_KNOWN, autoescape=True)
    old = col(LoginThrottle.last_failure_at)
    await db.execute(
        delete(LoginThrottle).where((~known & (old < now() - timedelta(days=1))) | (old < now() - REMEMBERED))
    )


def password_key(login_id: UUID | None, user_id: UUID) -> str:
    """Return the key of one login's failures to give the current password: nobody else waits for them."""
    return f"password:{login_id or user_id}"


def _wait_after(row: LoginThrottle) -> float:
    crowd = row.key.startswith(_CROWDS)
    failures = row.failures // CROWD if crowd else row.failures
    if failures < FREE_FAILURES:
        return 0.0
    longest = LONGEST_OF_A_CROWD if crowd else LONGEST
    # The power is bounded as well: somebody may have failed a thousand times.
    return min(2.0 ** min(failures - FREE_FAILURES + 1, 20), longest)
