"""Secrets of projects: written over the doors, read only where they are used.

Each is encrypted with a key that is derived from the installation's signing key, and bound to
its project and name: a row that is moved cannot be read. The id of the key stands beside it,
so that a later version can hold several keys and tell which rows are still of an old one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.configuration.models import Secret
from vibe_app.errors import Unavailable
from vibe_app.wire import now

# RFC 5869: the context keeps this key apart from whatever else is derived from the same one.
_CONTEXT = b"vibe secrets 1"
# Bytes. NIST SP 800-38D: a random nonce of 96 bits serves 2^32 messages of one key.
_NONCE = 12


class Secrets:
    """Keeps secrets in the caller's transaction.

    Args:
        key: The installation's signing key.
    """

    def __init__(self, key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=_CONTEXT).derive(key.encode())
        self._cipher = AESGCM(derived)
        self.key_id = hashlib.sha256(_CONTEXT + derived).hexdigest()[:16]

    async def put(self, db: AsyncSession, project_id: UUID, name: str, value: str) -> None:
        """Keep a secret in place of what had this name; its project's row must be there."""
        nonce = os.urandom(_NONCE)
        data = nonce + self._cipher.encrypt(nonce, value.encode(), _bound(project_id, name))
        row = Secret(project_id=project_id, name=name, key_id=self.key_id, data=data, updated_at=now())
        await db.merge(row)

    async def get(self, db: AsyncSession, project_id: UUID, name: str) -> str | None:
        """Return a secret, or None where there is none of this name.

        Raises:
            Unavailable: It was encrypted with another key, or is damaged.
        """
        row = await db.get(Secret, (project_id, name))
        if row is None:
            return None
        nonce, encrypted = row.data[:_NONCE], row.data[_NONCE:]
        try:
            if row.key_id == self.key_id:
                return self._cipher.decrypt(nonce, encrypted, _bound(project_id, name)).decode()
        except InvalidTag:
            pass
        raise Unavailable(
            "The project's stored credential cannot be read, as it was kept under another VIBE_SECRET_KEY: "
            "give it again in the project's settings.",
            "secret_unreadable",
        )

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


def _bound(project_id: UUID, name: str) -> bytes:
    return f"{project_id} {name}".encode()
