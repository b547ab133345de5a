"""REST as one person asks it: again where an answer was lost, and no longer than somebody would wait."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

_AGAIN = 0.3
_ANSWER = httpx.Timeout(20.0, connect=3.0)
LONGEST = 240.0
"""Seconds after which what is asked for hangs, whatever is killed meanwhile."""


class Hangs(Exception):
    """Something that must end does not; the message says what."""


class Broken(Exception):
    """An answer that nobody should get; the message has it."""


class Person:
    """Somebody with a login.

    Args:
        client: Asks; shared by all.
        url: Where the API is.
        counts: How often something had to be asked again.
        token: The login; empty before there is one.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, counts: Counter[str], token: str = "") -> None:
        self._client = client
        self._url = url
        self._counts = counts
        self.token = token

    def other(self, token: str) -> Person:
        """Somebody else, with a login of their own."""
        return Person(self._client, self._url, self._counts, token)

    async def once(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """Ask once; None where no answer came, or the server says that it cannot just now."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        try:
            answer = await self._client.request(
                method, self._url + path, headers=headers, timeout=_ANSWER, **more
            )
        except httpx.TransportError:
            self._counts["no answer"] += 1
            return None
        if answer.status_code == 503:
            self._counts["status 503"] += 1
            return None
        return answer

    async def ask(
        self, method: str, path: str, expected: tuple[int, ...] = (200, 201), **more: Any
    ) -> httpx.Response:
        """Ask until somebody answers.

        Raises:
            Broken: With a status that is not expected.
            Hangs: Nobody does.
        """
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            answer = await self.once(method, path, **more)
            if answer is not None:
                if answer.status_code not in expected:
                    raise Broken(f"{method} {path} was answered {answer.status_code}: {answer.text[:400]}")
                return answer
            await asyncio.sleep(_AGAIN)
        raise Hangs(f"{method} {path} had no answer within {LONGEST:.0f} s")

    async def get(self, path: str, **params: Any) -> Any:
        """Read something."""
        return (await self.ask("GET", path, params=params)).json()


async def until(what: str, found: Callable[[], Awaitable[Any]], seconds: float = LONGEST) -> Any:
    """Return what `found` finds, once that is something.

    Raises:
        Hangs: It never is.
    """
    end = time.monotonic() + seconds
    while not (value := await found()):
        if time.monotonic() > end:
            raise Hangs(f"{what} is not so after {seconds:.0f} s")
        await asyncio.sleep(_AGAIN)
    return value
