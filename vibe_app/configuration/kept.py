"""Everything that is kept encrypted, as far as it can be said without opening it; for whoever looks after it.

Each has a place, a name for people: `project/<id>/<name>`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.configuration.keyring import Purpose, Sealed
from vibe_app.configuration.models import Secret
from vibe_app.configuration.secrets import identity
from vibe_app.db import rows_changed


@dataclass(frozen=True)
class Kept:
    """One encrypted secret.

    Args:
        place: Its name for people.
        purpose: What kind it is.
        identity: What it is bound to.
        sealed: How it is kept.
        updated_at: When it was last given.
        row: Which row holds it, as it was read.
    """

    place: str
    purpose: Purpose
    identity: str
    sealed: Sealed = field(repr=False)
    updated_at: datetime
    row: ColumnElement[bool] = field(repr=False, compare=False)

    async def replace(self, db: AsyncSession, sealed: Sealed) -> bool:
        """Keep it sealed anew; tell whether it was still as it was read, and so was replaced."""
        new = update(Secret).where(self.row).values(key_id=sealed.key_id, data=sealed.data)
        return rows_changed(await db.execute(new)) == 1

    async def remove(self, db: AsyncSession) -> None:
        """Forget it."""
        await db.execute(delete(Secret).where(self.row))


async def everything(db: AsyncSession) -> list[Kept]:
    """Return everything that is kept, by place."""
    rows = await db.scalars(select(Secret).order_by(col(Secret.project_id), col(Secret.name)))
    return [
        Kept(
            place=f"project/{row.project_id}/{row.name}",
            purpose=Purpose.PROJECT,
            identity=identity(row.project_id, row.name),
            sealed=Sealed(row.key_id, row.data),
            updated_at=row.updated_at,
            row=(col(Secret.project_id) == row.project_id)
            & (col(Secret.name) == row.name)
            & (col(Secret.key_id) == row.key_id)
            & (col(Secret.data) == row.data),
        )
        for row in rows
    ]
