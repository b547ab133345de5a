"""The session proxy's HTTP interface: takes a request, forwards what may pass, streams the answer back.

Which requests may is in `allowed`. OpenCode's password goes in here and comes out
nowhere; the folder that OpenCode works in is always a card's tree, which the caller names
(`?task=7`, or the tree's own path as `directory`, as OpenCode's page does). Answers are
streamed. Requests are JSON and looked at before they pass, so they have a limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vibe_app.errors import Forbidden, InvalidRequest, NotFound, TooLarge, Unavailable
from vibe_app.inside import folder
from vibe_app.workspace_services.common.serving import Environment, Listening, Stream, answer, application
from vibe_app.workspace_services.session_proxy import allowed, attachments

_LARGEST_BODY = 16 * 1024 * 1024
_LARGEST_ANSWER = 16 * 1024 * 1024
_KNOCK = 1.0
_ANSWER = 120.0
# OpenCode sends a heartbeat every 10 s; three missing ones mean that it hangs.
_SILENCE = 35.0
# `POST /session/{id}/message` answers when the agent's turn is over.
_TURN = 7200.0
_TURNS = re.compile(r"/session/[^/]+/(?:message|summarize)")

_UP = ("accept", "accept-language", "content-type", "last-event-id")
_DOWN = ("content-type", "content-length", "content-disposition", "etag", "last-modified")
_METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE"]


@dataclass(frozen=True)
class Config:
    """What the environment said; the table is in `vibe_app.workspace_services.session_proxy.__main__`."""

    workspace: str
    listening: Listening
    opencode_url: str = "http://127.0.0.1:3000"
    opencode_password: str = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Config:
        """Read the variables.

        Raises:
            ValueError: One sentence for each that cannot be used, a line each.
        """
        found = Environment(env)
        url = found.text("OPENCODE_URL", cls.opencode_url)
        if urlsplit(url).scheme != "http" or not urlsplit(url).netloc:
            found.faults.append(f"OPENCODE_URL must look like http://127.0.0.1:3000, not {url!r}.")
        config = cls(
            workspace=found.text("WORKSPACE_DIR", "/workspace"),
            listening=found.listening(3002),
            opencode_url=url.rstrip("/"),
            opencode_password=env.get("OPENCODE_SERVER_PASSWORD", ""),
        )
        found.check()
        return config


def create_app(config: Config) -> Starlette:
    """Build the application."""
    proxy = _Proxy(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await proxy.close()

    return application(
        [
            Route("/health", proxy.health),
            Route("/ready", proxy.ready),
            Route("/{path:path}", proxy.forward, methods=_METHODS),
        ],
        config.listening,
        name="The session proxy",
        basic=True,
        lifespan=lifespan,
    )


class _Proxy:
    def __init__(self, config: Config) -> None:
        self._workspace = config.workspace
        self._client = httpx.AsyncClient(
            base_url=config.opencode_url,
            auth=("opencode", config.opencode_password) if config.opencode_password else None,
            headers={"accept-encoding": "identity"},
            # A proxy in the environment must never see a request to the machine itself.
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        try:
            found = await self._client.get("/global/health", timeout=_KNOCK)
        except httpx.HTTPError as error:
            raise Unavailable("OpenCode is not ready: it does not answer.", "opencode_unreachable") from error
        if found.status_code != 200:
            raise Unavailable(
                f"OpenCode is not ready: it answers {found.status_code}.", "opencode_unreachable"
            )
        return JSONResponse({"status": "ready"})

    async def forward(self, request: Request) -> Response:
        path = request.url.path
        is_route = allowed.is_route(request.method, path)
        if not is_route and not allowed.is_page(request.method, path):
            raise Forbidden(f"{request.method} {path[:200]} of OpenCode does not pass here.", "does_not_pass")
        # A page of another origin can make a browser send the password that it remembers.
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden("This request comes from another site's page.", "foreign_origin")
        body = await _body(request)
        tree = self._tree(request) if is_route and path not in allowed.EVERYWHERE else Path(self._workspace)
        if reason := allowed.refusal(path, body, str(tree)):
            raise InvalidRequest(reason)
        body = await asyncio.to_thread(attachments.enclosed, body, tree)
        if asked := request.query_params.get("path"):
            await asyncio.to_thread(attachments.check_path, asked, tree)
        # Sessions are all that may be deleted here.
        if request.method == "DELETE" and (refused := await self._end_turn(path, tree)):
            return refused
        found = await self._ask(request, path, body, tree)
        try:
            if isinstance(found, Response):
                return found
            return await self._answer(found, path, is_route)
        except BaseException:
            if isinstance(found, httpx.Response):
                await found.aclose()
            raise

    def _tree(self, request: Request) -> Path:
        """Return the card's tree that a request is about.

        Raises:
            InvalidRequest: It names none.
            NotFound: There is none of that number.
        """
        number = allowed.task(request.query_params, request.headers, self._workspace)
        if number is None:
            raise InvalidRequest(
                "Name the card in whose tree OpenCode is to work, by its number: ?task=7.", "task_missing"
            )
        try:
            with folder(Path(self._workspace), ("tasks", number)):
                return Path(self._workspace, "tasks", number)
        except OSError:
            raise NotFound(f"Card {number} has no tree in this workspace: execute it first.") from None

    async def _end_turn(self, path: str, tree: Path) -> Response | None:
        """Abort a session that is to be deleted: OpenCode 1.18.33 would delete it and let its agent go on."""
        try:
            ended = await self._client.post(f"{path}/abort", timeout=_ANSWER, headers=_seen_from(tree))
        except httpx.HTTPError:
            return _away("OpenCode does not answer, and nothing was deleted. Try again in a few seconds.")
        # An unknown session is OpenCode's to name, in its answer to the deletion.
        if ended.is_success or ended.status_code in (400, 404):
            return None
        return _away("OpenCode could not end the session's work, and nothing was deleted. Try again.")

    async def _ask(self, request: Request, path: str, body: bytes, tree: Path) -> httpx.Response | Response:
        silence = _SILENCE if path in allowed.STREAMS else _TURN if _TURNS.fullmatch(path) else _ANSWER
        asked = self._client.build_request(
            request.method,
            path,
            params=[pair for pair in request.query_params.multi_items() if pair[0] in allowed.QUERY],
            headers={name: value for name in _UP if (value := request.headers.get(name))} | _seen_from(tree),
            content=body or None,
            timeout=httpx.Timeout(silence, connect=3.0),
        )
        sending = asyncio.create_task(self._client.send(asked, stream=True), name=f"ask OpenCode {path}")
        gone = asyncio.create_task(_until_gone(request), name="who asks OpenCode")
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                return Response(status_code=400)
            return sending.result()
        except httpx.HTTPError:
            return _away("OpenCode does not answer: it may be starting. Try again in a few seconds.")
        finally:
            # A turn of the agent goes on without its reader; only the connection is let go.
            gone.cancel()
            if not sending.done():
                sending.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _answer(self, found: httpx.Response, path: str, is_route: bool) -> Response:
        kind = found.headers.get("content-type", "").partition(";")[0].strip().lower()
        if found.status_code == 401:
            await found.aclose()
            return _away("OpenCode does not accept this workspace's password: restart the workspace.")
        if found.status_code == 404 and not is_route:
            await found.aclose()
            raise NotFound(f"OpenCode's page has no {path[:200]}.")
        if is_route and kind == "text/html":
            # What OpenCode answers, with 200, to a path that it does not know.
            await found.aclose()
            return _away(f"This OpenCode does not know {path}.")
        headers = {name: value for name in _DOWN if (value := found.headers.get(name))}
        # The mark tells a refusal of OpenCode's own from one of this proxy.
        headers |= {"cache-control": "no-store", "x-content-type-options": "nosniff", "x-from-opencode": "1"}
        headers["content-security-policy"] = "sandbox; default-src 'none'" if is_route else _policy(found)
        if path in allowed.WITH_SECRETS:
            return await _cleaned(found, headers)
        if path in allowed.STREAMS:
            headers["x-accel-buffering"] = "no"
        return _Answer(found, headers)


class _Answer(Stream):
    """OpenCode's answer as it comes; the connection to OpenCode is let go at the end, however it ends."""

    def __init__(self, found: httpx.Response, headers: Mapping[str, str]) -> None:
        super().__init__(_pieces(found), found.status_code, headers)
        self._found = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._found.aclose()


