"""The client of a sidecar: HTTP and server-sent events in, wire messages out.

One `Agent` serves every workspace of the app. It knows the sidecar's calls and
turns every way in which they can fail into the domain's errors, in one place.
It keeps no cursor and never retries: who calls it knows what was stored and
when to ask again. Every call may be repeated without harm.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from vibe_app.clients.pool import Endpoint, Pool, signed, together, told
from vibe_app.errors import Conflict, DiskFull, InvalidRequest, NotFound, TooLarge, Unavailable, VibeError
from vibe_app.wire import Event, EventType, Heard, LiveSessions, SessionState, StartSession

AWAY = "sidecar_away"
"""The code of an `Unavailable` where nothing was sent, as nobody listens."""
# Of an event, and of any other answer.
_LONGEST = 8 * 1024 * 1024
_REFUSALS: Mapping[int, type[VibeError]] = {404: NotFound, 409: Conflict, 413: TooLarge}


class Agent(Pool):
    """Talks to sidecars. Open it before use and close it after, or use it with `async with`.

    Args:
        connect: Seconds in which a sidecar must accept a connection.
        answer: Seconds of silence after which a call is given up.
        silence: Seconds without a byte after which a stream counts as lost. The
            sidecar sends a comment line every 15 s, so a healthy one is never silent.
    """

    def __init__(self, *, connect: float = 5.0, answer: float = 10.0, silence: float = 45.0) -> None:
        super().__init__(httpx.Timeout(answer, connect=connect))
        self._stream_timeout = httpx.Timeout(silence, connect=connect)

    async def start(self, endpoint: Endpoint, start: StartSession) -> SessionState:
        """Start OpenCode on a prompt, or learn how far the session with this id has come.

        Raises:
            Conflict: The id already ran with another prompt.
            InvalidRequest: The sidecar does not accept the request as written.
            Unavailable: The sidecar, or OpenCode behind it, does not answer.
        """
        return await self._state(endpoint, "POST", "/sessions", start.session_id, start)

    async def state(self, endpoint: Endpoint, session_id: UUID | str) -> SessionState | None:
        """Return how far a session has come, or None where the sidecar does not know it.

        Raises:
            Unavailable: The sidecar does not answer.
        """
        try:
            return await self._state(endpoint, "GET", f"/sessions/{session_id}", session_id)
        except NotFound:
            return None

    async def known(self, endpoint: Endpoint) -> LiveSessions:
        """Return the state of every session that is not over, and the ids of those whose journal is kept.

        Raises:
            Unavailable: The sidecar does not answer.
        """
        content = await self._call(endpoint, "GET", "/sessions")
        with _translated(endpoint):
            return LiveSessions.model_validate_json(content)

    async def live(self, endpoint: Endpoint) -> list[SessionState]:
        """Return the state of every session that the sidecar says is not over.

        Raises:
            Unavailable: The sidecar does not answer.
        """
        return (await self.known(endpoint)).sessions

    async def drop(self, endpoint: Endpoint, session_id: str) -> None:
        """Have the journal of a session that is over deleted. Asking twice is asking once.

        Raises:
            Conflict: It is not over.
            Unavailable: The sidecar does not answer, or cannot delete it.
        """
        await self._call(endpoint, "DELETE", f"/sessions/{session_id}")

    async def let_go(self, endpoint: Endpoint, tree: int) -> None:
        """Have OpenCode let go of a card's tree, before it is removed. Asking twice is asking once.

        Raises:
            Conflict: A session is at work there.
            Unavailable: The sidecar does not answer.
        """
        await self._call(endpoint, "DELETE", f"/trees/{tree}")

    async def stop(self, endpoint: Endpoint, session_id: UUID | str) -> SessionState:
        """End a session and return its state once the agent has stopped. Asking twice is asking once.

        Raises:
            NotFound: The sidecar does not know the session.
            Unavailable: The sidecar does not answer.
        """
        return await self._state(endpoint, "POST", f"/sessions/{session_id}/stop", session_id)

    async def heard(self, endpoint: Endpoint, conversation: str, session_id: UUID) -> bool:
        """Tell whether a conversation has what was said for a session of the board.

        Raises:
            Unavailable: The sidecar, or OpenCode behind it, does not answer.
        """
        path = f"/conversations/{quote(conversation, safe='')}/heard?session={session_id}"
        try:
            content = await self._call(endpoint, "GET", path)
        except NotFound:
            return False  # a sidecar of an earlier version
        with _translated(endpoint):
            return Heard.model_validate_json(content).heard

    async def stream(
        self, endpoint: Endpoint, session_id: UUID | str, after: int = 0
    ) -> AsyncGenerator[Event]:
        """Yield the session's events one by one; see `stream_batches`."""
        async for batch in self.stream_batches(endpoint, session_id, after):
            for event in batch:
                yield event

    async def stream_batches(
        self, endpoint: Endpoint, session_id: UUID | str, after: int = 0
    ) -> AsyncGenerator[list[Event]]:
        """Yield the events after number `after` as they come, each read's worth as one non-empty list.

        Ends after the `done` event and at no other point. The numbers go up by
        one from `after`: repeats are dropped, a gap is an error. Whoever leaves
        early should close the iterator (`contextlib.aclosing`), which closes the
        connection. A session whose `done` is already stored has nothing to
        stream: ask `state` first.

        Raises:
            NotFound: The sidecar does not know the session.
            Unavailable: It does not answer, fell silent, closed the stream
                before `done` or sent what is not an event: ask again from the last number.
        """
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Last-Event-ID": str(after)}
        with _translated(endpoint):
            async with self._http.stream(
                "GET",
                f"{endpoint.url}/sessions/{session_id}/stream",
                auth=signed(endpoint),
                headers=headers,
                timeout=self._stream_timeout,
            ) as response:
                await _check(response, "text/event-stream")
                frames = _Frames(after)
                async for chunk in response.aiter_bytes():
                    if batch := frames.feed(chunk):
                        yield batch
                        if batch[-1].type is EventType.DONE:
                            return
                    if frames.gap:
                        raise Unavailable(frames.gap, "stream_gap")
        raise Unavailable("The workspace closed the session's output before its end.", "stream_interrupted")

    async def _state(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        session_id: UUID | str,
        body: BaseModel | None = None,
    ) -> SessionState:
        content = await self._call(endpoint, method, path, body=body)
        with _translated(endpoint):
            state = SessionState.model_validate_json(content)
        if state.session_id != str(session_id):
            raise Unavailable(
                f"The sidecar at {endpoint.url} answered for another session: restart the workspace."
            )
        return state

    async def _call(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
    ) -> bytes:
        with _translated(endpoint):
            async with self._http.stream(
                method,
                f"{endpoint.url}{path}",
                auth=signed(endpoint),
                headers={} if body is None else {"Content-Type": "application/json"},
                content=None if body is None else body.model_dump_json().encode(),
            ) as response:
                await _check(response, "application/json")
                return await together(response.aiter_bytes(), _LONGEST)


