"""One attempt of a session at its sidecar: accepted there or found again, ended, and what is known of it.

Each attempt is a session of its own to the sidecar, which never runs one id twice. Nothing is
written here; what it knows besides the sidecar is whether an agent may be at work.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from vibe_app.board.changes.queries import Told
from vibe_app.board.sessions.models import Session
from vibe_app.clients.sidecar import AWAY, Agent
from vibe_app.errors import NotFound, Unavailable, VibeError
from vibe_app.runs.copying import known
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.wire import SessionState, StartSession
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)


class Attempt:
    """The attempt that a claimed session has come to.

    Args:
        session: Its row as claimed.
        agent: Talks to the sidecar.
        workspaces: Says where that is, at the end.
        retry_policy: How long to wait for what.

    Attributes:
        sidecar_id: The attempt's id at the sidecar.
        may_work: Whether its agent may be at work.
        heard: Whether the agent is known to have what it was to say.
    """

    def __init__(
        self, session: Session, agent: Agent, workspaces: Workspaces, retry_policy: RetryPolicy
    ) -> None:
        self.sidecar_id = sidecar_id_of(session.id, session.attempt)
        # Whoever claimed the session before may have started the agent and died before noting it.
        self.may_work = session.epoch > 1
        self.heard = False
        # Whether a sidecar may have been told to begin.
        self._told = self.may_work
        self._session = session
        self._agent = agent
        self._workspaces = workspaces
        self._retry_policy = retry_policy

    @property
    def unsettled(self) -> bool:
        """Whether its agent may have had its message without this being known here."""
        return self._told and not self.heard

    async def accepted(self, endpoint: Endpoint, start: StartSession, *, again: bool) -> SessionState:
        """Have the sidecar accept the session, or find it there.

        Args:
            endpoint: Where the sidecar is.
            start: What to begin with.
            again: Whether it is only to be found. Starting it anew under the same id would number its
                events from 1 again.

        Raises:
            Lost: It was to be found, and the sidecar does not know it.
            Unavailable: The sidecar does not answer, or not in time.
        """
        self.may_work = True
        try:
            async with asyncio.timeout(self._retry_policy.answer):
                if again:
                    return await known(self._agent, endpoint, self.sidecar_id)
                if self._session.attempt > 1:
                    await self._end_earlier(endpoint)
                return await self._begin(endpoint, start)
        except TimeoutError as error:
            raise Unavailable("The workspace's sidecar does not answer in time.") from error

    async def _begin(self, endpoint: Endpoint, start: StartSession) -> SessionState:
        told, self._told = self._told, True
        try:
            return await self._agent.start(endpoint, start)
        except Unavailable as error:
            if error.code == AWAY:
                self._told = told
            raise

    async def _end_earlier(self, endpoint: Endpoint) -> None:
        """See that the agent of the attempt that was given up for lost is not at work any more."""
        try:
            await self._agent.stop(endpoint, sidecar_id_of(self._session.id, self._session.attempt - 1))
        except NotFound:
            return

    async def silence(self) -> Told | None:
        """End what the agent may still be doing, where its sidecar can be reached in a moment.

        Returns:
            What it was told; None where that cannot be said, and the job of `runs.orphans` will see.
        """
        if not self.may_work:
            return None
        try:
            async with asyncio.timeout(self._retry_policy.stop):
                endpoint = await self._workspaces.ensure(self._session.project_id)
                return await ended(self._agent, endpoint, self._session, self.sidecar_id)
        except (VibeError, TimeoutError) as error:
            log.info("session %s: it cannot be stopped: %s", self._session.id, error)
            return None


async def ended(agent: Agent, endpoint: Endpoint, session: Session, sidecar_id: str) -> Told:
    """End what a sidecar may still do of an attempt; tell whether its agent had what it was to say.

    Where the sidecar does not know that it had, the conversation itself is asked: a sidecar may have given up
    waiting for OpenCode, or died, just while that took the message.

    Args:
        agent: Talks to the sidecar.
        endpoint: Where that is.
        session: The session, with the conversation that it goes on with.
        sidecar_id: Which attempt of it.

    Raises:
        Unavailable: The sidecar, or OpenCode, does not answer.
    """
    conversation = session.conversation_id or ""
    try:
        state = await agent.stop(endpoint, sidecar_id)
    except NotFound:
        pass
    else:
        conversation = state.conversation or conversation
        if state.heard:
            return Told(True, conversation)
    return Told(conversation != "" and await agent.heard(endpoint, conversation, session.id), conversation)


def sidecar_id_of(session_id: UUID, attempt: int) -> str:
    """Each attempt is a session of its own to the sidecar, which never runs one id twice."""
    return str(session_id) if attempt == 1 else f"{session_id}-{attempt}"
