"""Forwards, piece by piece, what a workspace's service answers: downloads, archives, OpenCode's own answers.

Nothing is kept: the next piece is asked for when the reader has taken the last one.
Whatever comes from a workspace may be hostile, so no browser may take it for a page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from vibe_app.clients.services import Answer
from vibe_app.errors import Unavailable

SLOW = 60.0
"""Seconds in which a reader must take what it is sent."""

INERT: Mapping[str, str] = {
    # A page of its own origin, without scripts, that asks nobody for anything.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "X-Accel-Buffering": "no",
}


class Forwarded(StreamingResponse):
    """An answer of a workspace's service as it comes; the connection is let go at the end.

    Args:
        answer: The other side's.
        headers: Names of its headers that are forwarded.
        more: Headers to add.
        media_type: In the place of its own.
    """

    def __init__(
        self,
        answer: Answer,
        headers: tuple[str, ...],
        more: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        kept = {name: answer.headers[name] for name in headers if name in answer.headers}
        kind = media_type or answer.headers.get("content-type")
        if kind is not None:
            kept["content-type"] = kind
        added = {name.lower(): value for name, value in {**INERT, **(more or {})}.items()}
        super().__init__(answer.pieces(), answer.status, kept | added)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def timed(message: Message) -> None:
            async with asyncio.timeout(SLOW):
                await send(message)

        try:
            await super().__call__(scope, receive, timed)
        except (TimeoutError, Unavailable):
            # Left unfinished: the server drops the connection, and nobody takes the part for the whole.
            return
        finally:
            await self._answer.close()
