"""Short words for what tests ask of workspaces' rows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import col

from tests.runs.rig import Rig
from vibe_app.board.sessions.models import Session
from vibe_app.errors import Unavailable
from vibe_app.wire import now
from vibe_app.workspaces import rows
from vibe_app.workspaces.models import Workspace, WorkspaceUse


async def row_of(rig: Rig, project_id: UUID) -> Workspace | None:
    """The workspace's row, as it stands now."""
    async with rig.database.read() as db:
        return await rows.read(db, project_id)


async def settled(rig: Rig, project_id: UUID, status: str) -> Workspace:
    """The row once it says so, and answers the newest wish unless it is still starting."""
    with rig.database.bus.subscribe(rows.topic(project_id)) as changes:
        async with asyncio.timeout(10):
            while True:
                row = None
                with suppress(Unavailable):  # tests take the database away
                    row = await row_of(rig, project_id)
                if row and row.status == status and (status == "starting" or row.observed == row.generation):
                    return row
                await changes.wait(0.5)


async def opened(rig: Rig, project_id: UUID) -> None:
    """A board that somebody opened, with its workspace up."""
    await rig.workspaces.opened(rig.actor, project_id)
    await settled(rig, project_id, "ready")


async def an_hour_passes(rig: Rig) -> None:
    """For everything that the database remembers."""
    hour = timedelta(hours=1)
    async with rig.database.transaction() as db:
        await db.execute(update(Workspace).values(used_at=now() - hour))
        await db.execute(delete(WorkspaceUse).where(col(WorkspaceUse.process) != rig.name))
        over = col(Session.completed_at).is_not(None)
        await db.execute(update(Session).where(over).values(completed_at=now() - hour))
