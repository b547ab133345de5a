"""What the small services of a workspace share: their environment, the token, errors, streams, the server.

It stands on Starlette alone, so that a service costs a few tens of megabytes; the
sidecar proper, with its messages and models, is `vibe_app.workspace_services.sidecar.app`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ctypes
import secrets
import sys
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app import errors
from vibe_app.log import set_up
from vibe_app.wire import KEEP_ALIVE
from vibe_app.wire.proof import NONCE, PATH, Proof, proof_of

OPEN_PATHS = frozenset({"/health", "/ready"})
SLOW_READER = 60.0
"""Seconds in which a reader must take what it is sent."""

_STATUS: Mapping[type[errors.VibeError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.InvalidRequest: 400,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
    errors.Unauthenticated: 401,
}
_PR_SET_DUMPABLE = 4
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Listening:
    """Where a service listens, what it logs and the token that it wants.

    Args:
        token: `Authorization: Bearer <token>` of every call but `/health` and `/ready`.
        host: Address to listen on.
        port: Port to listen on.
        log_level: `debug`, `info`, `warning` or `error`.
    """

    token: str
    host: str = "127.0.0.1"
    port: int = 0
    log_level: str = "info"


class Environment:
    """Reads variables and gathers one sentence for each that cannot be used.

    Args:
        env: The variables.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.faults: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A variable as it is, or the default where it is empty."""
        return self._env.get(name) or default

    def required(self, name: str) -> str:
        """A variable that must be set."""
        if not self._env.get(name):
            self.faults.append(f"{name} must be set.")
        return self._env.get(name, "")

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number in a range."""
        given = self._env.get(name) or str(default)
        if not (given.isascii() and given.isdigit()) or not least <= int(given) <= most:
            self.faults.append(f"{name} must be a number from {least} to {most}, not {given!r}.")
            return default
        return int(given)

    def listening(self, port: int) -> Listening:
        """Where to listen, from SIDECAR_TOKEN, HOST, PORT and LOG_LEVEL."""
        level = self.text("LOG_LEVEL", "info").lower()
        if level not in _LEVELS:
            self.faults.append(f"LOG_LEVEL must be debug, info, warning or error, not {level!r}.")
        return Listening(
            token=self.required("SIDECAR_TOKEN"),
            host=self.text("HOST", Listening.host),
            port=self.number("PORT", port, 1, 65535),
            log_level=level,
        )

    def check(self) -> None:
        """Raise what was gathered.

        Raises:
            ValueError: One sentence for each variable that cannot be used, a line each.
        """
        if self.faults:
            raise ValueError("\n".join(self.faults))


class Proving:
    """Proves to whoever asks that this service knows its token: `GET /proof`, see `wire.proof`.

    Args:
        app: What it stands before.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET":
            return await self._proof(Request(scope))(scope, receive, send)
        await self._app(scope, receive, send)

    def _proof(self, request: Request) -> JSONResponse:
        nonce = request.query_params.get("nonce", "")
        client, server = request.client, request.scope.get("server")
        if not NONCE.fullmatch(nonce) or client is None or not server:
            return answer("A nonce has 32 to 128 hex digits.", "invalid_nonce", 400)
        try:
            proof = proof_of(self._token, nonce, (client.host, client.port), (server[0], server[1]))
        except ValueError:
            return answer("This connection has no addresses.", "no_addresses", 400)
        return JSONResponse(Proof(proof=proof))


class Token:
    """Lets nobody pass without the token: `Bearer <token>`, or, where `basic`, as a password.

    Args:
        app: What it stands before.
        token: The token.
        basic: Whether HTTP Basic with the token as password will do as well, for browsers.
    """

    def __init__(self, app: ASGIApp, token: str, basic: bool = False) -> None:
        self._app = app
        self._token = token.encode()
        self._basic = basic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._allows(scope):
            refusal = answer(
                "The Authorization header must carry this service's token.", "unauthenticated", 401
            )
            if self._basic:
                refusal.headers["WWW-Authenticate"] = 'Basic realm="OpenCode", charset="UTF-8"'
            return await refusal(scope, receive, send)
        await self._app(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        given = Headers(scope=scope).get("authorization", "").encode("latin-1", "replace")
        kind, _, value = given.partition(b" ")
        if self._basic and kind.lower() == b"basic":
            try:
                value = base64.b64decode(value, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif kind.lower() != b"bearer":
            return False
        return secrets.compare_digest(value, self._token)


class Stream(StreamingResponse):
    """A stream that gives up on a reader which takes nothing for a minute.

    Args:
        content: What to send.
        status_code: Its status.
        headers: Its headers.
        media_type: What it is.
        close: Called at the end, however it ends, also when nothing was sent.
    """

    def __init__(
        self,
        content: AsyncIterable[bytes],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        close: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._close is not None:
                self._close()

    async def stream_response(self, send: Send) -> None:
        async def timed(message: Message) -> None:
            async with asyncio.timeout(SLOW_READER):
                await send(message)

        try:
            await super().stream_response(timed)
        except (TimeoutError, ConnectionResetError):
            # Returning before the last chunk makes the server break the connection.
            return


def application(
    routes: Sequence[Route], listening: Listening, *, name: str, basic: bool = False, **more: Any
) -> Starlette:
    """Make a service: the token before everything, every failure in the project's form.

    Args:
        routes: The service's own.
        listening: Holds the token.
        name: What the service is called in sentences, for example "The file browser".
        basic: See `Token`.
        more: Passed on to Starlette.
    """

    async def fault(request: Request, error: Exception) -> JSONResponse:
        return answer(f"{name} met a fault of its own; its log says more.", "internal", 500)

    handlers = {errors.VibeError: refused, HTTPException: _http, Exception: fault}
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Proving, token=listening.token),
            Middleware(Token, token=listening.token, basic=basic),
        ],
        exception_handlers=handlers,
        **more,
    )


def answer(sentence: str, code: str, status: int) -> JSONResponse:
    """Make the answer for one failure."""
    return JSONResponse({"error": sentence, "code": code}, status)


async def refused(_: Request, error: Exception) -> JSONResponse:
    """Make the answer for an expected failure."""
    assert isinstance(error, errors.VibeError)
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    return answer(error.message, error.code, status)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "no_such_route", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    sentence = f"{error.detail}: {request.method} {request.url.path[:200]}."
    return answer(sentence, code, error.status_code)


def hide() -> None:
    """Keep this process's memory and environment from others of the same user (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def serve(app: ASGIApp, listening: Listening) -> None:
    """Serve until a signal; open streams are given a second then."""
    set_up(listening.log_level)
    uvicorn.run(
        app,
        host=listening.host,
        port=listening.port,
        http="h11",
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who asks is part of a proof, and nobody's to say.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
