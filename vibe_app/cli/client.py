"""The REST API as `vibe run` uses it: a token, requests, and a stream that outlives its connection."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from httpx_sse import SSEError, connect_sse

from vibe_app.cli.options import Fault
from vibe_app.settings import Settings

_TOKEN_DAYS = 30
_TOKEN_SCOPES = ("run", "write")
_SILENCE = 45.0
"""Seconds without a byte after which a stream is taken for dead; a live one sends a comment every 15 s."""
_TIMEOUT = 60.0
"""Seconds in which a lost server must be back."""


@dataclass(frozen=True)
class StreamEvent:
    """One event of a session's output."""

    seq: int
    type: str
    text: str


class Client:
    """A person's view of one server.

    Args:
        url: The server's address.
        token: Returns an access token; called again with True when the server no longer takes it.
    """

    def __init__(self, url: str, token: Callable[[bool], str]) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(30, read=_SILENCE))
        self._http.headers["Authorization"] = f"Bearer {token(False)}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, path: str, body: object = None, /, **query: object) -> Any:
        """Send a request and return the answer's JSON.

        Raises:
            Fault: The server refused, in its own words, or does not answer.
        """
        params = {name: str(value) for name, value in query.items()}
        try:
            answer = self._http.request(method, path, json=body, params=params)
            if answer.status_code == 401:
                self._http.headers["Authorization"] = f"Bearer {self._token(True)}"
                answer = self._http.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise Fault(f"No server answers at {self.url} ({error}). Start one with `vibe up`.") from error
        if answer.is_error:
            raise Fault(_refusal(answer))
        return answer.json() if answer.content else None

    def everything(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        """Return every item of a list, page after page."""
        page, seen, after = 1, 0, None
        while True:
            where = {"page": page} if after is None else {"after": after}
            answer = self.ask("GET", path, page_size=100, **where)
            yield from answer[key]
            seen += len(answer[key])
            if not answer[key] or seen >= answer["total_count"]:
                return
            # A page may end early, for its bytes; where it does, it says what to go on with.
            page, after = page + 1, answer.get("next")

    def follow(
        self, path: str, session_id: str, on_lost: Callable[[str], None], after: int = 0
    ) -> Iterator[StreamEvent]:
        """Return a session's events to its end, over as many connections as it takes: none lost, none twice.

        Args:
            path: The task's `output` address.
            session_id: Which session.
            on_lost: Told in words when the connection is lost; with an empty text when it is back.
            after: The last event already seen.

        Raises:
            Fault: The server refused, or was away for more than a minute.
        """
        last, lost_at, wait = after, 0.0, 0.5
        while True:
            try:
                with self._connection(path, session_id, last) as events:
                    for event in events:
                        if lost_at:
                            lost_at, wait = 0.0, 0.5
                            on_lost("")
                        if event.seq > last:
                            last = event.seq
                            yield event
                        if event.type == "done":
                            return
                reason = "the server closed the stream"
            except (httpx.TransportError, SSEError) as error:
                reason = str(error) or type(error).__name__
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > _TIMEOUT:
                raise Fault(f"The server at {self.url} is gone ({reason}). The session goes on without you.")
            on_lost(f"Connection lost ({reason}), trying again")
            time.sleep(wait)  # a pause between two attempts, not a wait for something
            wait = min(wait * 2, 5.0)

    @contextmanager
    def _connection(self, path: str, session_id: str, last: int) -> Generator[Iterator[StreamEvent]]:
        headers = {"Last-Event-ID": str(last)} if last else {}
        query = {"session_id": session_id}
        with connect_sse(self._http, "GET", path, params=query, headers=headers) as source:
            if 400 <= source.response.status_code < 500:
                source.response.read()
                raise Fault(_refusal(source.response))
            if source.response.is_error:
                raise SSEError(f"the server answered {source.response.status_code}")
            yield (_event(sse.id, sse.data) for sse in source.iter_sse() if sse.data)


def _event(seq: str, data: str) -> StreamEvent:
    content = json.loads(data)
    return StreamEvent(int(seq), content["type"], content["text"])


def _refusal(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code} {answer.reason_phrase}."


def local_token(settings: Settings, fresh: bool) -> str:
    """Return an access token for the server on this data folder, made in its database on first use.

    Whoever may write the data folder owns the installation, so nothing is asked
    for; the token is the oldest admin's and is kept beside the server's address,
    readable by this user alone.

    Args:
        settings: Whose data folder.
        fresh: Make a new one even if one is kept.

    Raises:
        Fault: There is no account yet.
    """
    path = settings.data / "run" / "token"
    if not fresh and path.is_file():
        return path.read_text().strip()
    token = _new_token(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(token)
    partial.replace(path)
    return token


def _new_token(settings: Settings) -> str:
    from vibe_app.accounts.roles import Actor, UserRole
    from vibe_app.accounts.tokens import Tokens
    from vibe_app.cli.database import users_of, with_database
    from vibe_app.db import Database

    async def make(database: Database) -> str:
        owner = Actor(UUID(int=0), UserRole.ADMIN, "", "this machine's user")
        admins = [user for user in await users_of(database).everyone(owner) if user.role is UserRole.ADMIN]
        if not admins:
            raise Fault(
                "There is no account yet: make it by the link that the server printed, or `vibe user add`."
            )
        admin = min(admins, key=lambda user: user.created_at)
        actor = Actor(admin.id, admin.role, admin.email, admin.name)
        made = await Tokens(database).add(
            actor, f"vibe run on {os.uname().nodename}"[:100], _TOKEN_DAYS, _TOKEN_SCOPES
        )
        assert made.token is not None
        return made.token

    return with_database(settings, make)


def server_of(data: Path) -> str | None:
    """Return the address of the server that runs on this data folder."""
    from vibe_app.cli.server import Running

    running = Running.on(data)
    return running.url if running else None
