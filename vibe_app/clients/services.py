"""The client of a workspace's file browser and session proxy: what they answer, and their errors as ours.

For its sessions the sidecar has a client of its own, `agent`. Nothing is read whole here that has no
limit at the other side: files and archives are forwarded piece by piece.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from vibe_app.errors import Conflict, Forbidden, InvalidRequest, NotFound, TooLarge, Unavailable, VibeError

_REFUSALS: Mapping[int, type[VibeError]] = {403: Forbidden, 404: NotFound, 409: Conflict, 413: TooLarge}
# A service that died is started again within a few seconds.
_ATTEMPTS = 6
_PAUSE = 0.5
_CONNECT = 3.0
_ANSWER = 30.0
# Putting a large file on the disk for good takes its time.
_WRITTEN = 120.0
# OpenCode answers a message when the agent's turn is over; its stream sends something every 10 s.
_TURN = 7200.0

Json = dict[str, Any]


class Endpoint(Protocol):
    """Where the services answer and the token they want: what a runtime hands out."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...

    @property
    def files_url(self) -> str: ...

    @property
    def proxy_url(self) -> str: ...


class Answer:
    """An answer whose content has not been read yet. Close it, also when nothing of it was read.

    Args:
        response: The other side's.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._kept = AsyncExitStack()
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def kind(self) -> str:
        """Its media type."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content as it comes.

        Raises:
            Unavailable: The connection broke: what came is not the whole.
        """
        with _translated("workspace"):
            async for piece in self._response.aiter_raw():
                yield piece

    def keep(self, stack: AsyncExitStack) -> None:
        """Keep what was entered for this answer, until it is closed."""
        self._kept.push_async_exit(stack)

    async def close(self) -> None:
        """Let the connection go, and what was kept for it."""
        async with self._kept:
            await self._response.aclose()


class WorkspaceClient:
    """Talks to file browsers and session proxies. Open it before use and close it after."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Make the shared connection pool."""
        # A proxy named in the environment must not carry what is on loopback or inside the cluster.
        self._client = httpx.AsyncClient(
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(_ANSWER, connect=_CONNECT),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    async def close(self) -> None:
        """Close every connection. What is still being read ends with an error."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def list_folder(self, endpoint: Endpoint, path: str, page: int, page_size: int) -> Json:
        """Return `{"path", "entries", "total_count"}` of a folder: one page, folders first.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
            Unavailable: The file browser does not answer.
        """
        return await self._json(endpoint, "GET /files", path=path, page=page, page_size=page_size)

    async def read_file(self, endpoint: Endpoint, path: str, offset: int, length: int | None) -> Json:
        """Return `{"path", "size", "offset", "encoding", "content", "version"}` of a file or a part of it.

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
            TooLarge: It is larger than is read in one piece.
            Unavailable: The file browser does not answer.
        """
        return await self._json(endpoint, "GET /files/content", path=path, offset=offset, length=length)

    async def write_file(
        self,
        endpoint: Endpoint,
        path: str,
        content: AsyncIterable[bytes],
        *,
        version: str | None,
        overwrite: bool,
        parents: bool,
    ) -> Json:
        """Put a file in place, whole or not at all, and return `{"path", "size", "version", "created"}`.

        Raises:
            Conflict: Something else is there than the version says.
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: A folder on the way is missing.
            TooLarge: It is larger than the limit.
            Unavailable: The file browser does not answer, or the disk is full.
        """
        answer = await self._ask(
            endpoint.files_url,
            "PUT",
            "/files/content",
            token=endpoint.token,
            params=_params({"path": path, "overwrite": overwrite, "parents": parents}),
            headers={"If-Match": f'"{version}"'} if version else None,
            content=content,
            silence=_WRITTEN,
        )
        return await _object(answer) | {"created": answer.status == 201}

    async def search(self, endpoint: Endpoint, query: str, path: str, *, text: bool, ignored: bool) -> Json:
        """Return `{"results", "truncated"}` of a search.

        Raises:
            InvalidRequest: There is nothing to look for.
            NotFound: There is no such folder.
            Unavailable: The file browser does not answer.
        """
        return await self._json(
            endpoint, "GET /files/search", query=query, path=path, text=text, ignored=ignored
        )

    async def changed(self, endpoint: Endpoint, since: int, until: int | None) -> Json:
        """Return `{"results", "truncated"}`: the files last written in a span of time.

        Raises:
            Unavailable: The file browser does not answer.
        """
        return await self._json(endpoint, "GET /files/changed", since=since, until=until)

    async def make_folder(self, endpoint: Endpoint, path: str, parents: bool) -> Json:
        """Make a folder and return `{"path"}`.

        Raises:
            Conflict: Something is there already.
            NotFound: A folder on the way is missing.
            Unavailable: The file browser does not answer.
        """
        return await self._json(endpoint, "POST /files/folder", path=path, parents=parents)

    async def move(self, endpoint: Endpoint, path: str, to: str, parents: bool) -> Json:
        """Give a file or folder another name or place and return its new `{"path"}`.

        Raises:
            Conflict: Something is at the new place already.
            NotFound: There is nothing to move, or no folder to move it to.
            Unavailable: The file browser does not answer.
        """
        return await self._json(endpoint, "POST /files/move", path=path, to=to, parents=parents)

    async def delete(self, endpoint: Endpoint, path: str) -> None:
        """Delete a file, or a folder with all that it holds.

        Raises:
            NotFound: There is no such thing.
            Unavailable: The file browser does not answer.
        """
        answer = await self._files(endpoint, "DELETE /files", {"path": path})
        await answer.close()

    async def download(self, endpoint: Endpoint, path: str, headers: Mapping[str, str]) -> Answer:
        """Return a file to be streamed. Close the answer.

        Args:
            endpoint: Which workspace.
            path: Which file.
            headers: `Range` and `If-Range` are passed on.

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
            Unavailable: The file browser does not answer.
        """
        passed = {name: headers[name] for name in ("range", "if-range") if name in headers}
        return await self._files(endpoint, "GET /files/download", {"path": path}, passed)

    async def archive(self, endpoint: Endpoint, path: str) -> Answer:
        """Return a folder as a `.tar.gz` to be streamed. Close the answer.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
            TooLarge: It holds more than an archive may.
            Unavailable: The file browser does not answer.
        """
        return await self._files(endpoint, "GET /files/archive", {"path": path})

    async def output(self, endpoint: Endpoint, name: str) -> Answer:
        """Return all of a long output of a command, to be streamed. Close the answer.

        Args:
            endpoint: Which workspace.
            name: As the output says it.

        Raises:
            NotFound: It is not kept, or not any more.
            Unavailable: The sidecar does not answer.
        """
        path = f"/outputs/{quote(name, safe='')}"
        return await self._ask(endpoint.url, "GET", path, token=endpoint.token, params=[])

    async def opencode(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:
        """Return what OpenCode answers, as far as the session proxy lets it pass. Close the answer.

        A refusal of OpenCode's own is an answer; one of the proxy's is an error.

        Raises:
            Forbidden: This call does not pass.
            InvalidRequest: What the call asks for does not pass.
            TooLarge: The body is too large.
            Unavailable: OpenCode or the proxy does not answer.
        """
        return await self._ask(
            endpoint.proxy_url,
            method,
            path,
            token=endpoint.token,
            params=query,
            headers=headers,
            content=body or None,
            silence=_TURN,
            is_ours=_is_proxys_own,
        )

    async def _files(
        self, endpoint: Endpoint, call: str, params: Json, headers: Mapping[str, str] | None = None
    ) -> Answer:
        method, _, route = call.partition(" ")
        return await self._ask(
            endpoint.files_url, method, route, token=endpoint.token, params=_params(params), headers=headers
        )

    async def _json(self, endpoint: Endpoint, call: str, **params: object) -> Json:
        return await _object(await self._files(endpoint, call, params))

    async def _ask(
        self,
        url: str,
        method: str,
        path: str,
        *,
        token: str,
        params: list[tuple[str, str]],
        headers: Mapping[str, str] | None = None,
        content: AsyncIterable[bytes] | bytes | None = None,
        silence: float = _ANSWER,
        is_ours: Callable[[Answer], bool] = lambda _: True,
    ) -> Answer:
        if self._client is None:
            raise RuntimeError("WorkspaceClient is used before open() or after close()")
        if not url:
            raise Unavailable("This workspace has no such service.", "no_such_service")
        request = self._client.build_request(
            method,
            f"{url}{path}",
            params=httpx.QueryParams(tuple(params)),
            # A header that is no ASCII says nothing that a service of ours knows.
            headers={
                **{name: value for name, value in (headers or {}).items() if value.isascii()},
                "Authorization": f"Bearer {token}",
            },
            content=content,
            timeout=httpx.Timeout(silence, connect=_CONNECT),
        )
        with _translated("workspace"):
            answer = Answer(await self._send(request))
        if answer.status >= 400 and answer.status != 416 and is_ours(answer):
            raise await _refusal(answer)
        return answer

    async def _send(self, request: httpx.Request) -> httpx.Response:
        assert self._client is not None
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._client.send(request, stream=True)
            except httpx.ConnectError:
                # Nothing was sent yet.
                await asyncio.sleep(_PAUSE)
        return await self._client.send(request, stream=True)


def _params(given: Json) -> list[tuple[str, str]]:
    words = {True: "true", False: "false"}
    return [
        (name, words[value] if isinstance(value, bool) else str(value))
        for name, value in given.items()
        if value is not None
    ]


def _is_proxys_own(answer: Answer) -> bool:
    return "x-from-opencode" not in answer.headers


async def _content(answer: Answer) -> bytes:
    try:
        return b"".join([piece async for piece in answer.pieces()])
    finally:
        await answer.close()


async def _object(answer: Answer) -> Json:
    content = await _content(answer)
    with _translated("file browser"):
        found = json.loads(content)
        if not isinstance(found, dict):
            raise TypeError("an object was expected")
        return found


async def _refusal(answer: Answer) -> VibeError:
    try:
        found = json.loads(await _content(answer))
        sentence, code = str(found["error"]), str(found["code"])
    except (ValueError, KeyError, TypeError):
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
def _translated(what: str) -> Iterator[None]:
    """Turn what a foreign library raises into `Unavailable`. Cancellation and our own errors pass through."""
    try:
        yield
    except httpx.ConnectError as exc:
        raise Unavailable(f"The {what} cannot be reached: try again soon.", "unreachable") from exc
    except httpx.TimeoutException as exc:
        raise Unavailable(f"The {what} does not answer in time.", "unreachable") from exc
    except (httpx.HTTPError, httpx.StreamError) as exc:
        raise Unavailable(f"The connection to the {what} was lost.", "unreachable") from exc
    except httpx.InvalidURL as exc:
        raise Unavailable(f"The {what}'s address cannot be used.", "unreachable") from exc
    except (ValueError, TypeError) as exc:
        raise Unavailable(f"The {what} sent what is not a message of ours.", "unreachable") from exc
