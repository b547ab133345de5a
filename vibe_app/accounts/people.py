"""What others may know of people, read in their own transactions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.models import User
from vibe_app.accounts.roles import UserRole
from vibe_app.db import contains


class PeopleRows:
    """The people of the installation, for the board."""

    async def names(self, db: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of those of these people who have an account."""
        if not user_ids:
            return {}
        rows = await db.execute(select(col(User.id), col(User.name)).where(col(User.id).in_(user_ids)))
        return dict(rows.all())

    async def admins(self, db: AsyncSession, user_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these people who administer the installation."""
        query = select(col(User.id)).where(col(User.id).in_(user_ids), col(User.role) == UserRole.ADMIN.value)
        return set(await db.scalars(query))

    async def search(
        self, db: AsyncSession, text: str, but: Collection[UUID], limit: int
    ) -> list[tuple[UUID, str, str]]:
        """Return people whose name or address contains a text, by name: id, name and address.

        Args:
            db: Where to look.
            text: Empty for all.
            but: Who is left out.
            limit: How many at most.
        """
        query = select(col(User.id), col(User.name), col(User.email)).where(col(User.id).not_in(but))
        if text:
            query = query.where(or_(contains(col(User.name), text), contains(col(User.email), text)))
        rows = await db.execute(query.order_by(func.lower(col(User.name)), col(User.id)).limit(limit))
        return list(rows.all())
