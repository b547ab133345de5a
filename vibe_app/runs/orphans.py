"""Finds the sessions on which a workspace works although they are over here, and ends them there.

A session may be over for the app while its agent still works: its sidecar was
away when the end was decided. Every half a minute each sidecar is asked
what it runs, and that is compared with the rows. The other direction, a session
that lives here, is its run's own business: it compares while it copies.

Where it was not known at a session's end whether its agent had what it was to say, this is noted now: its
comments are sent, or free again; and what an agent did after the end is kept as a checkpoint.

Journals of sessions that are over here are let go of in the same turn: the event log holds
them, and a workspace keeps none that nobody will ask for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.changes import queries as change_queries
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database
from vibe_app.errors import NotFound, VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.runs.attempt import ended, sidecar_id_of
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

PERIOD = 30.0
_ANSWER_SECONDS = 10.0
_DROPPED_AT_ONCE = 200
_UUID_CHARS = 36


class Orphans:
    """The job that ends orphans of sessions.

    Args:
        database: Knows which sessions live.
        workspaces: Knows which workspaces are ready, and where.
        agent: Asks their sidecars.
    """

    def __init__(self, database: Database, workspaces: Workspaces, agent: Agent) -> None:
        self._database = database
        self._workspaces = workspaces
        self._agent = agent

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.end_all()

        return Job("end orphans of sessions", work, period=PERIOD)

    async def end_all(self) -> None:
        """Compare what the sidecars of all ready workspaces have with the rows; end what nobody waits for.

        A workspace that does not answer is left for the next time.

        Raises:
            Unavailable: The database does not answer.
        """
        ready = await self._workspaces.ready()
        await asyncio.gather(*(self._look_into(project, endpoint) for project, endpoint in ready.items()))

    async def _look_into(self, project_id: UUID, endpoint: Endpoint) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                known = await self._agent.known(endpoint)
                for sidecar_id in await _over(self._database, (each.session_id for each in known.sessions)):
                    log.warning("session %s is over, but its workspace works on it: ending it", sidecar_id)
                    with suppress(NotFound):
                        await self._agent.stop(endpoint, sidecar_id)
                kept = known.kept[:_DROPPED_AT_ONCE]
                await self._settle(
                    project_id, endpoint, [*kept, *(each.session_id for each in known.sessions)]
                )
                for sidecar_id in await _over(self._database, kept):
                    await self._agent.drop(endpoint, sidecar_id)
        except (VibeError, TimeoutError) as error:
            log.info("the workspace of project %s cannot be compared: %s", project_id, error)

    async def _settle(self, project_id: UUID, endpoint: Endpoint, sidecar_ids: list[str]) -> None:
        """Note whether agents had what they were to say, where that was not known at a session's end."""
        async with self._database.read() as db:
            known = [session_id for session_id, _ in dict(filter(None, map(_attempt, sidecar_ids))).values()]
            over = await session_queries.over_before_they_started(db, known)
            over += await change_queries.unsettled(db, project_id)
        for session in {each.id: each for each in over}.values():
            sidecar_id = sidecar_id_of(session.id, session.attempt)
            told = await ended(self._agent, endpoint, session, sidecar_id)
            async with self._database.transaction() as db:
                await change_queries.settle(db, session.id, told)
                db.announce(f"session:{session.id}")


async def _over(database: Database, sidecar_ids: Iterable[str]) -> list[str]:
    """Return those of a sidecar's sessions that no live session waits for: over, or of an earlier attempt."""
    attempts = dict(filter(None, map(_attempt, sidecar_ids)))
    if not attempts:
        return []
    sessions = [session_id for session_id, _ in attempts.values()]
    async with database.read() as db:
        rows = await db.execute(
            select(col(Session.id), col(Session.attempt)).where(
                col(Session.id).in_(sessions), session_queries.live
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
