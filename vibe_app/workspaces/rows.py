"""Every query on workspaces' rows: what is wanted, how they are, and what is to be done."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.projects.schemas import WorkspaceView
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.db import Transaction, db_clock, rows_changed
from vibe_app.wire import now
from vibe_app.workspaces.models import Installation, Workspace
from vibe_app.workspaces.states import Desired, WorkspaceStatus

TOPIC = "workspaces"
"""Announced when there may be work for the reconciler."""


def topic(project_id: UUID) -> str:
    """What is announced when a workspace's row changes."""
    return f"workspace:{project_id}"


def announce(db: Transaction, project_id: UUID) -> None:
    """Announce a change for the reconciler, for who waits, and for the boards."""
    # The queue, since a session may wait for the place of another workspace.
    db.announce(TOPIC, topic(project_id), f"project:{project_id}", "projects", "queue")


class WorkspaceRows:
    """What the board needs of workspaces, in its own transactions."""

    async def views(self, db: AsyncSession, projects: Collection[UUID]) -> dict[UUID, WorkspaceView]:
        """Return how the workspaces of these projects are; one that never was is stopped."""
        rows = await db.scalars(select(Workspace).where(col(Workspace.project_id).in_(projects)))
        found = {
            row.project_id: WorkspaceView(WorkspaceStatus(row.status), row.reason, list(row.notices or ()))
            for row in rows
        }
        return {
            project: found.get(project, WorkspaceView(WorkspaceStatus.STOPPED, None)) for project in projects
        }

    async def erase(self, db: Transaction, project_id: UUID) -> None:
        """Want nothing left of a project's workspace. The row stays until that is so."""
        await want(db, project_id, Desired.ERASED)

    async def forgive(self, db: Transaction, project_id: UUID) -> None:
        """Take a failure back: what it came of may be mended."""
        done = await db.execute(
            update(Workspace)
            .where(col(Workspace.project_id) == project_id, col(Workspace.status) == WorkspaceStatus.FAILED)
            .values(status=WorkspaceStatus.STOPPED, desired=Desired.STOPPED, reason=None, failure=None)
        )
        if rows_changed(done):
            announce(db, project_id)


async def read(db: AsyncSession, project_id: UUID) -> Workspace | None:
    """Return a workspace's row, as it is now."""
    return await db.get(Workspace, project_id, populate_existing=True)


async def want(db: Transaction, project_id: UUID, desired: Desired, *, restart: bool = False) -> None:
    """Write what is wanted of a workspace; it is asked for anew even where the same was wanted before.

    What is to be erased stays so.
    """
    insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    values: dict[str, Any] = {"desired": desired, "restart": restart, "used_at": now()}
    new = insert(Workspace).values(
        project_id=project_id,
        generation=1,
        observed=0,
        status=WorkspaceStatus.STOPPED,
        epoch=0,
        outdated=False,
        trouble_final=False,
        **values,
    )
    if restart:
        # Nobody is to be sent to what is about to end.
        values |= {"status": WorkspaceStatus.STARTING, "reason": "It is started anew", "address": None}
    await db.execute(
        new.on_conflict_do_update(
            index_elements=["project_id"],
            set_={**values, "generation": Workspace.generation + 1, "erase_at": None},
            where=col(Workspace.desired) != Desired.ERASED,
        )
    )
    announce(db, project_id)


async def wish(
    db: Transaction, project_id: UUID, person: UUID | None, since: datetime, seconds: float
) -> None:
    """Write that somebody wants a workspace which has no place to run, and counts as in line for a while.

    Args:
        db: The transaction.
        project_id: Whose workspace.
        person: Who wants it.
        since: Since when.
        seconds: For how long it counts, unless it is written again.
    """
    insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    values: dict[str, Any] = {
        "wished_by": person,
        "wished_at": since,
        "wished_until": db_clock() + seconds,
    }
    new = insert(Workspace).values(
        project_id=project_id,
        desired=Desired.STOPPED,
        generation=0,
        observed=0,
        status=WorkspaceStatus.STOPPED,
        epoch=0,
        restart=False,
        outdated=False,
        trouble_final=False,
        used_at=now(),
        **values,
    )
    await db.execute(new.on_conflict_do_update(index_elements=["project_id"], set_=values))


