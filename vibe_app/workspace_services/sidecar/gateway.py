"""Tells the workspace's gateway whose an OpenCode session is, before its first request and ever again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx
from pydantic import BaseModel

from vibe_app.errors import Unavailable
from vibe_app.wire.gateway import Conversation, Conversations
from vibe_app.wire.proof import signed_in

_ANSWER = 3.0
_AGAIN = 2.0

logger = logging.getLogger(__name__)


class Gateway:
    """The gateway beside this sidecar.

    Args:
        url: Its control address.
        token: What it wants as `Bearer`, once it has proven that it knows it.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(
            auth=signed_in(token),
            headers={"Content-Type": "application/json"},
            timeout=_ANSWER,
            # A proxy in the environment must never see a request to the machine itself.
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def keep_told(self, owners: Callable[[], dict[str, str]]) -> None:
        """Say again and again whose the live OpenCode sessions are: a gateway may have lost what it knew.

        Args:
            owners: Return the board's session for each OpenCode session.
        """
        away = False
        while True:
            try:
                await self._put("/conversations", Conversations(sessions=owners()))
                away = False
            except Unavailable as error:
                # It dies and comes back by itself; once is enough for the log.
                if not away:
                    logger.warning("it cannot be said whose conversations are: %s", error)
                away = True
            await asyncio.sleep(_AGAIN)  # the pause between two times

    async def belongs(self, opencode_session: str, session_id: str) -> None:
        """Say that what an OpenCode session and its sub-agents ask is asked for a session.

        Raises:
            Unavailable: The gateway does not answer, or does not know the session: nothing may be asked.
        """
        await self._put(f"/conversations/{opencode_session}", Conversation(session_id=session_id))

    async def _put(self, path: str, message: BaseModel) -> None:
        try:
            answer = await self._client.put(f"{self._url}{path}", content=message.model_dump_json().encode())
        except httpx.HTTPError as error:
            raise Unavailable("The workspace's gateway does not answer.", "gateway_not_ready") from error
        if not answer.is_success:
            raise Unavailable(
                f"The workspace's gateway does not take the conversation (status {answer.status_code}).",
                "gateway_not_ready",
            )
