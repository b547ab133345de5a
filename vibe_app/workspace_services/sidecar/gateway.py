"""Tells the workspace's gateway whose an OpenCode session is, before it asks its model for the first time."""

from __future__ import annotations

import httpx

from vibe_app.errors import Unavailable
from vibe_app.wire.gateway import Conversation
from vibe_app.wire.proof import signed_in

_ANSWER = 3.0


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

    async def belongs(self, opencode_session: str, session_id: str) -> None:
        """Say that what an OpenCode session and its sub-agents ask is asked for a session.

        Raises:
            Unavailable: The gateway does not answer, or does not know the session: nothing may be asked.
        """
        body = Conversation(session_id=session_id).model_dump_json().encode()
        try:
            answer = await self._client.put(f"{self._url}/conversations/{opencode_session}", content=body)
        except httpx.HTTPError as error:
            raise Unavailable("The workspace's gateway does not answer.", "gateway_not_ready") from error
        if not answer.is_success:
            raise Unavailable(
                f"The workspace's gateway does not take the conversation (status {answer.status_code}).",
                "gateway_not_ready",
            )