def _seen_from(tree: Path) -> dict[str, str]:
    return {"x-opencode-directory": quote(str(tree))}


async def _pieces(found: httpx.Response) -> AsyncGenerator[bytes]:
    try:
        async for piece in found.aiter_raw():
            yield piece
    except httpx.HTTPError as error:
        # The server then breaks the connection, so that nobody takes the part for the whole.
        raise ConnectionResetError("OpenCode broke off its answer") from error


async def _cleaned(found: httpx.Response, headers: dict[str, str]) -> Response:
    body = bytearray()
    try:
        async for piece in found.aiter_raw():
            body += piece
            if len(body) > _LARGEST_ANSWER:
                return _away("OpenCode's answer is too large to be looked through.")
        content = allowed.without_secrets(bytes(body))
    except (httpx.HTTPError, ValueError, RecursionError):
        return _away("OpenCode broke off its answer, or it was no JSON.")
    finally:
        await found.aclose()
    headers.pop("content-length", None)
    headers.pop("etag", None)
    return Response(content, found.status_code, headers)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise TooLarge(f"The body is larger than {_LARGEST_BODY // (1024 * 1024)} MiB.")
    return bytes(body)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _away(sentence: str) -> Response:
    return answer(sentence, "opencode_unreachable", 502)


def _policy(found: httpx.Response) -> str:
    """OpenCode's own policy for its page, but it may ask nobody but this proxy."""
    kept: list[str] = []
    for directive in found.headers.get("content-security-policy", "").split(";"):
        name = directive.strip().partition(" ")[0]
        if name and name not in ("default-src", "connect-src", "img-src", "frame-ancestors", "form-action"):
            kept.append(directive.strip())
    own = ["default-src 'self'", "connect-src 'self'", "img-src 'self' data: blob:", "form-action 'none'"]
    return "; ".join([*own, *kept, "frame-ancestors 'none'"])
