"""Everything that is kept encrypted, as far as it can be said without opening it; for whoever looks after it.

Each has a place, a name for people: `project/<id>/<name>`, or `provider/<id>`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.configuration import providers, secrets
from vibe_app.configuration.keyring import Purpose, Sealed
from vibe_app.configuration.models import Provider, Secret
from vibe_app.db import Transaction, rows_changed


@dataclass(frozen=True)
class Kept:
    """One encrypted secret.

    Args:
        place: Its name for people.
        purpose: What kind it is.
        identity: What it is bound to.
        sealed: How it is kept.
        updated_at: When it was last given.
        table: Where it is kept.
        row: Which row of it holds it, as it was read.
    """

    place: str
    purpose: Purpose
    identity: str
    sealed: Sealed = field(repr=False)
    updated_at: datetime
    table: type[Secret] | type[Provider] = field(repr=False)
    row: ColumnElement[bool] = field(repr=False, compare=False)

    async def replace(self, db: AsyncSession, sealed: Sealed) -> bool:
        """Keep it sealed anew; tell whether it was still as it was read, and so was replaced."""
        new = update(self.table).where(self.row).values(key_id=sealed.key_id, data=sealed.data)
        return rows_changed(await db.execute(new)) == 1

    async def remove(self, db: Transaction) -> None:
        """Forget it; a provider stays, without its key."""
        if self.table is Secret:
            await db.execute(delete(Secret).where(self.row))
        else:
            await db.execute(update(Provider).where(self.row).values(key_id=None, data=None))
            db.announce(providers.TOPIC)


async def everything(db: AsyncSession) -> list[Kept]:
    """Return everything that is kept, by place."""
    ours = await db.scalars(select(Secret).order_by(col(Secret.project_id), col(Secret.name)))
    keys = await db.scalars(
        select(Provider).where(col(Provider.key_id).is_not(None)).order_by(col(Provider.id))
    )
    return [*(_of_project(row) for row in ours), *(_of_provider(row) for row in keys)]


def _of_project(row: Secret) -> Kept:
    return Kept(
        place=f"project/{row.project_id}/{row.name}",
        purpose=Purpose.PROJECT,
        identity=secrets.identity(row.project_id, row.name),
        sealed=Sealed(row.key_id, row.data),
        updated_at=row.updated_at,
        table=Secret,
        row=(col(Secret.project_id) == row.project_id)
        & (col(Secret.name) == row.name)
        & (col(Secret.key_id) == row.key_id)
        & (col(Secret.data) == row.data),
    )


def _of_provider(row: Provider) -> Kept:
    key_id, data = row.key_id or "", row.data or b""
    return Kept(
        place=f"provider/{row.id}",
        purpose=Purpose.PROVIDER,
        identity=providers.identity(row.id, row.base_url),
        sealed=Sealed(key_id, data),
        updated_at=row.updated_at,
        table=Provider,
        row=(col(Provider.id) == row.id) & (col(Provider.key_id) == key_id) & (col(Provider.data) == data),
    )
