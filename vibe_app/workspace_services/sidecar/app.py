"""The sidecar's HTTP interface: routes, authentication, errors, streams. No rules of its own.

The errors are `{"error": "<a sentence>", "code": "<snake_case>"}`, as in the app.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Message, Send

from vibe_app import errors
from vibe_app.wire import Event, Heard, LiveSessions, SessionState, StartSession, iso, whole
from vibe_app.workspace_services.common.serving import Proving
from vibe_app.workspace_services.sidecar.gateway import Gateway
from vibe_app.workspace_services.sidecar.opencode import OpenCode
from vibe_app.workspace_services.sidecar.progress import SILENCE
from vibe_app.workspace_services.sidecar.rehearsal import NAME
from vibe_app.workspace_services.sidecar.rehearsal_api import Rehearsal
from vibe_app.workspace_services.sidecar.service import Service
from vibe_app.workspace_services.sidecar.sessions import Session
from vibe_app.workspace_services.sidecar.tool_outputs import LARGEST

_STATUS: Mapping[type[errors.VibeError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.InvalidRequest: 400,
    errors.Unavailable: 503,
    errors.Unauthenticated: 401,
}
_LARGEST_BODY = 1024 * 1024
_LARGEST_CONVERSATION = 64 * 1024 * 1024
_SILENCE = 15.0
_SLOW_READER = 30.0


@dataclass(frozen=True)
class Config:
    """What the environment said; the table is in `vibe_app.workspace_services.sidecar.__main__`."""

    workspace: Path
    project_id: str
    token: str
    opencode_url: str = "http://127.0.0.1:3000"
    opencode_password: str = ""
    sweeper_url: str = ""
    gateway_url: str = ""
    opencode_home: Path | None = None
    model_silence: float = SILENCE
    guidance: Path | None = None
    run_notice: str = ""
    rehearsal_key: str = ""
    rehearsal_pace: float = 1.0
    host: str = "127.0.0.1"
    port: int = 3003
    log_level: str = "info"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Config:
        """Read the variables.

        Raises:
            ValueError: One sentence for each that cannot be used, a line each.
        """
        faults = [f"{name} must be set." for name in ("PROJECT_ID", "SIDECAR_TOKEN") if not env.get(name)]
        workspace = Path(env.get("WORKSPACE_DIR") or "/workspace")
        if not workspace.is_dir():
            faults.append(f"WORKSPACE_DIR: there is no folder {workspace}.")
        port = env.get("PORT") or "3003"
        if not port.isdigit() or not 0 < int(port) < 65536:
            faults.append(f"PORT must be a number from 1 to 65535, not {port!r}.")
        pace = env.get("REHEARSAL_PACE") or "1"
        if not pace.replace(".", "", 1).isdigit():
            faults.append(f"REHEARSAL_PACE must be a number from 0 up, not {pace!r}.")
        silence = env.get("MODEL_SILENCE") or str(SILENCE)
        if not silence.replace(".", "", 1).isdigit() or not float(silence):
            faults.append(f"MODEL_SILENCE must be a number of seconds above 0, not {silence!r}.")
        level = (env.get("LOG_LEVEL") or "info").lower()
        if level not in ("debug", "info", "warning", "error"):
            faults.append(f"LOG_LEVEL must be debug, info, warning or error, not {level!r}.")
        if faults:
            raise ValueError("\n".join(faults))
        return cls(
            workspace=workspace.resolve(),
            project_id=env["PROJECT_ID"],
            token=env["SIDECAR_TOKEN"],
            opencode_url=env.get("OPENCODE_URL") or cls.opencode_url,
            opencode_password=env.get("OPENCODE_SERVER_PASSWORD", ""),
            sweeper_url=env.get("SWEEPER_URL", ""),
            gateway_url=env.get("GATEWAY_URL", "").rstrip("/"),
            guidance=Path(copy) if (copy := env.get("GUIDANCE_FILE")) else None,
            run_notice=env.get("RUN_NOTICE", ""),
            opencode_home=Path(home) if (home := env.get("OPENCODE_HOME")) else None,
            model_silence=float(silence),
            rehearsal_key=env.get("REHEARSAL_KEY", ""),
            rehearsal_pace=float(pace),
            host=env.get("HOST") or cls.host,
            port=int(port),
            log_level=level,
        )


def create_app(config: Config) -> FastAPI:
    """Build the application; it takes up earlier sessions when it starts."""
    client = OpenCode(config.opencode_url, config.workspace, config.opencode_password)
    service = Service(
        client,
        config.workspace,
        config.project_id,
        config.sweeper_url,
        config.opencode_home,
        config.model_silence,
        config.guidance,
        Gateway(config.gateway_url, config.token) if config.gateway_url else None,
        config.run_notice,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await service.open()
        yield
        await service.close()

    app = FastAPI(title="Vibe sidecar", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_middleware(Proving, token=config.token)
    app.add_exception_handler(errors.VibeError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    _health(app, service)
    app.include_router(_session_routes(service), dependencies=[_bearer(config.token)])
    app.include_router(_conversation_routes(service), dependencies=[_bearer(config.token)])
    app.include_router(_tree_routes(service), dependencies=[_bearer(config.token)])
    app.include_router(_output_routes(service), dependencies=[_bearer(config.token)])
    if config.rehearsal_key:
        rehearsal = _rehearsal_routes(Rehearsal(config.rehearsal_pace))
        app.include_router(rehearsal, dependencies=[_bearer(config.rehearsal_key)])
    return app


def _health(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        service.ready()
        return {"status": "ready"}


def _session_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/sessions")

    @router.post("")
    async def start(request: Request) -> SessionState:
        body = await _body(request, _LARGEST_BODY)
        try:
            wanted = StartSession.model_validate_json(body)
        except ValidationError as error:
            raise errors.InvalidRequest(_sentence(error.errors())) from None
        return await service.start(wanted)

    @router.get("")
    async def live() -> LiveSessions:
        return LiveSessions(sessions=service.live(), kept=await asyncio.to_thread(service.kept))

    @router.get("/{session_id}")
    async def state(session_id: str) -> SessionState:
        return service.get(session_id).state()

    @router.delete("/{session_id}")
    async def drop(session_id: str) -> dict[str, str]:
        service.drop(session_id)
        return {"message": "Deleted."}

    @router.post("/{session_id}/stop")
    async def stop(session_id: str) -> SessionState:
        return await service.stop(session_id)

    @router.get("/{session_id}/stream")
    async def stream(
        session_id: str,
        after: Annotated[int, Query(ge=0)] = 0,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        session = service.get(session_id)
        # A reconnecting EventSource repeats its first address, so what its header says is newer.
        if last_event_id:
            if not last_event_id.isdecimal():
                raise errors.InvalidRequest(
                    "Last-Event-ID must be the number of an event.", "invalid_last_event_id"
                )
            after = whole(last_event_id)
        return _EventStream(_frames(session, after), media_type="text/event-stream", headers=_STREAM_HEADERS)

    return router


def _conversation_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/conversations")

    @router.get("/{conversation}/heard")
    async def heard(conversation: str, session: str) -> Heard:
        return Heard(heard=await service.heard(conversation, session))

    return router


def _tree_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/trees")

    @router.delete("/{number}")
    async def release(number: Annotated[int, PathParameter(ge=1, le=2**31 - 1)]) -> dict[str, str]:
        await service.release(number)
        return {"message": "Released."}

    return router


def _output_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/outputs")

    @router.get("/{name}")
    async def whole(name: str) -> Response:
        content = await asyncio.to_thread(service.outputs.read, name)
        return Response(content[:LARGEST], media_type="application/octet-stream")

    return router


def _rehearsal_routes(model: Rehearsal) -> APIRouter:
    router = APIRouter(prefix="/rehearsal/v1")

    @router.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "vibe"}]}

    @router.post("/chat/completions")
    async def complete(request: Request, x_session_id: Annotated[str, Header()] = "") -> Response:
        body = await _body(request, _LARGEST_CONVERSATION)
        try:
            messages = json.loads(body)["messages"]
            status, chosen = model.decide(x_session_id, messages)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise errors.InvalidRequest("The body must be a chat completion request in JSON.") from None
        if status != 200:
            content = {"error": {"message": f"the rehearsal answers {status}, as the task says"}}
            return JSONResponse(content, status, headers={"retry-after-ms": str(model.retry_after_ms)})
        return _EventStream(model.stream(chosen, len(body)), media_type="text/event-stream")

    return router


def _bearer(secret: str) -> Any:
    expected = f"Bearer {secret}".encode()

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode("utf-8", "replace"), expected):
            raise errors.Unauthenticated("The Authorization header must carry this service's token.")

    return Depends(check)


async def _body(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise errors.TooLarge(f"The body is larger than {limit // 1024} KiB.")
    return b"".join(chunks)


_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _EventStream(StreamingResponse):
    """A stream that gives up on a reader which takes nothing for 30 s; nothing is skipped for it."""

    async def stream_response(self, send: Send) -> None:
        async def timed(message: Message) -> None:
            async with asyncio.timeout(_SLOW_READER):
                await send(message)

        try:
            await super().stream_response(timed)
        except (TimeoutError, ConnectionResetError):
            # Returning before the last chunk makes the server break the connection.
            return


async def _frames(session: Session, after: int) -> AsyncIterator[bytes]:
    async for batch in session.follow(after, _SILENCE):
        yield b"".join(map(_frame, batch)) if batch else b": alive\n\n"


def _frame(event: Event) -> bytes:
    data = json.dumps(
        {"type": event.type, "text": event.text, "timestamp": iso(event.timestamp)}, ensure_ascii=False
    )
    return f"id: {event.seq}\nevent: message\ndata: {data}\n\n".encode()


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.VibeError)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    return _answer(error.message, error.code, status)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(_sentence(list(error.errors())), "invalid_request", 400)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return _answer(f"{error.detail}.", code, error.status_code)


async def _fault(_: Request, error: Exception) -> JSONResponse:
    return _answer("The sidecar met a fault of its own; its log says more.", "internal", 500)


def _answer(sentence: str, code: str, status: int) -> JSONResponse:
    return JSONResponse({"error": sentence, "code": code}, status)


def _sentence(faults: list[Any]) -> str:
    fault = faults[0]
    place = ".".join(str(part) for part in fault["loc"] if part not in ("body", "query", "header"))
    return f"{place or 'The body'}: {fault['msg']}."