class _Frames:
    """Cuts a byte stream into events. Only `id` and `data` count, as the other side is our own sidecar.

    httpx-sse hands events out one by one and so hides which of them one read
    brought together; the engine stores what came together in one transaction.
    """

    def __init__(self, after: int) -> None:
        self._last: int = after
        self._rest = b""
        self.gap = ""
        """What is missing, in a sentence, once something is; nothing after it is taken."""

    def feed(self, chunk: bytes) -> list[Event]:
        # Text is JSON, so a bare carriage return can only belong to a line end.
        *frames, self._rest = (self._rest + chunk.replace(b"\r", b"")).split(b"\n\n")
        if len(self._rest) > _LONGEST:
            raise ValueError("an event without an end")
        events: list[Event] = []
        for frame in frames:
            seq, data = self._fields(frame)
            if not data:
                continue
            if seq is None:
                raise ValueError("an event without a number")
            if seq <= self._last:
                continue
            if seq != self._last + 1:
                self.gap = f"The session's output went from number {self._last} to {seq}: asking again."
                break
            self._last = seq
            events.append(Event.model_validate(json.loads(data) | {"seq": seq}))
        return events

    @staticmethod
    def _fields(frame: bytes) -> tuple[int | None, bytes]:
        seq, data = None, b""
        for line in frame.split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"id":
                seq = int(value)
            elif name == b"data":
                data += value
        return seq, data


async def _check(response: httpx.Response, content_type: str) -> None:
    """Raise for every answer but a success of the expected kind."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.is_success:
        if kind != content_type:
            raise Unavailable(
                f"Something other than the workspace's sidecar answers at {response.url}"
                f" ({kind or 'no content type'} where {content_type} was expected): restart the workspace.",
                "not_a_sidecar",
            )
        return
    status = response.status_code
    if status in (401, 403):
        raise Unavailable(
            "The workspace's sidecar does not accept this installation's token: restart the workspace.",
            "sidecar_unauthorized",
        )
    reason, code = (
        told(await together(response.aiter_bytes(), _LONGEST)) if kind == "application/json" else ("", "")
    )
    if code == DiskFull.default_code:
        raise DiskFull(reason)
    if 400 <= status < 500 and kind == "application/json":
        refusal = _REFUSALS.get(status, InvalidRequest)
        raise refusal(reason or f"The workspace's sidecar refused the request ({status}).")
    raise Unavailable(reason or f"The workspace's sidecar answered with an error ({status}).")


@contextmanager
def _translated(endpoint: Endpoint) -> Generator[None]:
    """Turn what a foreign library raises into `Unavailable`. Cancellation and our own errors pass through."""
    try:
        yield
    except httpx.ConnectError as exc:
        raise Unavailable(f"The workspace's sidecar cannot be reached at {endpoint.url}.", AWAY) from exc
    except httpx.TimeoutException as exc:
        raise Unavailable("The workspace's sidecar does not answer in time.") from exc
    except (httpx.HTTPError, httpx.StreamError) as exc:
        raise Unavailable("The connection to the workspace's sidecar was lost.") from exc
    except httpx.InvalidURL as exc:
        raise Unavailable(f"The workspace's address {endpoint.url!r} cannot be used.") from exc
    except (ValidationError, ValueError, TypeError, RecursionError) as exc:
        raise Unavailable(f"The sidecar at {endpoint.url} sent what is not a message of ours.") from exc
