"""One-time links by which people set their password: a new person's first one, or another for one forgotten.

Whoever holds a link may set the password once, within a day. It is shown once and kept as a hash.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.models import PasswordLink, User
from vibe_app.db import Transaction
from vibe_app.errors import NotFound
from vibe_app.wire import now

LIFETIME = timedelta(hours=24)
_ENDED = "This link was used already, or has ended. Ask an admin of this installation for a new one."


@dataclass(frozen=True)
class LinkView:
    """A link right after it was made: the only time that its token is shown.

    Args:
        token: What whoever sets the password has to show.
        expires_at: Until when.
    """

    token: str
    expires_at: datetime

    @property
    def path(self) -> str:
        """Where the link leads, on the board's own address."""
        return f"/reset?token={self.token}"


async def make(db: Transaction, user_id: UUID) -> LinkView:
    """Make a person's link; those before it end."""
    own, over = col(PasswordLink.user_id) == user_id, col(PasswordLink.expires_at) < now()
    await db.execute(delete(PasswordLink).where(own | over))
    token = secrets.token_urlsafe(32)
    kept = PasswordLink(user_id=user_id, token_hash=_digest(token), expires_at=now() + LIFETIME)
    db.add(kept)
    await db.flush()
    return LinkView(token, kept.expires_at)


async def owner(db: AsyncSession, token: str) -> User:
    """Return whose link this is.

    Raises:
        NotFound: It is none, it was used, or it has ended.
    """
    user = await db.scalar(
        select(User)
        .join(PasswordLink, col(PasswordLink.user_id) == col(User.id))
        .where(col(PasswordLink.token_hash) == _digest(token), col(PasswordLink.expires_at) > now())
    )
    if user is None:
        raise NotFound(_ENDED, "link_ended")
    return user


async def use(db: Transaction, token: str) -> User:
    """End a link, and return whose it was: of two at once, one is refused.

    Raises:
        NotFound: As `owner`.
    """
    user = await owner(db, token)
    gone = delete(PasswordLink).where(col(PasswordLink.token_hash) == _digest(token))
    if await db.scalar(gone.returning(col(PasswordLink.user_id))) is None:
        raise NotFound(_ENDED, "link_ended")
    return user


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
