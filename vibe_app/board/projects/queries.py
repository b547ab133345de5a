"""The queries of projects and their members."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.pages import window
from vibe_app.board.projects.keys import key_of
from vibe_app.board.projects.models import Member, Project
from vibe_app.db import octets

CARD_CHARS = 500
"""Characters of its description that a list of projects shows."""


async def project_role(db: AsyncSession, project_id: UUID, user_id: UUID) -> ProjectRole | None:
    """Return the person's role in the project, None where there is none."""
    return await db.scalar(
        select(col(Member.role)).where(col(Member.project_id) == project_id, col(Member.user_id) == user_id)
    )


async def roles(db: AsyncSession, project_ids: Collection[UUID], user_id: UUID) -> dict[UUID, ProjectRole]:
    """Return the person's role in each of the projects in which there is one."""
    rows = await db.execute(
        select(col(Member.project_id), col(Member.role)).where(
            col(Member.user_id) == user_id, col(Member.project_id).in_(project_ids)
        )
    )
    return dict(rows.all())


async def keys(db: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return what the names of cards of these projects begin with."""
    rows = await db.execute(
        select(col(Project.id), col(Project.key), col(Project.name)).where(col(Project.id).in_(project_ids))
    )
    return {project_id: key or key_of(name) for project_id, key, name in rows}


def visible_to(actor: Actor) -> list[ColumnElement[bool]]:
    """Return which projects somebody may see."""
    conditions: list[ColumnElement[bool]] = []
    if not actor.is_admin:
        mine = select(col(Member.project_id)).where(col(Member.user_id) == actor.user_id)
        conditions.append(col(Project.id).in_(mine))
    if actor.project_id is not None:
        conditions.append(col(Project.id) == actor.project_id)
    return conditions


async def projects_page(
    db: AsyncSession, where: Sequence[ColumnElement[bool]], page: int, page_size: int, after: str | None
) -> tuple[Sequence[Project], int, str | None]:
    """Return one page of projects by name, how many there are, and the cursor of what follows.

    Raises:
        InvalidRequest: `after` is no cursor.
    """
    order = (func.lower(col(Project.name)), col(Project.id))
    size = octets(col(Project.description))
    ids, following = await window(db, where, order, str, size, page, page_size, after)
    total = await db.scalar(select(func.count()).select_from(Project).where(*where))
    rows = await db.scalars(select(Project).where(col(Project.id).in_(ids)).order_by(*order))
    return rows.all(), total or 0, following


async def cards(db: AsyncSession, where: Sequence[ColumnElement[bool]], limit: int) -> Sequence[Any]:
    """Return what lists show of the first projects by name: the columns of a card."""
    rows = await db.execute(
        select(
            col(Project.id),
            col(Project.name),
            col(Project.key),
            func.substr(col(Project.description), 1, CARD_CHARS).label("description"),
            col(Project.session_limit),
            col(Project.created_at),
            col(Project.updated_at),
        )
        .where(*where)
        .order_by(func.lower(col(Project.name)), col(Project.id))
        .limit(limit)
    )
    return rows.all()
