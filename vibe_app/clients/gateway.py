"""The client of a workspace's gateway: messages of `wire.gateway` in and out, every failure as `Unavailable`.

It keeps nothing and never retries: who calls it knows what was stored and when to ask again. Every
call may be repeated without harm.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from vibe_app.clients.pool import Pool, Signed, signed, together, told
from vibe_app.errors import NotFound, Unavailable
from vibe_app.wire.gateway import Budget, Configuration, GatewayState, Spending, UsagePage

_LONGEST = 8 * 1024 * 1024
_LOST = "unreachable"
Message = TypeVar("Message", bound=BaseModel)


class Endpoint(Signed, Protocol):
    """Where a gateway takes the engine's calls: what a runtime hands out."""

    @property
    def gateway_url(self) -> str: ...


class GatewayClient(Pool):
    """Talks to gateways. Open it before use and close it after, or use it with `async with`.

    Args:
        connect: Seconds in which a gateway must accept a connection.
        answer: Seconds of silence after which a call is given up.
    """

    def __init__(self, *, connect: float = 2.0, answer: float = 5.0) -> None:
        super().__init__(httpx.Timeout(answer, connect=connect))

    async def configure(self, endpoint: Endpoint, configuration: Configuration) -> GatewayState:
        """Tell a gateway all that it works with, keys among it.

        Raises:
            Unavailable: It does not answer, or does not take it.
        """
        return await self._call(endpoint, "PUT", "/configuration", GatewayState, configuration)

    async def register(self, endpoint: Endpoint, session_id: str, budget: Budget) -> Spending:
        """Tell a gateway what a session may spend, and what it has spent already.

        Raises:
            Unavailable: It does not answer, or does not take it.
        """
        return await self._call(endpoint, "PUT", f"/sessions/{session_id}", Spending, budget)

    async def spending(self, endpoint: Endpoint, session_id: str) -> Spending | None:
        """Return how a session stands, None where nobody has registered it.

        Raises:
            Unavailable: It does not answer.
        """
        try:
            return await self._call(endpoint, "GET", f"/sessions/{session_id}", Spending)
        except NotFound:
            return None

    async def forget(self, endpoint: Endpoint, session_id: str) -> None:
        """Say that a session is over. Its requests stay until they are confirmed.

        Raises:
            Unavailable: It does not answer.
        """
        try:
            await self._call(endpoint, "DELETE", f"/sessions/{session_id}", GatewayState)
        except NotFound:
            return

    async def usage(self, endpoint: Endpoint, journal: str, after: int) -> UsagePage:
        """Return the requests after number `after` of a journal, and confirm those up to it.

        A gateway whose journal is another one answers with that from its beginning.

        Raises:
            Unavailable: It does not answer.
        """
        query = {"after": str(after)} | ({"journal": journal} if journal else {})
        return await self._call(endpoint, "GET", "/usage", UsagePage, query=query)

    async def ready(self, endpoint: Endpoint) -> bool:
        """Tell whether a gateway has been told what it works with since its own start.

        Raises:
            Unavailable: It does not answer.
        """
        with _translated():
            response = await self._http.get(f"{endpoint.gateway_url}/ready", auth=signed(endpoint))
            return response.is_success

    async def _call(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        kind: type[Message],
        body: BaseModel | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Message:
        with _translated():
            async with self._http.stream(
                method,
                f"{endpoint.gateway_url}{path}",
                auth=signed(endpoint),
                headers={} if body is None else {"Content-Type": "application/json"},
                params=query,
                content=None if body is None else body.model_dump_json().encode(),
            ) as response:
                content = await together(response.aiter_bytes(), _LONGEST)
                if response.status_code == 404:
                    raise NotFound("The workspace's gateway does not know this.")
                if not response.is_success:
                    reason = told(content)[0] or f"It answered with status {response.status_code}."
                    raise Unavailable(f"The workspace's gateway refuses: {reason}", "gateway_refuses")
            return kind.model_validate_json(content)


@contextmanager
def _translated() -> Generator[None]:
    """Turn what a foreign library raises into `Unavailable`. Cancellation and our own errors pass through."""
    try:
        yield
    except httpx.ConnectError as exc:
        raise Unavailable("The workspace's gateway cannot be reached.", _LOST) from exc
    except httpx.TimeoutException as exc:
        raise Unavailable("The workspace's gateway does not answer in time.", _LOST) from exc
    except (httpx.HTTPError, httpx.StreamError) as exc:
        raise Unavailable("The connection to the workspace's gateway was lost.", _LOST) from exc
    except httpx.InvalidURL as exc:
        raise Unavailable("The address of the workspace's gateway cannot be used.", _LOST) from exc
    except (ValidationError, ValueError, TypeError, RecursionError) as exc:
        # What a message holds is not repeated: it may be a key.
        raise Unavailable("The workspace's gateway sent what is not a message of ours.", _LOST) from exc
