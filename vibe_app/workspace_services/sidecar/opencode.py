"""The client of OpenCode's own HTTP interface: JSON out, JSON in, no meaning added.

What comes in is taken as far as it has the shapes of `opencode_json`.

Only the routes of its first API are used. An unknown path answers a web page with
status 200, so every answer's content type is checked. The interface was measured
with OpenCode 1.18.33.

OpenCode works in one folder per request (`x-opencode-directory`) and holds an instance for each: its
configuration, what is busy there, what waits for an answer. Only the events of all of them come in one
stream, `/global/event`, which needs no instance and goes on when one is disposed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

import httpx

from vibe_app.shapes import shaped
from vibe_app.workspace_services.sidecar.opencode_json import (
    Event,
    Message,
    Request,
    Rule,
    SessionInfo,
    Settings,
    Status,
    Todo,
)

Json = dict[str, Any]


class _Enveloped(TypedDict, total=False):
    payload: Event


# OpenCode sends a heartbeat every 10 s; three missing ones mean that it hangs.
_SILENCE = 35.0
_ANSWER = 20.0
_KNOCK = 1.0
_LONGEST_LINE = 64 * 1024 * 1024
_EVENTS = "/global/event"


class OpenCodeError(Exception):
    """OpenCode could not be asked, or did not answer as its interface promises."""


class OpenCodeGone(OpenCodeError):
    """Nothing answers at OpenCode's address, or the connection broke."""


class OpenCodeSilent(OpenCodeGone):
    """Something holds OpenCode's address but does not answer in time: it may only be busy."""


class OpenCodeMissing(OpenCodeError):
    """OpenCode does not know what was asked for (404)."""


