"""How a service of ours is asked and answers: one model as the query or the body, one as the answer."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from vibe_app.errors import InvalidRequest, TooLarge

LONGEST_BODY = 1 << 20
"""Bytes that the body of a request may have."""

A = TypeVar("A", bound=BaseModel)


def query(request: Request, form: type[A]) -> A:
    """Read what is asked from the query.

    Raises:
        InvalidRequest: It does not fit its model.
    """
    return _held(form, dict(request.query_params), "query parameter")


async def body(request: Request, form: type[A]) -> A:
    """Read what is asked from the body.

    Raises:
        InvalidRequest: It is no JSON, or does not fit its model.
        TooLarge: It is longer than any of ours.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LONGEST_BODY:
            raise TooLarge("The request is longer than 1 MiB.")
    try:
        return _held(form, json.loads(bytes(content) or b"{}"), "field")
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The request's body is no JSON.") from error


def told(found: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Make the answer from its model."""
    return Response(found.model_dump_json(), status, headers, "application/json")


def _held(form: type[A], given: object, what: str) -> A:
    try:
        return form.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        name, why = fault["loc"][0] if fault["loc"] else "", fault["msg"]
        wrong = "missing" if fault["type"] == "missing" else f"not right: {why[:1].lower()}{why[1:]}"
        raise InvalidRequest(f'The {what} "{name}" is {wrong}.') from None
