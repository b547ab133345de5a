"""A pool of connections to services of workspaces: what every client of one stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

import httpx


class Endpoint(Protocol):
    """Where a service answers and the token it wants: what a runtime hands out."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...


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
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
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


def authorization(endpoint: Endpoint) -> dict[str, str]:
    """Return the header that a service wants to see."""
    return {"Authorization": f"Bearer {endpoint.token}"}
