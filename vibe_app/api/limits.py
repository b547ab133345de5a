"""What a request is refused for before any route sees it. Answers are not touched, so streams pass freely.

Bodies have a limit, whatever their headers say; files that are written into a workspace have a limit of
their own. A query is UTF-8.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app.api.errors import error_response
from vibe_app.wire import whole
from vibe_app.wiring import services

BODY_BYTES = 1024 * 1024
_UPLOAD = re.compile(r"/projects/[^/]+/files/content")


class QueryInUtf8:
    """Refuses a query that is not UTF-8, in which a file's name would silently become another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                unquote_to_bytes(scope["query_string"]).decode()
            except UnicodeDecodeError:
                sentence = (
                    "What follows the ? of the address is not UTF-8. Write names in UTF-8, percent-encoded."
                )
                await error_response(400, sentence, "invalid_request")(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyTooLarge(HTTPException):
    """A body without a length turned out to be too large while it was read.

    It is an `HTTPException` because FastAPI lets only those through while it reads a body.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(413, _sentence(limit))


class BodyLimit:
    """Refuses bodies over the limit: at once where the length is announced, else while reading."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and whole(announced) > limit:
            await error_response(413, _sentence(limit), "too_large")(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise BodyTooLarge(limit)
            return message

        await self._app(scope, limited, send)


def _limit(scope: Scope) -> int:
    if scope["method"] == "PUT" and _UPLOAD.search(scope["path"]):
        return services().settings.upload_mib * 1024 * 1024
    return BODY_BYTES


def _sentence(limit: int) -> str:
    return f"The body is larger than {limit // (1024 * 1024)} MiB. Send less."
