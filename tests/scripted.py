"""A sidecar that plays a script: a real HTTP server on a real port, without OpenCode.

It keeps the sidecar's contract (idempotent start, numbered events, replay by
`Last-Event-ID`, state, stop) and counts what it was asked. It is for the tests
of the engine and of the client and for the bench; `fakes` has those that break
a promise. It says nothing about the real sidecar, which has its own tests.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from vibe_app.wire import (
    EventType,
    Failure,
    SessionState,
    SidecarStatus,
    StartSession,
    Usage,
    iso,
    now,
    proof,
)
from vibe_app.workspaces.runtimes.base import Endpoint

_BURST = 500
_END = b"\r\n"


@dataclass(frozen=True)
class Script:
    """What a session of a `ScriptedSidecar` says and how it ends.

    Args:
        events: Each event's type, text and the delay before it in seconds.
        outcome: The final status; None keeps the session running until it is stopped.
        error: The reason of a failure, also in the words of `done`.
        failure: The kind of a failure.
        usage: What the session is said to have consumed.
        retry_at: When a failure as `provider_wait` is to be tried again.
        asking: Whether its last answer is said to end with a question.
        summary: The agent's last message.
        rate: Events a second in place of the delays; 0 plays them as fast as they can be written.
    """

    events: Iterable[tuple[str, str, float]] = (("output", "Hello\n", 0.0),)
    outcome: SidecarStatus | None = SidecarStatus.COMPLETED
    error: str | None = None
    failure: Failure | None = None
    usage: Usage = field(default_factory=Usage)
    asking: bool = False
    summary: str = ""
    retry_at: datetime | None = None
    rate: float | None = None

    @classmethod
    def lines(
        cls, count: int, rate: float = 0, *, outcome: SidecarStatus | None = SidecarStatus.COMPLETED
    ) -> Self:
        """A script of `count` numbered lines of output at `rate` a second (0: as fast as possible)."""
        events = [("output", f"line {number} of {count}\n", 0.0) for number in range(1, count + 1)]
        return cls(events=events, outcome=outcome, rate=rate)

    @classmethod
    def failing(cls, error: str, failure: Failure = Failure.BROKEN) -> Self:
        """A script that says one line and fails."""
        return cls(outcome=SidecarStatus.FAILED, error=error, failure=failure)

    @classmethod
    def endless(cls) -> Self:
        """A script that says one line and goes on until it is stopped."""
        return cls(outcome=None)


class ScriptedSession:
    """One session's journal, kept as the bytes that readers get."""

    def __init__(self, start: StartSession, script: Script) -> None:
        self.start = start
        self.script = script
        self.status = SidecarStatus.RUNNING
        self.frames: list[bytes] = []
        self.times: list[float] = []
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def final(self) -> bool:
        return self.status is not SidecarStatus.RUNNING

    def append(self, kind: str, text: str) -> None:
        moment = now()
        data = json.dumps({"type": kind, "text": text, "timestamp": iso(moment)})
        self.frames.append(f"id: {len(self.frames) + 1}\nevent: message\ndata: {data}\n\n".encode())
        self.times.append(moment.timestamp())

    def knock(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def finish(self, status: SidecarStatus) -> None:
        words = f"Session {status.value}"
        self.append(EventType.DONE, f"{words}: {self.script.error}" if self.script.error else words)
        self.status = status
        self.knock()

    async def play(self) -> None:
        began = time.monotonic()
        for number, (kind, text, delay) in enumerate(self.script.events, 1):
            if self.script.rate is None:
                if delay:
                    await asyncio.sleep(delay)
                self.append(kind, text)
                self.knock()
                continue
            ahead = self.script.rate and number / self.script.rate - (time.monotonic() - began)
            if ahead > 0.005:
                self.knock()
                await asyncio.sleep(ahead)
            self.append(kind, text)
            if not self.script.rate and number % _BURST == 0:
                self.knock()
                await asyncio.sleep(0)
        self.knock()
        if self.script.outcome is not None:
            self.finish(self.script.outcome)

    def state(self) -> SessionState:
        failed = self.status is SidecarStatus.FAILED
        return SessionState(
            session_id=self.start.session_id,
            status=self.status,
            last_seq=len(self.frames),
            error=self.script.error if failed else None,
            failure=self.script.failure if failed else None,
            usage=self.script.usage,
            asking=self.script.asking,
            retry_at=self.script.retry_at,
            conversation=self.start.conversation or f"ses_{self.start.session_id[:8]}",
            prepared=True,
            summary=self.script.summary,
        )


@dataclass
class Request:
    """One HTTP request as `ScriptedSidecar` reads it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    reader: asyncio.StreamReader


class ScriptedSidecar:
    """Keeps the sidecar's contract on a free port of loopback while playing scripts.

    Args:
        script: What every session plays, or a function that picks a script by the request.
        token: What callers must send as `Bearer`.
        keep_alive: Seconds of silence before a comment line on a stream.

    Attributes:
        started: The sessions that really ran, in order, one entry for each run.
        calls: How often each call came, for example `calls["POST /sessions"]`.
        readers: How many streams of a session are being read now.
        most_readers: The most of them at one time.
        trusting: Whether any token will do, for an app in another process, which derives its own.
        said: Which conversations have what was said for which session of the board.
    """

    def __init__(
        self,
        script: Script | Callable[[StartSession], Script] | None = None,
        *,
        token: str = "scripted-token",
        keep_alive: float = 15.0,
        trusting: bool = False,
    ) -> None:
        self.trusting = trusting
        self.script = script or Script()
        self.token = token
        self.tokens = {token}
        self.keep_alive = keep_alive
        self.port = 0
        self.started: list[StartSession] = []
        self.calls: Counter[str] = Counter()
        self.readers: Counter[str] = Counter()
        self.most_readers: Counter[str] = Counter()
        self.sessions: dict[str, ScriptedSession] = {}
        self.said: set[tuple[str, str]] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers; the same after `die` and `revive`."""
        return Endpoint(f"http://127.0.0.1:{self.port}", self.token)

    @property
    def up(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    async def __aenter__(self) -> Self:
        await self.revive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def revive(self) -> None:
        """Listen, on the port it had before if there was one, with the journals that it kept."""
        # Whoever is cancelled while this begins to serve has a server all the same, which `die` closes.
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, start_serving=False)
        self.port = self._server.sockets[0].getsockname()[1]
        await self._server.start_serving()

    async def die(self, *, lose_sessions: bool = False) -> None:
        """Go away as a killed process does: every connection drops and every live session ends unfinished.

        Sessions that were live are `failed` when it comes back, as the real
        sidecar finishes them from its journal, or unknown where `lose_sessions`.
        """
        server, self._server = self._server, None
        if server is not None:
            for listener in server.sockets:
                asyncio.get_running_loop().remove_reader(listener)
            # Python 3.11 loses, unclosed, a connection that was accepted just before its server is closed.
            await asyncio.sleep(0)
            server.close()
        tasks = [
            *self._connections,
            *(s.task for s in self.sessions.values() if s.task and not s.task.done()),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in self.sessions.values():
            if not session.final and session.task is not None:
                session.script = Script.failing("the workspace was lost", Failure.AGENT_LOST)
                session.finish(SidecarStatus.FAILED)
        if lose_sessions:
            self.forget()

    def forget(self) -> None:
        """Know no session any more, as after the loss of the workspace's volume."""
        self.sessions.clear()

    async def reached(self, session_id: object, seq: int) -> None:
        """Return once the session has been started and its journal holds event number `seq`."""
        while str(session_id) not in self.sessions:
            await self._news.wait()
        while len(self.session(session_id).frames) < seq:
            await self.session(session_id).news.wait()

    async def readers_are(self, session_id: object, count: int) -> None:
        """Return once `count` streams of the session are being read."""
        while self.readers[str(session_id)] != count:
            await self._news.wait()

    def session(self, session_id: object) -> ScriptedSession:
        """The session's journal, for a test to look at."""
        return self.sessions[str(session_id)]

    def _knock(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._server is None:
            # Accepted in the moment in which it went away.
            return writer.transport.abort()
        self._connections.add(task)
        try:
            await self.connected(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the other side closes it."""
        while (request := await _read_request(reader)) is not None:
            await self.answer(request, writer)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Serve one request."""
        parts = request.path.strip("/").split("/")
        route = f"{request.method} /{parts[0]}" + "".join(f"/{part}" for part in parts[2:])
        route = f"{request.method} /sessions/id" if len(parts) == 2 and parts[0] == "sessions" else route
        self.calls[route] += 1
        if parts[0] in ("health", "ready"):
            return await send_json(writer, 200, {"status": "ok"})
        if request.path == proof.PATH:
            return await send_proof(writer, request, self.token)
        given = (request.headers.get("authorization") or "").removeprefix("Bearer ")
        if given not in self.tokens and not (self.trusting and given):
            return await send_json(
                writer, 401, {"error": "The token is missing or wrong.", "code": "unauthenticated"}
            )
        if request.method == "POST" and parts == ["sessions"]:
            return await self.on_start(request, writer)
        if request.method == "GET" and parts == ["sessions"]:
            live = [s.state().model_dump(mode="json") for s in self.sessions.values() if not s.final]
            kept = [name for name, s in self.sessions.items() if s.final]
            return await send_json(writer, 200, {"sessions": live, "kept": kept})
        if request.method == "GET" and parts[0] == "conversations":
            [said_for] = request.query["session"]
            return await send_json(writer, 200, {"heard": (parts[1], said_for) in self.said})
        if request.method == "DELETE" and parts[0] == "trees":
            return await send_json(writer, 200, {"message": "Let go."})
        session = self.sessions.get(parts[1]) if len(parts) > 1 and parts[0] == "sessions" else None
        if session is None:
            return await send_json(writer, 404, {"error": "There is no such session.", "code": "not_found"})
        if request.method == "DELETE":
            if not session.final:
                return await send_json(writer, 409, {"error": "It is not over.", "code": "session_live"})
            del self.sessions[parts[1]]
            return await send_json(writer, 200, {"message": "Deleted."})
        if parts[2:] == ["stream"]:
            return await self._stream(session, request, writer)
        if parts[2:] == ["stop"]:
            await self.on_stop(session)
        return await send_json(writer, 200, session.state().model_dump(mode="json"))

    async def on_start(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Serve `POST /sessions`."""
        try:
            start = StartSession.model_validate_json(request.body)
        except ValidationError:
            return await send_json(
                writer, 422, {"error": "That is not a session.", "code": "invalid_request"}
            )
        session = self.sessions.get(start.session_id)
        if session is None:
            session = self.begin(start)
        elif session.start.prompt != start.prompt:
            return await send_json(
                writer, 409, {"error": "This session ran with another prompt.", "code": "conflict"}
            )
        return await send_json(writer, 200, session.state().model_dump(mode="json"))

    def begin(self, start: StartSession) -> ScriptedSession:
        """Start a session that is not there yet."""
        script = self.script(start) if callable(self.script) else self.script
        session = self.sessions[start.session_id] = self.make_session(start, script)
        self.started.append(start)
        self.said.add((session.state().conversation, start.spends_for or ""))
        session.task = asyncio.create_task(session.play(), name=f"script of {start.session_id}")
        self._knock()
        return session

    def make_session(self, start: StartSession, script: Script) -> ScriptedSession:
        """Make the journal of a session that starts."""
        return ScriptedSession(start, script)

    async def on_stop(self, session: ScriptedSession) -> None:
        """Serve `POST /sessions/{id}/stop`."""
        if session.task is not None and not session.final:
            session.task.cancel()
            # Unlike awaiting the task itself, this ends when the connection is cut meanwhile.
            await asyncio.wait((session.task,))
        if not session.final:
            session.finish(SidecarStatus.CANCELLED)

    async def _stream(self, session: ScriptedSession, request: Request, writer: asyncio.StreamWriter) -> None:
        name = session.start.session_id
        after = int(request.headers.get("last-event-id") or (request.query.get("after") or ["0"])[0])
        self.readers[name] += 1
        self.most_readers[name] = max(self.readers[name], self.most_readers[name])
        self._knock()
        await send_head(writer, 200, "text/event-stream", {"Transfer-Encoding": "chunked"})
        sending = asyncio.create_task(self.send_events(session, after, writer))
        gone = asyncio.create_task(request.reader.read(1))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            complete = sending.done() and not sending.cancelled() and sending.exception() is None
            sending.cancel()
            gone.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            self.readers[name] -= 1
            self._knock()
        if not complete:
            raise ConnectionResetError
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        """Send what the journal holds after number `after`, then what comes, to the end."""
        sent = after
        while True:
            news = session.news
            if sent < len(session.frames):
                batch = session.frames[sent : sent + _BURST]
                await send_chunk(writer, b"".join(batch))
                sent += len(batch)
            elif session.final:
                return
            else:
                try:
                    await asyncio.wait_for(news.wait(), self.keep_alive)
                except TimeoutError:
                    await send_chunk(writer, b": keep-alive\n\n")


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    return Request(method, url.path, parse_qs(url.query), headers, body, reader)


async def send_head(
    writer: asyncio.StreamWriter, status: int, content_type: str, headers: Mapping[str, str]
) -> None:
    """Send the status line and the headers of an answer."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    await writer.drain()


async def send(writer: asyncio.StreamWriter, status: int, content_type: str, body: bytes) -> None:
    """Send a whole answer."""
    await send_head(writer, status, content_type, {"Content-Length": str(len(body))})
    writer.write(body)
    await writer.drain()


async def send_proof(writer: asyncio.StreamWriter, request: Request, token: str) -> None:
    """Prove the knowledge of a token, as `vibe_app.wire.proof` wants it."""
    client, server = (writer.get_extra_info(name)[:2] for name in ("peername", "sockname"))
    given = proof.proof_of(token, request.query["nonce"][0], client, server)
    await send_json(writer, 200, {"proof": given})


async def send_json(writer: asyncio.StreamWriter, status: int, answer: object) -> None:
    """Send a whole answer in JSON."""
    await send(writer, status, "application/json", json.dumps(answer).encode())


async def send_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send one chunk of a streamed answer; nothing of nothing, which would end it."""
    if data:
        writer.write(f"{len(data):x}\r\n".encode() + data + _END)
        await writer.drain()
