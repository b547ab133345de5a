"""The output of a session as server-sent events: what the event log holds, then what comes.

A stream follows the event log and keeps nothing: it reads the next batch only when
the reader has taken the last one, so a slow reader costs no memory. One that
takes nothing for a while is closed and resumes from its last id.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.api.lasting import LastingRoute
from vibe_app.api.metrics import OPEN_STREAMS
from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.errors import InvalidRequest, NotFound, Unavailable
from vibe_app.runs.event_log import Batch, EventLog
from vibe_app.wire import Event, iso
from vibe_app.wiring import services

log = logging.getLogger(__name__)
output = APIRouter(
    prefix="/projects/{project_id}/tasks/{task_id}", tags=["sessions"], route_class=LastingRoute
)

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment line is sent."""
SLOW = 30.0
"""Seconds in which a reader must take what it is sent."""
CHUNK = 256 * 1024
"""Bytes, about, that are sent at once."""
RETRY_MS = 1000
"""Milliseconds that a browser waits before it connects again."""
_MAX_SEQ = 2**31 - 1
# A line without a blank one after it, which some clients take for the end of an event without data.
_NOTHING_NEW = b": nothing new\n"

_EXAMPLE = (
    f"retry: {RETRY_MS}\n"
    'id: 1\nevent: message\ndata: {"type": "status", "text": "Reading the files", '
    '"timestamp": "2026-11-22T09:30:00.000Z"}\n\n'
    'id: 2\nevent: message\ndata: {"type": "done", "text": "Session completed", '
    '"timestamp": "2026-11-22T09:30:01.000Z"}\n\n'
)
_Seq = Annotated[int, Query(ge=0, le=_MAX_SEQ, description="Number of the last event that one has")]

_quoted = json.JSONEncoder(ensure_ascii=False).encode


class EventStream(Response):
    """Sends the events of one session after number `after` until its `done`.

    Args:
        event_log: The event log.
        session_id: Whose events.
        after: Number of the last event that the reader has.
    """

    media_type = "text/event-stream"

    def __init__(self, event_log: EventLog, session_id: UUID, after: int) -> None:
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._event_log = event_log
        self._session_id = session_id
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.create_task(_until_gone(receive), name=f"reader of {self._session_id}")
        try:
            with OPEN_STREAMS.track_inprogress():
                await self._send_events(send, gone)
            if not gone.done():
                await _send(send, b"", more=False)
        except TimeoutError:
            # Left unfinished: the server drops the connection, and the reader resumes from its last id.
            log.info("a reader of session %s took nothing for %.0f s and was closed", self._session_id, SLOW)
        finally:
            await _cancel(gone)

    async def _send_events(self, send: Send, gone: asyncio.Task[None]) -> None:
        """Return when the session is over, when the event log cannot be read, or when nobody wants more."""
        # It goes before the first event: some clients take a block of its own for an event without data.
        head = f"retry: {RETRY_MS}\n".encode()
        async with aclosing(self._event_log.follow(self._session_id, self._after)) as batches:
            while True:
                step = asyncio.ensure_future(_next(batches))
                try:
                    while not step.done():
                        done, _ = await asyncio.wait(
                            {step, gone}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
                        )
                        if gone in done:
                            return
                        if not done:
                            await _send(send, _NOTHING_NEW)
                    batch = step.result()
                except (NotFound, Unavailable) as error:
                    log.warning("the output of session %s broke off: %s", self._session_id, error)
                    return
                finally:
                    await _cancel(step)
                for chunk in encoded(batch.events):
                    await _send(send, head + chunk)
                    head = b""
                if batch.final:
                    return


@output.get(
    "/output",
    status_code=200,
    response_class=EventStream,
    responses={
        # FastAPI would describe a model as the route's own media type, which errors do not have.
        **{status: {**error, "model": None} for status, error in errors(400, 404, 429, 502).items()},
        200: {
            "description": "The events, past and live, until `done`",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        204: {"description": "The session is over and one has all its events: do not connect again"},
    },
)
async def stream_output(
    actor: Asker,
    project_id: UUID,
    task_id: UUID,
    session_id: Annotated[UUID, Query(description="Whose events")],
    after: _Seq = 0,
    last_event_id: Annotated[
        int | None,
        Header(ge=0, le=_MAX_SEQ, description="Comes before `after`; browsers send it"),
    ] = None,
) -> Response:
    """Stream the events of a session after number `after`, in order, each once, until `done`.

    A comment line comes every 15 s of silence. A reader that takes nothing for
    30 s is closed. Whoever is cut off continues with `Last-Event-ID`.
    """
    verbs = services()
    session = await verbs.sessions.glance(actor, project_id, task_id, session_id)
    last = after if last_event_id is None else last_event_id
    if last > session.last_seq:
        raise InvalidRequest(
            f"This session has no event {last}; its last one is {session.last_seq}.", "invalid_last_event_id"
        )
    if last == session.last_seq and SessionStatus(session.status) not in LIVE:
        # The answer that makes a browser's EventSource stop (HTML standard, "Server-sent events").
        return Response(status_code=204, media_type=EventStream.media_type)
    return EventStream(verbs.event_log, session_id, last)


def encoded(events: Iterable[Event]) -> Iterator[bytes]:
    """Write events as they go over the wire, in pieces of about 256 KiB."""
    frames: list[str] = []
    size = 0
    for event in events:
        frame = (
            f"id: {event.seq}\nevent: message\n"
            f'data: {{"type": "{event.type.value}", "text": {_quoted(event.text)}, '
            f'"timestamp": "{iso(event.timestamp)}"}}\n\n'
        )
        frames.append(frame)
        size += len(frame)
        if size >= CHUNK:
            yield "".join(frames).encode()
            frames, size = [], 0
    if frames:
        yield "".join(frames).encode()


async def _next(batches: AsyncGenerator[Batch]) -> Batch:
    return await anext(batches)


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    async with asyncio.timeout(SLOW):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
