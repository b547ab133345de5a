"""The model API: what OpenCode asks its providers passes here, counted, and with the real key.

    POST /<provider>/chat/completions, /responses          OpenAI and what is compatible
    POST /<provider>/messages                              Anthropic
    POST /<provider>/models/<model>:streamGenerateContent  Google

OpenCode sends the workspace's token where the key would be. Its requests carry `x-session-id`, those of
sub-agents `x-parent-session-id` as well. An answer's bytes pass as they come; what they say of usage is
read beside. Nothing that was refused here, and no fault, has the key in it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vibe_app.errors import VibeError
from vibe_app.wire import now
from vibe_app.wire.gateway import Provider, Tokens
from vibe_app.workspace_services.common.serving import Stream
from vibe_app.workspace_services.gateway import dialects, wording
from vibe_app.workspace_services.gateway.ledger import BudgetExhausted, Ledger, Reservation
from vibe_app.workspace_services.gateway.metering import Meter
from vibe_app.workspace_services.gateway.waits import long_wait

LARGEST_BODY = 32 * 1024 * 1024
_LARGEST_ERROR = 1024 * 1024
_CONNECT = 15.0
_SEND = 60.0

# Of one connection (RFC 9110, section 7.6.1), of this hop, or nobody's business at the other end.
_NOT_UP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("host", "content-length", "accept-encoding", "expect", "cookie", "forwarded", "via"),
        *("authorization", "x-api-key", "x-goog-api-key", "proxy-authorization", "proxy-authenticate"),
        *("x-session-id", "x-parent-session-id", "x-session-affinity", "x-forwarded-for"),
    )
)
_NOT_DOWN = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("set-cookie", "proxy-authenticate", "alt-svc", "strict-transport-security", "server", "date"),
    )
)
_log = logging.getLogger(__name__)


class Known(Protocol):
    """What the gateway was told."""

    ledger: Ledger

    @property
    def configured(self) -> bool:
        """Whether it was told anything since its start."""
        ...

    def provider(self, name: str) -> Provider | None:
        """Return a provider, None where there is none of the name."""
        ...


class ModelApi:
    """Takes OpenCode's requests.

    Args:
        known: Providers, and the ledger.
        token: What OpenCode sends as its key.
        silence: Seconds for which a provider may keep its answer, or the next piece of it, to itself.
    """

    def __init__(self, known: Known, token: str, silence: float = 600.0) -> None:
        self._known = known
        self._token = token.encode()
        self._silence = silence
        self._client = httpx.AsyncClient(
            # A proxy in the environment must never see a key; whom to trust is said there all the same.
            trust_env=False,
            verify=httpx.create_ssl_context(),
            follow_redirects=False,
            timeout=httpx.Timeout(silence, connect=_CONNECT, write=_SEND, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=30),
        )
        self._client.headers.clear()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def forward(self, request: Request) -> Response:
        """Answer one request."""
        name, path = request.path_params["provider"], request.path_params["path"]
        if not self._allows(request.headers):
            return dialects.refusal(None, 401, "unauthenticated", "The key must be this workspace's token.")
        if not self._known.configured:
            sentence = "The gateway was started a moment ago and has not been told the providers yet."
            return dialects.refusal(None, 503, "not_configured", sentence, headers={"retry-after": "2"})
        provider = self._known.provider(name)
        if provider is None:
            return dialects.refusal(None, 404, "no_such_provider", f"There is no provider {name[:100]} here.")
        dialect = provider.dialect
        if not dialects.is_asked(dialect, path):
            sentence = f"POST {path[:200]} of the provider {name} does not pass here."
            return dialects.refusal(dialect, 404, "does_not_pass", sentence)
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            sentence = f"The request is larger than {LARGEST_BODY // 1024 // 1024} MiB."
            return dialects.refusal(dialect, 413, "too_large", sentence)
        conversation = request.headers.get("x-session-id", "")[:128]
        parent = request.headers.get("x-parent-session-id", "")[:128]
        model = dialects.model_of(dialect, path, body)
        if provider.models and model not in provider.models:
            sentence = f"The model {model[:100] or 'that the request names'} may not be asked here."
            return dialects.refusal(dialect, 403, "model_not_allowed", sentence)
        try:
            held = await self._admitted(request, (conversation, parent), provider, model, body)
        except BudgetExhausted as over:
            return dialects.refusal(dialect, 402, over.code, over.message)
        except VibeError as error:
            status = 403 if error.code == "unknown_conversation" else 503
            headers = {"retry-after": "2"} if status == 503 else None
            return dialects.refusal(dialect, status, error.code, error.message, headers=headers)
        if held is None:
            return Response(status_code=400)
        return await self._ask(request, provider, path, body, held)

    async def _admitted(
        self, request: Request, names: tuple[str, str], provider: Provider, model: str, body: bytes
    ) -> Reservation | None:
        """Let a request pass once it can go over no limit together with others; None where it was given up.

        Raises:
            VibeError: As `Ledger.admit`.
        """
        ledger = self._known.ledger
        session = ledger.whose(*names)
        estimate = ledger.estimate(session, provider, model, body)
        if not ledger.is_crowded(session, estimate):
            return ledger.admit(*names, provider, model, estimate)
        gone = asyncio.create_task(_until_gone(request), name="who waits at the gateway")
        try:
            while ledger.is_crowded(session, estimate):
                changed = asyncio.create_task(ledger.changed.wait(), name="a request ends")
                await asyncio.wait((changed, gone), return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if gone.done():
                    return None
            # At once: whoever waits as well finds this one under way.
            return ledger.admit(*names, provider, model, estimate)
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _allows(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "")
        found = [
            given[7:] if given[:7].lower() == "bearer " else "",
            headers.get("x-api-key", ""),
            headers.get("x-goog-api-key", ""),
        ]
        return any(secrets.compare_digest(each.encode(), self._token) for each in found)

    async def _ask(
        self, request: Request, provider: Provider, path: str, body: bytes, held: Reservation
    ) -> Response:
        headers = [pair for pair in request.headers.raw if pair[0].decode("latin-1") not in _NOT_UP]
        headers.append((b"accept-encoding", b"identity"))
        if provider.key:
            headers.append(dialects.key_header(provider.dialect, provider.key))
        query = {name: value for name, value in request.query_params.items() if name != "key"}
        exchange = _Exchange(self._known.ledger, provider, held)
        try:
            url = f"{provider.base_url}/{path}"
            asked = self._client.build_request("POST", url, params=query, headers=headers, content=body)
        except (httpx.InvalidURL, ValueError, TypeError):
            self._known.ledger.release(held)
            sentence = f"The address of the provider {provider.id} cannot be asked: it is no address."
            return dialects.refusal(provider.dialect, 400, "bad_address", sentence)
        sending = asyncio.create_task(self._client.send(asked, stream=True), name=f"ask {provider.id}")
        gone = asyncio.create_task(_until_gone(request), name="who asks the gateway")
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                exchange.settle(0, None, whole=False)
                return Response(status_code=400)
            return await exchange.answer(sending.result())
        except httpx.HTTPError as error:
            # Where nothing was ever sent, nothing was used.
            never = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)
            return exchange.failed(error, never=never, silence=self._silence)
        finally:
            gone.cancel()
            if not sending.done():
                sending.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            exchange.abandoned()


class _Exchange:
    """One request and its answer: settled once, whatever happens."""

    def __init__(self, ledger: Ledger, provider: Provider, held: Reservation) -> None:
        self._ledger = ledger
        self._provider = provider
        self._held = held
        self._streaming = False

    def settle(self, status: int, tokens: Tokens | None, *, whole: bool) -> None:
        try:
            self._ledger.settle(self._held, status, tokens, whole=whole)
        except VibeError as error:
            _log.warning("What a request used cannot be noted: %s", error.message)

    def abandoned(self) -> None:
        """Whoever asked went away before there was an answer, or something broke: it counts as cut off."""
        if not self._streaming and not self._held.settled:
            self.settle(0, self._held.seen, whole=False)

    def failed(self, error: httpx.HTTPError, *, never: bool, silence: float) -> Response:
        name = self._provider.id
        _log.info("The provider %s cannot be asked: %s", name, type(error).__name__)
        self.settle(0, Tokens() if never else None, whole=never)
        if isinstance(error, httpx.ReadTimeout):
            sentence = f"The model's provider {name} did not answer for {silence:g} s."
            return dialects.refusal(self._provider.dialect, 504, "provider_silent", sentence)
        reason = "cannot be reached" if never else "broke the connection off, or answered no HTTP"
        sentence = f"The model's provider {name} {reason}. Check its address, and that it runs."
        return dialects.refusal(self._provider.dialect, 502, "provider_unreachable", sentence)

    async def answer(self, found: httpx.Response) -> Response:
        try:
            if found.is_success:
                self._streaming = True
                return _Answer(found, self._pieces(found), _down(found.headers), self.ended)
            return await self._refused(found)
        finally:
            if not self._streaming:
                await found.aclose()

    def ended(self) -> None:
        """The answer's end, however it came; most often everything is noted by then."""
        if not self._held.settled:
            self.settle(0, self._held.seen, whole=False)

    async def _pieces(self, found: httpx.Response) -> AsyncGenerator[bytes]:
        meter = Meter(self._provider.dialect, found.headers.get("content-type", ""))
        status, whole = found.status_code, False
        try:
            async for piece in found.aiter_raw():
                meter.feed(piece)
                if meter.final:
                    self._note(status, meter, whole=True)
                elif meter.seen:
                    self._saw(meter.tokens)
                yield piece
            meter.end()
            whole = True
        except httpx.HTTPError as error:
            # The server then breaks the connection, so that nobody takes the part for the whole.
            raise ConnectionResetError("The provider broke off its answer") from error
        finally:
            # Before the end goes out: whoever asks next finds it counted.
            self._note(status, meter, whole=whole)

    def _saw(self, tokens: Tokens) -> None:
        try:
            self._ledger.saw(self._held, tokens)
        except VibeError as error:
            _log.warning("What a request uses cannot be noted: %s", error.message)

    def _note(self, status: int, meter: Meter, *, whole: bool) -> None:
        if self._held.settled:
            return
        self.settle(status, meter.tokens if meter.seen else None, whole=whole)
        if whole:
            self._ledger.end(self._held.session, None)

    async def _refused(self, found: httpx.Response) -> Response:
        status, dialect, name = found.status_code, self._provider.dialect, self._provider.id
        body = await _bounded(found)
        self.settle(status, Tokens(), whole=True)
        if status < 400:
            sentence = (
                f"The model's provider {name} answers with a redirect ({status}), which is not followed."
            )
            return dialects.refusal(dialect, 502, "provider_redirects", sentence)
        if retry_at := long_wait(status, found.headers, body, now()):
            ended = wording.come_back(name, retry_at)
            self._ledger.end(self._held.session, ended)
            return dialects.refusal(dialect, 402, ended.code, ended.message, retry_at)
        if key := self._provider.key.encode():
            body = body.replace(key, b"***")
        headers = _down(found.headers)
        for name in ("content-length", "content-encoding"):
            headers.pop(name, None)
        return Response(body, status, headers)


class _Answer(Stream):
    """The provider's answer as it comes; the connection is let go at the end, however it ends."""

    def __init__(
        self,
        found: httpx.Response,
        pieces: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(pieces, found.status_code, headers)
        self._found = found
        self._pieces = pieces
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()
            await self._found.aclose()
            self._ended()


def _down(headers: httpx.Headers) -> dict[str, str]:
    named = {part.strip().lower() for part in headers.get("connection", "").split(",")}
    return {name: value for name, value in headers.items() if name not in _NOT_DOWN and name not in named}


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


async def _bounded(found: httpx.Response) -> bytes:
    """Read a refusal as far as anybody needs it."""
    body = bytearray()
    try:
        async for piece in found.aiter_bytes():
            body += piece
            if len(body) > _LARGEST_ERROR:
                break
    except httpx.HTTPError:
        pass
    return bytes(body[:_LARGEST_ERROR])


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