class OpenCode:
    """One OpenCode server, seen from one folder.

    Args:
        url: Its address.
        folder: The folder in which it works.
        password: Its password; empty when it has none.
    """

    def __init__(self, url: str, folder: Path, password: str = "") -> None:
        self.folder = folder
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=("opencode", password) if password else None,
            # A proxy in the environment must never see a request to the machine itself.
            trust_env=False,
        )

    def at(self, folder: Path) -> OpenCode:
        """Return the same server as it is seen from another folder, by the same connections."""
        other = copy(self)
        other.folder = folder
        return other

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def settings(self) -> Settings:
        """Return the configuration that OpenCode's instance of the folder has; one begins if need be."""
        return shaped(Settings, await self._call("GET", "/config"))

    async def dispose(self) -> None:
        """End OpenCode's instance of the folder; the next request begins another. What is busy there ends."""
        await self._call("POST", "/instance/dispose")

    async def create_session(self, title: str, permission: list[Rule]) -> str:
        """Make an OpenCode session and return its id. With a title, OpenCode asks the model for none."""
        answer = await self._call("POST", "/session", {"title": title, "permission": permission})
        if not (made := shaped(SessionInfo, answer).get("id")):
            raise OpenCodeError("OpenCode made a session without an id")
        return made

    async def prompt(self, session: str, text: str, model: str | None = None, noted: str = "") -> None:
        """Hand over the prompt; OpenCode works on it after the answer.

        Args:
            session: The conversation.
            text: What is said.
            model: Who is to answer, as provider/model.
            noted: The board's session for which it is said: the transcript tells it with the message.
        """
        part: Json = {"type": "text", "text": text}
        if noted:
            part["metadata"] = {"vibe_session": noted}
        body: Json = {"parts": [part]}
        if model:
            provider, _, name = model.partition("/")
            body["model"] = {"providerID": provider, "modelID": name}
        await self._call("POST", f"/session/{session}/prompt_async", body)

    async def session(self, session: str) -> SessionInfo:
        """Return what OpenCode knows about a session: cost, tokens, title.

        Raises:
            OpenCodeMissing: It does not know the session.
        """
        return shaped(SessionInfo, await self._call("GET", f"/session/{session}"))

    async def children(self, session: str) -> list[SessionInfo]:
        """Return the sessions of the sub-agents that a session started."""
        return shaped(list[SessionInfo], await self._call("GET", f"/session/{session}/children"))

    async def messages(self, session: str, newest: int = 0) -> list[Message]:
        """Return a transcript: a list of `{info, parts}`, oldest first.

        Args:
            session: The session.
            newest: How many of it; 0 for the whole.
        """
        asked = f"?limit={newest}" if newest else ""
        return shaped(list[Message], await self._call("GET", f"/session/{session}/message{asked}"))

    async def remove_message(self, session: str, message: str) -> None:
        """Take a message out of the transcript of an idle session."""
        await self._call("DELETE", f"/session/{session}/message/{message}")

    async def todos(self, session: str) -> list[Todo]:
        """Return the agent's own list of things to do, empty where it has none."""
        return shaped(list[Todo], await self._call("GET", f"/session/{session}/todo"))

    async def shell(self, session: str, command: str, limit: float) -> Message:
        """Run a command as a session's person would, and return what became of it once it has ended.

        Args:
            session: Whose transcript shows it; it is busy meanwhile, and `abort` ends the command.
            command: Is put between double quotes as it is: it must hold nothing that means something there.
            limit: Seconds to wait; the command goes on after that.
        """
        body = {"agent": "build", "command": command}
        return shaped(Message, await self._call("POST", f"/session/{session}/shell", body, limit))

    async def delete_session(self, session: str) -> None:
        """Delete an idle session."""
        await self._call("DELETE", f"/session/{session}")

    async def statuses(self) -> dict[str, Status]:
        """Return the folder's sessions that are not idle, by id."""
        return shaped(dict[str, Status], await self._call("GET", "/session/status"))

    async def abort(self, session: str) -> None:
        """Stop what a session does; harmless when it does nothing."""
        await self._call("POST", f"/session/{session}/abort")

    async def pending(self, kind: str) -> list[Request]:
        """Return what waits for an answer: `permission` or `question` requests."""
        return shaped(list[Request], await self._call("GET", f"/{kind}"))

    async def reject_permission(self, request: str, message: str) -> None:
        """Refuse a permission; the message goes to the model, which then goes on."""
        await self._call("POST", f"/permission/{request}/reply", {"reply": "reject", "message": message})

    async def answer_question(self, request: str, answers: list[list[str]]) -> None:
        """Answer each part of a question with a list of texts."""
        await self._call("POST", f"/question/{request}/reply", {"answers": answers})

    async def knock(self) -> None:
        """Return once the server answers at all.

        A request that arrives in the moment in which OpenCode opens its port is never
        answered (measured), so this waits only shortly, to be tried again.

        Raises:
            OpenCodeError: It does not answer.
        """
        await self._call("GET", "/global/health", limit=_KNOCK)

    @asynccontextmanager
    async def events(self) -> AsyncGenerator[AsyncIterator[Event]]:
        """Open the stream of the events of all folders; entering returns once OpenCode has subscribed.

        Raises:
            OpenCodeError: It cannot be opened, is not an event stream, or breaks.
        """
        timeout = httpx.Timeout(_SILENCE, connect=3)
        try:
            headers = {"accept-encoding": "identity"}
            async with self._client.stream("GET", _EVENTS, headers=headers, timeout=timeout) as response:
                if response.status_code != 200:
                    raise _refused("GET", _EVENTS, response.status_code, "")
                _expect(response, "text/event-stream")
                frames = _frames(response)
                first = await anext(frames, None)
                if first is None or first.get("type") != "server.connected":
                    raise OpenCodeError("OpenCode's event stream did not start with server.connected")
                yield frames
        except httpx.HTTPError as error:
            raise _gone(error, "The connection to OpenCode broke") from error

    async def _call(self, method: str, path: str, body: Json | None = None, limit: float = _ANSWER) -> object:
        try:
            headers = {"x-opencode-directory": quote(str(self.folder))}
            response = await self._client.request(method, path, json=body, timeout=limit, headers=headers)
        except httpx.HTTPError as error:
            raise _gone(error, f"OpenCode does not answer {method} {path}") from error
        if response.status_code == 404:
            raise OpenCodeMissing(f"OpenCode does not know {path}")
        if response.status_code >= 400:
            raise _refused(method, path, response.status_code, response.text)
        if response.status_code == 204:
            return None
        _expect(response, "application/json")
        return _decoded(response.content)


def _expect(response: httpx.Response, kind: str) -> None:
    found = response.headers.get("content-type", "").partition(";")[0]
    if found != kind:
        raise OpenCodeError(
            f"OpenCode answered {response.url.path} with {found or 'nothing'} instead of {kind}"
        )


def _refused(method: str, path: str, status: int, text: str) -> OpenCodeError:
    if status == 401:
        return OpenCodeError("OpenCode refused the password (OPENCODE_SERVER_PASSWORD differs)")
    return OpenCodeError(f"OpenCode answered {method} {path} with status {status}: {text[:300]}")


def _gone(error: httpx.HTTPError, words: str) -> OpenCodeGone:
    kind = OpenCodeSilent if isinstance(error, httpx.ReadTimeout) else OpenCodeGone
    return kind(f"{words}: {str(error) or type(error).__name__}")


def _decoded(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OpenCodeError(f"OpenCode sent an event that is not JSON: {data[:100]!r}") from error


async def _frames(response: httpx.Response) -> AsyncIterator[Event]:
    # Each event is one `data:` line of JSON; httpx's aiter_lines also splits at U+2028 and its
    # kin, which may stand unescaped inside JSON, so lines are cut at newlines only.
    rest = b""
    async for chunk in response.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield shaped(_Enveloped, _decoded(line[5:])).get("payload") or {}
        if len(rest) > _LONGEST_LINE:
            raise OpenCodeError("OpenCode sent an event that is too long to be one")
