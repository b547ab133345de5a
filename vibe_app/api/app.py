"""The REST door: every route, its documentation, and what stands before them all.

The front door mounts what `create_api` returns at `/api` and puts the route
`/metrics` beside it. The page at `/api/docs` needs nothing from other hosts.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files as resources
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import BaseRoute, Mount, Route

from vibe_app.api import (
    accounts,
    changes,
    errors,
    files,
    home,
    output,
    projects,
    providers,
    sessions,
    system,
    tasks,
)
from vibe_app.api.headers import page_policy, script_sources
from vibe_app.api.limits import BodyLimit, QueryInUtf8
from vibe_app.api.metrics import CountRequests, metrics

_DESCRIPTION = """\
Everything that the board does can be done from here.

Send `Authorization: Bearer <token>` with the `access_token` of a login or with a personal access token. A
browser that signed in sends its cookie by itself; a write with the cookie must come from the board's own
pages.

Errors are `{"error": "<a sentence>", "code": "<snake_case>"}`. Lists take `page` and `page_size` (20, at most
100) and answer `total_count`. Times are UTC, ISO 8601 with `Z`. Bodies may have 1 MiB, files that are written
more.
"""
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_PREFIX = "/api"


def create_api() -> FastAPI:
    """Make the app to mount at `/api`."""
    api = FastAPI(
        title="Vibe",
        summary="A team board whose cards a coding agent works on",
        description=_DESCRIPTION,
        version=version("vibe-board"),
        docs_url=None,
        redoc_url=None,
        root_path_in_servers=False,
        servers=[{"url": _PREFIX}],
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        middleware=[
            Middleware(CountRequests),
            Middleware(errors.WhenStopping),
            Middleware(QueryInUtf8),
            Middleware(BodyLimit),
        ],
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    errors.install(api)
    for router in (
        system.system,
        accounts.auth,
        accounts.users,
        accounts.tokens,
        providers.providers,
        home.home,
        projects.projects,
        projects.members,
        files.files,
        files.opencode,
        tasks.tasks,
        sessions.sessions,
        output.output,
        changes.changes,
        changes.comments,
    ):
        api.include_router(router)
    _add_docs(api)
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        return _without_422(plain())

    api.openapi = openapi
    return api


def api_routes() -> list[BaseRoute]:
    """Return the routes that the front door puts before its pages: `/api` and `/metrics`."""
    return [Mount(_PREFIX, create_api()), Route("/metrics", metrics)]


def _operation_id(route: APIRoute) -> str:
    return route.name


def _add_docs(api: FastAPI) -> None:
    # The package is used for the Swagger UI that it carries; FastAPI's own page loads it from a CDN.
    folder = resources("fastapi_offline") / "static"

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url=f"{_PREFIX}/openapi.json",
            title="Vibe API",
            swagger_js_url=f"{_PREFIX}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{_PREFIX}/docs/swagger-ui.css",
            swagger_favicon_url="/favicon.ico",
        )
        page.headers["Content-Security-Policy"] = page_policy(script_sources(bytes(page.body).decode()))
        return page

    for name, media_type in _ASSETS.items():
        api.add_route(f"/docs/{name}", _asset(str(folder / name), media_type), include_in_schema=False)


def _asset(path: str, media_type: str) -> Any:
    async def asset(_: Any) -> FileResponse:
        return FileResponse(path, media_type=media_type, headers={"Cache-Control": "max-age=86400"})

    return asset


def _without_422(document: dict[str, Any]) -> dict[str, Any]:
    """Take out FastAPI's own answer to invalid requests: ours is 400, like every other refusal."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
