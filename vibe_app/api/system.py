"""Routes for who watches the app: is it alive, is it ready, and can a browser use it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from vibe_app.api import schemas
from vibe_app.api.access import unlike
from vibe_app.api.errors import public_errors
from vibe_app.errors import InvalidRequest, Unavailable
from vibe_app.schema import Str
from vibe_app.wiring import services

system = APIRouter(tags=["system"])

TIMEOUT = 5.0
"""Seconds in which each part must answer."""


@system.get("/health", responses=public_errors())
async def health() -> schemas.Health:
    """Tell that the process answers."""
    return schemas.Health()


@system.get(
    "/ready",
    response_model=schemas.Ready,
    responses={
        **public_errors(),
        503: {"model": schemas.NotReady, "description": "Some part does not answer; says which and why"},
    },
)
async def ready() -> schemas.Ready | JSONResponse:
    """Tell whether the database answers, and whether workspaces are looked after."""
    parts = services()
    checks = {"database": parts.database.ping(), "runtime": parts.workspaces.check()}
    reasons: dict[str, str] = {}
    for name, check in checks.items():
        try:
            async with asyncio.timeout(TIMEOUT):
                await check
        except Unavailable as error:
            reasons[name] = error.message
        except TimeoutError:
            reasons[name] = f"The {name} does not answer within {TIMEOUT:.0f} s."
    if reasons:
        sentence = " ".join(reasons.values())
        body = schemas.NotReady(error=sentence, reasons=reasons)
        return JSONResponse(body.model_dump(), 503)
    return schemas.Ready()


@system.get("/front", status_code=204, responses=public_errors(400))
async def front(
    request: Request,
    page: Annotated[
        Str,
        Query(description="The origin at which the browser is", examples=["https://board.example.org"]),
    ],
) -> None:
    """Tell whether what stands between a browser and the board lets it be used; 400 says what does not."""
    if found := unlike(request, page):
        raise InvalidRequest(found.sentence, found.code)
