"""The queries of projects and their members."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.projects.models import Member


async def project_role(db: AsyncSession, project_id: UUID, user_id: UUID) -> str | None:
    """Return the person's role in the project, None where there is none."""
    return await db.scalar(
        select(col(Member.role)).where(col(Member.project_id) == project_id, col(Member.user_id) == user_id)
    )
