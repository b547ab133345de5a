"""Secrets of projects: written over the doors, read only where they are used, encrypted at rest."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.configuration.keyring import Keyring, Purpose, Sealed, Unreadable
from vibe_app.configuration.models import Secret
from vibe_app.errors import Unavailable
from vibe_app.wire import now


class Secrets:
    """Keeps secrets in the caller's transaction.

    Args:
        keyring: The installation's keys.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def put(self, db: AsyncSession, project_id: UUID, name: str, value: str) -> None:
        """Keep a secret in place of what had this name; its project's row must be there."""
        sealed = self._keyring.seal(Purpose.PROJECT, identity(project_id, name), value)
        row = Secret(
            project_id=project_id, name=name, key_id=sealed.key_id, data=sealed.data, updated_at=now()
        )
        await db.merge(row)

    async def get(self, db: AsyncSession, project_id: UUID, name: str) -> str | None:
        """Return a secret, or None where there is none of this name.

        Raises:
            Unavailable: It was encrypted with another key, or is damaged.
        """
        row = await db.get(Secret, (project_id, name))
        if row is None:
            return None
        try:
            sealed = Sealed(row.key_id, row.data)
            return self._keyring.open(Purpose.PROJECT, identity(project_id, name), sealed)
        except Unreadable:
            raise Unavailable(
                "The project's stored credential cannot be read, as it was kept under another "
                "VIBE_SECRET_KEY: give it again in the project's settings.",
                "secret_unreadable",
            ) from None

    async def remove(self, db: AsyncSession, project_id: UUID, name: str) -> None:
        """Forget a secret, if it is there."""
        await db.execute(delete(Secret).where(col(Secret.project_id) == project_id, col(Secret.name) == name))

    async def having(self, db: AsyncSession, project_ids: Collection[UUID], name: str) -> set[UUID]:
        """Return those of the projects that have a secret of this name."""
        return set(
            await db.scalars(
                select(col(Secret.project_id)).where(
                    col(Secret.project_id).in_(project_ids), col(Secret.name) == name
                )
            )
        )


def identity(project_id: UUID, name: str) -> str:
    """Return what a project's secret is bound to."""
    return f"{project_id} {name}"
