"""The credential of a project's repository, as one of its secrets."""

from __future__ import annotations

import json
from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.addresses import Credential
from vibe_app.configuration.secrets import Secrets

_NAME = "repository"


class Credentials:
    """Keeps one credential for each project, in the caller's transaction.

    Args:
        secrets: Where they are kept.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def put(self, db: AsyncSession, project_id: UUID, credential: Credential | None) -> None:
        """Keep a credential in place of the one before; None forgets it."""
        if credential is None:
            return await self._secrets.remove(db, project_id, _NAME)
        await self._secrets.put(db, project_id, _NAME, json.dumps(credential.packed))

    async def get(self, db: AsyncSession, project_id: UUID) -> Credential | None:
        """Return a project's credential.

        Raises:
            Unavailable: It was kept under another key of the installation.
        """
        value = await self._secrets.get(db, project_id, _NAME)
        return Credential.unpacked(json.loads(value)) if value else None

    async def having(self, db: AsyncSession, project_ids: Collection[UUID]) -> set[UUID]:
        """Return those of the projects that have one."""
        return await self._secrets.having(db, project_ids, _NAME)
