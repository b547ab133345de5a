"""What every client of a workspace's services stands on: a pool of connections, bounds, refusals."""

from __future__ import annotations

import functools
import json
import ssl
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, Protocol, Self

import httpx

from vibe_app.shapes import shaped
from vibe_app.wire import Refusal, unicode_text
from vibe_app.wire.proof import signed_in


class Signed(Protocol):
    """The token that a workspace's services want, and whether they prove themselves before they get it."""

    @property
    def token(self) -> str: ...

    @property
    def proves(self) -> bool: ...


class Endpoint(Signed, Protocol):
    """Where a service answers: what a runtime hands out."""

    @property
    def url(self) -> str: ...


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the certificates that are trusted, which take some 30 ms to read."""
    return httpx.create_ssl_context()


_MADE = ("connection.connect_tcp.complete", "connection.start_tls.complete")
"""What httpcore tells a request's `trace` of a new connection, which it tells with it as `return_value`:
https://www.encode.io/httpcore/extensions/#trace"""


class _Connections(httpx.AsyncHTTPTransport):
    """Connections of which none is left once it is closed.

    httpcore closes what it has at that moment. A connection that is still being made is forgotten by it: the
    request would go on, be answered, and leave it open. Here it is closed as soon as it stands.
    """

    _closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        # Whoever listens already is the proof that comes before all else on a new connection.
        listening = request.extensions.get("trace")

        async def heard(event: str, info: dict[str, Any]) -> None:
            if listening is not None:
                await listening(event, info)
            if self._closed and event in _MADE:
                await info["return_value"].aclose()

        request.extensions = {**request.extensions, "trace": heard}
        return await super().handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        await super().aclose()


class Pool:
    """Connections that are opened once. Open it before use and close it after, or use it with `async with`.

    Args:
        timeout: In which connections are made and answers begin.
        headers: What every request says.
    """

    def __init__(self, timeout: httpx.Timeout, headers: Mapping[str, str] | None = None) -> None:
        self._timeout = timeout
        self._headers = headers
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the connection pool."""
        # A proxy named in the environment must not carry what is on loopback or inside the cluster. Streams
        # hold a connection each, so a bound on the pool would be a hidden bound on live sessions.
        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            headers=self._headers,
            trust_env=False,
            transport=_Connections(
                trust_env=False,
                verify=_trusted(),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            ),
        )

    async def close(self) -> None:
        """Close every connection. What is still being read ends with an error."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            raise RuntimeError(f"{type(self).__name__} is used before open() or after close()")
        return self._client


def signed(endpoint: Signed) -> Callable[[httpx.Request], httpx.Request]:
    """Return what signs a request in at a service that has proven itself: the `auth` of each request."""
    return signed_in(endpoint.token, proves=endpoint.proves)


async def together(pieces: AsyncIterable[bytes], most: int) -> bytes:
    """Put together what comes in pieces.

    Args:
        pieces: What comes.
        most: Bytes that it may have.

    Raises:
        ValueError: It has more.
    """
    found = bytearray()
    async for piece in pieces:
        found += piece
        if len(found) > most:
            raise ValueError(f"more than {most} bytes")
    return bytes(found)


def told(body: bytes) -> tuple[str, str]:
    """Return the sentence and the code of a refusal, empty where it has none."""
    try:
        answer = shaped(Refusal, json.loads(body))
        return unicode_text(answer.get("error") or answer.get("detail") or ""), answer.get("code", "")
    except (ValueError, RecursionError):
        return "", ""
