"""The line of sessions that wait: what each waits for, and its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.queries import holds_place, live
from vibe_app.db import db_clock


async def queue_positions(db: AsyncSession, installation_limit: int) -> dict[UUID, tuple[int | None, str]]:
    """Return for every waiting session its place in line, if it is in line, and what it waits for.

    One that waits for its project counts its place among the project's own,
    one that waits for the installation, or for a workspace to give its place up, among all.
    """
    clock = await db.scalar(select(db_clock())) or 0.0
    waiting = await _waiting(db)
    if not waiting:
        return {}
    held = await _held(db)
    limits = await _limits(db, {row.project_id for row in waiting})
    full = sum(held.values()) >= installation_limit
    result: dict[UUID, tuple[int | None, str]] = {}
    in_project: dict[UUID, int] = {}
    in_all = 0
    for row in waiting:
        if (words := _apart(row, clock)) is not None:
            result[row.id] = (None, words)
        elif row.status is SessionStatus.PENDING or row.wait_from is not None:
            in_all += 1
            place = in_project[row.project_id] = in_project.get(row.project_id, 0) + 1
            if held.get(row.project_id, 0) >= limits.get(row.project_id, 1):
                result[row.id] = (place, "project limit")
            elif full:
                result[row.id] = (in_all, "installation limit")
            elif row.lacks_place:
                result[row.id] = (in_all, "workspace limit")
            else:
                result[row.id] = (None, "workspace starting")
    return result


def _apart(row: Any, clock: float) -> str | None:
    """Say what a session waits for that stands in no line; None where it does."""
    if row.owner is None and row.wait_from is not None and row.not_before > clock:
        return f"the provider until {datetime.fromtimestamp(row.not_before, UTC):%H:%M} UTC"
    if row.not_before > clock:
        return f"retry in {max(1, round(row.not_before - clock))} s"
    return "workspace starting" if row.owner is not None else None


async def _waiting(db: AsyncSession) -> Sequence[Any]:
    rows = await db.execute(
        select(
            col(Session.id),
            col(Session.project_id),
            col(Session.owner),
            col(Session.not_before),
            col(Session.status),
            col(Session.wait_from),
            col(Session.lacks_place),
        )
        .where(live, or_(col(Session.status) == SessionStatus.PENDING, col(Session.owner).is_(None)))
        .order_by(col(Session.priority).desc(), col(Session.created_at), col(Session.id))
    )
    return rows.all()


async def _held(db: AsyncSession) -> dict[UUID, int]:
    rows = await db.execute(
        select(col(Session.project_id), func.count()).where(holds_place).group_by(col(Session.project_id))
    )
    return dict(rows.all())


async def _limits(db: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, int]:
    rows = await db.execute(
        select(col(Project.id), col(Project.session_limit)).where(col(Project.id).in_(project_ids))
    )
    return dict(rows.all())
