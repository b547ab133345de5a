"""What the board needs to know of people: their names, and whom it may name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.schema import View


class PersonView(View):
    """A person as a card names one."""

    id: UUID
    name: str


class Candidate(PersonView):
    """A person who could be added to a project."""

    email: str


class People(Protocol):
    """Who there is, in the board's own transactions."""

    async def names(self, db: AsyncSession, user_ids: Collection[UUID]) -> dict[UUID, str]:
        """Return the names of those of these people who have an account."""
        ...

    async def admins(self, db: AsyncSession, user_ids: Collection[UUID]) -> set[UUID]:
        """Return those of these people who administer the installation."""
        ...

    async def search(
        self, db: AsyncSession, text: str, but: Collection[UUID], limit: int
    ) -> list[tuple[UUID, str, str]]:
        """Return people whose name or address contains a text, by name: id, name and address."""
        ...
