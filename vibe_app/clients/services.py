"""Asks the services of a workspace over HTTP: how they are asked, what an answer is, their errors as ours.

The file browser's verbs are in `files`; for its sessions the sidecar has a client of its own, `sidecar`.
Nothing is read whole here that has no limit: files and archives are forwarded piece by piece.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import httpx

from vibe_app.clients import pool
from vibe_app.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge, Unavailable, VibeError

_REFUSALS: Mapping[int, type[VibeError]] = {403: Forbidden, 404: NotFound, 409: Conflict, 413: TooLarge}
# A service that died is started again within a few seconds.
_ATTEMPTS = 6
_PAUSE = 0.5
_CONNECT = 3.0
_ANSWER = 30.0
# OpenCode answers a message when the agent's turn is over; its stream sends something every 10 s.
_TURN = 7200.0
# A refusal names two paths at most, each of 4096 bytes that may take five characters.
_LONGEST_REFUSAL = 256 * 1024
_CODE = re.compile("[a-z0-9_]{1,64}")


class Endpoint(pool.Endpoint, Protocol):
    """Where the services answer and the token they want: what a runtime hands out."""

    @property
    def files_url(self) -> str: ...

    @property
    def proxy_url(self) -> str: ...


@dataclass(frozen=True)
class Call:
    """What a service is asked.

    Args:
        method: As HTTP has it.
        path: From the service's address.
        query: Names and values.
        headers: Beside the token. One that is no ASCII says nothing that a service of ours knows.
        content: The body, whole or as it comes.
        silence: Seconds without a byte after which it is given up.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | AsyncIterable[bytes] | None = None
    silence: float = _ANSWER


class Answer:
    """An answer whose content has not been read yet. Close it, also when nothing of it was read.

    Args:
        response: The other side's.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._kept = AsyncExitStack()
        self.status = response.status_code
        # One that is no ASCII says nothing that a service of ours says, and could not be sent on.
        self.headers: Mapping[str, str] = httpx.Headers(
            [(name, value) for name, value in response.headers.multi_items() if value.isascii()]
        )

    @property
    def kind(self) -> str:
        """Its media type."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the content as it comes.

        Raises:
            Unavailable: The connection broke: what came is not the whole.
        """
        with _translated():
            async for piece in self._response.aiter_raw():
                yield piece

    async def content(self, most: int) -> bytes:
        """Read the content to its end, and close the answer.

        Args:
            most: Bytes that it may have.

        Raises:
            Unavailable: The connection broke.
            ValueError: It has more.
        """
        try:
            return await pool.together(self.pieces(), most)
        finally:
            await self.close()

    def keep(self, stack: AsyncExitStack) -> None:
        """Keep what was entered for this answer, until it is closed."""
        self._kept.push_async_exit(stack)

    async def close(self) -> None:
        """Let the connection go, and what was kept for it."""
        async with self._kept:
            await self._response.aclose()


class WorkspaceClient(pool.Pool):
    """Asks file browsers, session proxies, and sidecars for what is no session. Open and close it."""

    def __init__(self) -> None:
        super().__init__(httpx.Timeout(_ANSWER, connect=_CONNECT), {"Accept-Encoding": "identity"})

    async def ask(
        self,
        url: str,
        endpoint: Endpoint,
        call: Call,
        is_ours: Callable[[Answer], bool] = lambda _: True,
    ) -> Answer:
        """Return what a service answers. Close the answer.

        Args:
            url: The service's address, of those that the endpoint has.
            endpoint: Holds the token.
            call: What it is asked.
            is_ours: Whether an answer is the service's own, so that one of 400 and more is a refusal.

        Raises:
            VibeError: The service's refusal, as ours.
            InvalidRequest: What it is asked is too long for an address.
            Unavailable: The service does not answer, or is none.
        """
        if not url:
            raise Unavailable("This workspace has no such service.", "no_such_service")
        try:
            request = self._http.build_request(
                call.method,
                f"{url}{call.path}",
                params=httpx.QueryParams(tuple(call.query)),
                headers={name: value for name, value in call.headers.items() if value.isascii()},
                content=call.content,
                timeout=httpx.Timeout(call.silence, connect=_CONNECT),
            )
        except httpx.InvalidURL as error:  # of more than 64 KiB: it came from whoever asks
            words = "This asks for more than an address can hold. Shorten it."
            raise InvalidRequest(words, "too_long") from error
        with _translated():
            answer = Answer(await self._send(request, endpoint))
        if answer.status >= 400 and answer.status != 416 and is_ours(answer):
            raise await _refusal(answer)
        return answer

    async def opencode(self, endpoint: Endpoint, call: Call) -> Answer:
        """Return what OpenCode answers, as far as the session proxy lets it pass. Close the answer.

        A refusal of OpenCode's own is an answer; one of the proxy's is an error.

        Raises:
            Forbidden: This call does not pass.
            InvalidRequest: What the call asks for does not pass, or it asks for OpenCode's web page.
            TooLarge: The body is too large.
            Unavailable: OpenCode or the proxy does not answer.
        """
        answer = await self.ask(endpoint.proxy_url, endpoint, replace(call, silence=_TURN), _is_proxys_own)
        if answer.status != 204 and answer.kind not in ("application/json", "text/event-stream"):
            await answer.close()
            raise InvalidRequest(
                "OpenCode's web page is not served here, only its interface.", "not_an_interface"
            )
        return answer

    async def _send(self, request: httpx.Request, endpoint: Endpoint) -> httpx.Response:
        auth = pool.signed(endpoint)
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._http.send(request, auth=auth, stream=True)
            except httpx.ConnectError:
                # Nothing was sent yet.
                await asyncio.sleep(_PAUSE)
        return await self._http.send(request, auth=auth, stream=True)


async def lasting(held: AbstractAsyncContextManager[None], asked: Awaitable[Answer]) -> Answer:
    """Return an answer for which something is held until it is closed, such as its workspace awake."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held)
        answer = await asked
        answer.keep(stack.pop_all())
        return answer


def _is_proxys_own(answer: Answer) -> bool:
    return "x-from-opencode" not in answer.headers


async def _refusal(answer: Answer) -> VibeError:
    try:
        sentence, code = pool.told(await answer.content(_LONGEST_REFUSAL))
    except ValueError:
        sentence = code = ""
    if not sentence or not _CODE.fullmatch(code):
        return Unavailable(
            "Something other than the workspace answers: restart the workspace.", "not_a_service"
        )
    if answer.status == 401:
        return Unavailable(
            "The workspace does not accept this installation's token: restart the workspace.", "unauthorized"
        )
    if answer.status >= 500:
        return Unavailable(sentence, code)
    return _REFUSALS.get(answer.status, InvalidRequest)(sentence, code)


@contextmanager
def _translated() -> Generator[None]:
    """Turn what a foreign library raises into `Unavailable`. Cancellation and our own errors pass through."""
    try:
        yield
    except httpx.ConnectError as exc:
        raise Unavailable("The workspace cannot be reached: try again soon.", "unreachable") from exc
    except httpx.TimeoutException as exc:
        raise Unavailable("The workspace does not answer in time.", "unreachable") from exc
    except (httpx.HTTPError, httpx.StreamError) as exc:
        raise Unavailable("The connection to the workspace was lost.", "unreachable") from exc
    except httpx.InvalidURL as exc:
        raise Unavailable("The workspace's address cannot be used.", "unreachable") from exc
    except (ValueError, TypeError) as exc:
        raise Unavailable("The workspace sent what is not a message of ours.", "unreachable") from exc
