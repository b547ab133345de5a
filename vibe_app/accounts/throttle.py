"""How long to wait after failed attempts to sign in."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.models import LoginThrottle
from vibe_app.errors import TooMany
from vibe_app.wire import now

FREE_FAILURES = 5
"""Failed attempts before a wait; each further one doubles it, from 2 s to 15 min."""


async def check(db: AsyncSession, keys: list[str]) -> None:
    """Return if nobody of these has to wait.

    Raises:
        TooMany: One of them has; says how long.
    """
    rows = await db.scalars(select(LoginThrottle).where(col(LoginThrottle.key).in_(keys)))
    for row in rows:
        # A host may serve many people: it has ten times the patience of one address.
        counted = row.failures // 10 if row.key.startswith("host:") else row.failures
        left = _wait_after(counted) - (now() - row.last_failure_at).total_seconds()
        if left > 0:
            seconds = int(left) + 1
            raise TooMany(f"Too many failed attempts. Try again in {seconds} s.", retry_after=seconds)


async def count_failure(db: AsyncSession, keys: list[str]) -> None:
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
    await db.execute(
        delete(LoginThrottle).where(col(LoginThrottle.last_failure_at) < now() - timedelta(days=1))
    )


def _wait_after(failures: int) -> float:
    if failures < FREE_FAILURES:
        return 0.0
    return min(2.0 ** (failures - FREE_FAILURES + 1), 900.0)
