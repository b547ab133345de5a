"""Finds what a workspace works on although it is over here, and ends it there.

A session may be over for the app while its agent still works: its sidecar was
away when the end was decided. Every so often, and at start, each sidecar is asked
what it runs, and that is compared with the rows. The other direction, a session
that lives here, is its run's own business: it compares while it copies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board import repository
from vibe_app.board.models import Project, Session
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database
from vibe_app.errors import NotFound, VibeError
from vibe_app.workspaces.runtimes.base import Endpoint, Runtime, WorkspaceSpec

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 10.0
_UUID_CHARS = 36


async def end_strays(database: Database, runtime: Runtime, agent: Agent) -> None:
    """Compare what the sidecars of all running workspaces work on with the rows; end what nobody waits for.

    A workspace that does not answer is left for the next time.

    Raises:
        Unavailable: The database or the runtime does not answer.
    """
    alive = await runtime.alive()
    if not alive:
        return
    async with database.read() as db:
        projects = (await db.scalars(select(Project).where(col(Project.id).in_(alive)))).all()
    await asyncio.gather(*(_look_into(project, database, runtime, agent) for project in projects))


async def _look_into(project: Project, database: Database, runtime: Runtime, agent: Agent) -> None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            endpoint = await runtime.ensure(WorkspaceSpec(project.id, project.repo_url))
            working = [state.session_id for state in await agent.live(endpoint)]
            for sidecar_id in await _over(database, working):
                log.warning("session %s is over, but its workspace works on it: ending it", sidecar_id)
                await _end(agent, endpoint, sidecar_id)
    except (VibeError, TimeoutError) as error:
        log.info("the workspace of project %s cannot be compared: %s", project.id, error)


async def _end(agent: Agent, endpoint: Endpoint, sidecar_id: str) -> None:
    try:
        await agent.stop(endpoint, sidecar_id)
    except NotFound:
        return


async def _over(database: Database, sidecar_ids: Iterable[str]) -> list[str]:
    """Return those of a sidecar's sessions that no live session waits for: over, or of an earlier attempt."""
    attempts = dict(filter(None, map(_attempt, sidecar_ids)))
    if not attempts:
        return []
    sessions = [session_id for session_id, _ in attempts.values()]
    async with database.read() as db:
        rows = await db.execute(
            select(col(Session.id), col(Session.attempt)).where(
                col(Session.id).in_(sessions), repository.live
            )
        )
    expected = {(row.id, row.attempt) for row in rows}
    return [sidecar_id for sidecar_id, attempt in attempts.items() if attempt not in expected]


def _attempt(sidecar_id: str) -> tuple[str, tuple[UUID, int]] | None:
    """Read a sidecar's id of a session: `<session id>` or `<session id>-<attempt>`; None for another's."""
    try:
        session_id = UUID(sidecar_id[:_UUID_CHARS])
        attempt = int(sidecar_id[_UUID_CHARS + 1 :] or 1)
    except ValueError:
        return None
    return sidecar_id, (session_id, attempt)
