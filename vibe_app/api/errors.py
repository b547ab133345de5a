"""How failures look from outside: one table of kinds, one shape of body.

The domain does not know HTTP; this module is where its kinds of error become
status codes. Whatever is none of them is a bug: it is logged whole under an id
and answered with a plain sentence that names the id.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RevisionChanged,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    VersionChanged,
    VibeError,
    Waking,
)

log = logging.getLogger(__name__)

_STOPPING = (
    "The server is stopping, and how this ended is not known here: ask again in a moment, an Execute with "
    "the same Idempotency-Key."
)

_WAKING = "The workspace is being started for this. Ask again in a moment."

STATUS: Mapping[type[VibeError], int] = {
    NotFound: 404,
    Conflict: 409,
    InvalidRequest: 400,
    TooLarge: 413,
    Unavailable: 502,
    Waking: 202,
    Unauthenticated: 401,
    Forbidden: 403,
    TooMany: 429,
}

_MEANINGS: Mapping[int, tuple[str, str, str]] = {
    202: ("The workspace is being woken for this: ask again", "workspace_starting", _WAKING),
    400: ("The request cannot be accepted as written", "invalid_request", 'The field "title" is missing.'),
    401: ("Nobody is signed in", "unauthenticated", "You are not signed in, or your login has ended."),
    403: ("You may not do this", "role_too_low", "You may only look at this project."),
    404: ("There is no such thing", "task_not_found", "There is no such task in this project."),
    409: ("The state does not allow this", "already_active", "This task already has a running session."),
    413: ("Too large", "too_large", "The body is larger than 1 MiB. Send less."),
    416: ("The file has no such part", "no_such_part", "The file has no such part."),
    429: ("Asked too often", "too_many_requests", "Too many failed attempts. Try again in 4 s."),
    500: ("A fault in Vibe", "internal_error", "Something went wrong here. The log has it as 5f0c2a91."),
    502: ("The workspace cannot be reached", "unreachable", "The workspace's sidecar cannot be reached."),
    503: ("Not ready", "database_unavailable", "The database does not answer: nothing was changed."),
}


_REF = "#/components/schemas/ErrorBody"


class ErrorBody(BaseModel):
    """Every error of the API."""

    error: str = Field(description="A sentence that a person can act on")
    code: str = Field(description="A stable word in snake_case for programs")
    yours: dict[str, Any] | None = Field(
        None, description="Only with version_changed: what you wanted to write"
    )
    task: dict[str, Any] | None = Field(None, description="Only with version_changed: the task as it is now")
    project: dict[str, Any] | None = Field(None, description="The same of a project")
    member: dict[str, Any] | None = Field(None, description="The same of a member")
    user: dict[str, Any] | None = Field(None, description="The same of an account")
    change: dict[str, Any] | None = Field(
        None, description="Only of a decision about a change: the change as it is now"
    )


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route for its documentation; 401, 403, 500 and 503 are added."""
    return _documented({*statuses, 401, 403, 500, 503})


def public_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route that needs nobody signed in."""
    return _documented({*statuses, 500, 503})


def _documented(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted(statuses):
        meaning, code, sentence = _MEANINGS[status]
        example = {"error": sentence, "code": code}
        described[status] = {
            "model": ErrorBody,
            "description": meaning,
            "content": {"application/json": {"schema": {"$ref": _REF}, "example": example}},
        }
    return described


def error_response(
    status: int, message: str, code: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Make the answer for one failure; `more` goes into its body."""
    return JSONResponse({"error": message, "code": code, **more}, status, headers)


def status_of(error: VibeError) -> int:
    """Return the status code of an expected failure."""
    if error.code == "database_unavailable":
        return 503
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def install(api: FastAPI) -> None:
    """Give the app one handler for each way in which a request can fail."""
    api.add_exception_handler(VibeError, _expected)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _unexpected)


class WhenStopping:
    """Answers a request that the stop of the server breaks off; uvicorn would send a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if scope["type"] == "http" and not started:
                answer = error_response(503, _STOPPING, "stopping", {"Retry-After": "1"})
                await answer(scope, receive, send)
            raise


async def _expected(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, VibeError)
    headers: dict[str, str] = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Waking):
        headers["Retry-After"] = "2"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    more: dict[str, Any] = {}
    if isinstance(error, RevisionChanged):
        more["change"] = error.present.model_dump(mode="json")
    if isinstance(error, VersionChanged):
        more = {"yours": jsonable_encoder(error.yours), error.noun: error.present.model_dump(mode="json")}
    return error_response(status_of(error), error.message, error.code, headers, **more)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    sentence = _sentence(faults[0])
    if len(faults) > 1:
        sentence += f" (And {len(faults) - 1} more.)"
    return error_response(400, sentence, InvalidRequest.default_code)


def _sentence(fault: Mapping[str, Any]) -> str:
    """Say in one sentence what is wrong with a request, naming the field."""
    where, *rest = fault["loc"]
    kind, message = fault["type"], fault["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in rest)
    if kind == "json_invalid":
        return f"The body is not valid JSON: {fault['ctx']['error']} at character {rest[0]}."
    if where == "body" and not rest:
        if kind == "missing":
            return "The body is missing: send a JSON object."
        return "The body must be a JSON object, sent with Content-Type: application/json."
    if kind == "missing":
        return f'The field "{field}" is missing.'
    if kind == "extra_forbidden":
        return f'There is no field "{field}" here.'
    if kind in ("uuid_parsing", "uuid_type", "uuid_version"):
        return f"{field} must be a UUID such as 1f0c9f3e-6f0f-4a52-9a4b-3f1f6f0c2a91."
    return f'The field "{field}" is not right: {message[:1].lower()}{message[1:]}.'


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    message, code = {
        404: (f"There is nothing at {path}. The API is described at /api/docs.", "no_such_route"),
        405: (
            f"{request.method} is not possible at {path}; use {headers.get('Allow')}.",
            "method_not_allowed",
        ),
        413: (str(error.detail), "too_large"),
        # FastAPI says no more than that: the JSON cannot be read at all.
        400: (
            "The body is no JSON that can be read: send UTF-8, and no endless numbers.",
            "invalid_request",
        ),
    }.get(error.status_code, (str(error.detail), "invalid_request"))
    return error_response(error.status_code, message, code, headers)


def _allowed(request: Request) -> list[str]:
    """Return the methods that the path takes; Starlette names only those of the first route that it finds."""
    asked = {name: request.scope[name] for name in ("type", "path", "root_path", "headers")}
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches(asked | {"method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    fault = secrets.token_hex(4)
    log.error("fault %s in %s %s", fault, request.method, request.url.path, exc_info=error)
    return error_response(
        500,
        f"Something went wrong here, and nobody but an admin can mend it. The log has it as {fault}.",
        "internal_error",
    )
