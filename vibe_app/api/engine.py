"""The door of a process whose role is `engine`: how it does, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from vibe_app.api import errors, schemas, system
from vibe_app.api.headers import SafeHeaders
from vibe_app.api.metrics import metrics
from vibe_app.wiring import lifespan


def engine_api() -> FastAPI:
    """Make what answers at `/api`: health and readiness."""
    api = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    errors.install(api)
    api.add_api_route("/health", system.health)
    api.add_api_route("/ready", system.ready, response_model=schemas.Ready)
    return api


@asynccontextmanager
async def _life(_: Starlette) -> AsyncGenerator[None]:
    async with lifespan():
        yield


app = SafeHeaders(Starlette(routes=[Mount("/api", engine_api()), Route("/metrics", metrics)], lifespan=_life))