async def note_use(db: Transaction, project_id: UUID) -> None:
    """Write that somebody has just asked for a workspace."""
    await db.execute(update(Workspace).where(col(Workspace.project_id) == project_id).values(used_at=now()))


async def installation(db: AsyncSession) -> UUID:
    """Return what names this installation."""
    return (await db.scalars(select(col(Installation.id)))).one()


def _unsettled() -> ColumnElement[bool]:
    wanted, status = col(Workspace.desired), col(Workspace.status)
    open_wish = col(Workspace.generation) != col(Workspace.observed)
    up = (wanted == Desired.RUNNING) & (
        open_wish | status.in_([WorkspaceStatus.STOPPED, WorkspaceStatus.STARTING])
    )
    down = (wanted == Desired.STOPPED) & (
        open_wish | status.in_([WorkspaceStatus.READY, WorkspaceStatus.STARTING])
    )
    gone = (wanted == Desired.ERASED) & or_(
        col(Workspace.erase_at).is_(None), col(Workspace.erase_at) <= now()
    )
    return up | down | gone


async def unsettled(db: AsyncSession, project_id: UUID | None = None) -> list[Workspace]:
    """Return the workspaces of which something else is wanted than is so; of one project or of all."""
    query = select(Workspace).where(_unsettled())
    if project_id is not None:
        query = query.where(col(Workspace.project_id) == project_id)
    return list(await db.scalars(query))


async def running(db: AsyncSession) -> list[Workspace]:
    """Return the workspaces that are wanted and ready."""
    query = select(Workspace).where(
        col(Workspace.desired) == Desired.RUNNING, col(Workspace.status) == WorkspaceStatus.READY
    )
    return list(await db.scalars(query))


async def awake(db: AsyncSession, projects: Collection[UUID]) -> set[UUID]:
    """Return those of some projects whose workspace runs, or is about to."""
    query = select(col(Workspace.project_id)).where(
        col(Workspace.project_id).in_(projects),
        col(Workspace.desired) == Desired.RUNNING,
        col(Workspace.status) != WorkspaceStatus.FAILED,
    )
    return set(await db.scalars(query))


async def known(db: AsyncSession) -> set[UUID]:
    """Return the projects that have a workspace's row."""
    return set(await db.scalars(select(col(Workspace.project_id))))


async def orphans(db: AsyncSession) -> dict[UUID, datetime]:
    """Return the workspaces that belong to no project, and when each is erased."""
    query = select(col(Workspace.project_id), col(Workspace.erase_at)).where(
        col(Workspace.erase_at).is_not(None)
    )
    return {row.project_id: row.erase_at for row in (await db.execute(query)).all()}


async def by_status(db: AsyncSession) -> dict[str, int]:
    """Return how many workspaces there are of each status."""
    query = select(col(Workspace.status), func.count()).group_by(col(Workspace.status))
    return {row[0]: row[1] for row in await db.execute(query)}


async def with_live_session(db: AsyncSession) -> set[UUID]:
    """Return the projects of which a session is live."""
    return set(await db.scalars(select(col(Session.project_id)).where(session_queries.live).distinct()))


async def with_running_session(db: AsyncSession, other_than: UUID | None = None) -> set[UUID]:
    """Return the projects of which an agent is at work, but for one session."""
    query = select(col(Session.project_id)).where(
        session_queries.live, col(Session.status) == SessionStatus.RUNNING, col(Session.wait_from).is_(None)
    )
    if other_than is not None:
        query = query.where(col(Session.id) != other_than)
    return set(await db.scalars(query.distinct()))


async def remove(db: Transaction, project_id: UUID) -> None:
    """Delete the row of a workspace of which nothing is left."""
    await db.execute(
        delete(Workspace).where(
            col(Workspace.project_id) == project_id, col(Workspace.desired) == Desired.ERASED
        )
    )
    announce(db, project_id)
