"""The gateway's three doors in one process: the model API, the engine's control API, the agent's proxy.

Which door a request came in by is told by the port it came to, so the agent's port has no route of the
engine's. The messages of the control API are in `wire.gateway`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from vibe_app import errors, networks
from vibe_app.wire import gateway as wire
from vibe_app.wire import whole
from vibe_app.workspace_services.common.serving import Environment, Listening, Proving, application
from vibe_app.workspace_services.gateway.ledger import TALKS, Ledger
from vibe_app.workspace_services.gateway.model_api import ModelApi
from vibe_app.workspace_services.gateway.proxy import Proxy

_LARGEST = 1024 * 1024
_log = logging.getLogger(__name__)
_NAME: TypeAdapter[str] = TypeAdapter(wire.Name)
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Config:
    """What the environment said; the table is in `vibe_app.workspace_services.gateway.__main__`."""

    journal: Path
    project_id: str
    token: str = field(repr=False)
    control: Listening
    agent_host: str = "127.0.0.1"
    agent_port: int = 3004
    proxy_port: int = 3006
    silence: float = 600.0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Config:
        """Read the variables.

        Raises:
            ValueError: One sentence for each that cannot be used, a line each.
        """
        found = Environment(env)
        level = found.text("LOG_LEVEL", "info").lower()
        if level not in ("debug", "info", "warning", "error"):
            found.faults.append(f"LOG_LEVEL must be debug, info, warning or error, not {level!r}.")
        config = cls(
            journal=Path(found.required("JOURNAL_DIR") or "."),
            project_id=found.required("PROJECT_ID"),
            token=found.required("GATEWAY_TOKEN"),
            control=Listening(
                token=found.required("CONTROL_TOKEN"),
                host=found.text("HOST", Listening.host),
                port=found.number("CONTROL_PORT", 3005, 1, 65535),
                log_level=level,
            ),
            agent_host=found.text("AGENT_HOST", cls.agent_host),
            agent_port=found.number("PORT", cls.agent_port, 1, 65535),
            proxy_port=found.number("PROXY_PORT", cls.proxy_port, 1, 65535),
            silence=found.number("MODEL_SILENCE", 600, 1, 86_400),
        )
        ports = {config.agent_port, config.control.port, config.proxy_port}
        if len(ports) != 3:
            found.faults.append("PORT, CONTROL_PORT and PROXY_PORT must be three different ports.")
        found.check()
        return config


class Gateway:
    """All that the gateway knows.

    Args:
        config: What the environment said.
        ledger: Sessions and usage.
    """

    def __init__(self, config: Config, ledger: Ledger) -> None:
        self.ledger = ledger
        self._told: wire.Configuration | None = None
        self._providers: dict[str, wire.Provider] = {}
        self.models = ModelApi(self, config.token, config.silence)
        self.proxy = Proxy()
        self._syncing: asyncio.Task[None] | None = None
        self._to_sync = False

    @property
    def configured(self) -> bool:
        """Whether it was told its configuration since its start."""
        return self._told is not None

    def provider(self, name: str) -> wire.Provider | None:
        """Return a provider, None where there is none of the name."""
        return self._providers.get(name)

    async def configure(self, request: Request) -> Response:
        """`PUT /configuration`."""
        told = await _body(request, wire.Configuration)
        try:
            hosts = tuple(networks.check_host(entry) for entry in told.network.hosts)
        except ValueError as error:
            raise errors.InvalidRequest(f"{error}.", "invalid_host") from None
        if told.talks is not None:
            self.ledger.register(TALKS, told.talks)
        else:
            self.ledger.forget(TALKS)
        self._told, self._providers = told, {each.id: each for each in told.providers}
        self.proxy.policy, self.proxy.hosts = told.network.policy, hosts
        return self._state()

    async def register(self, request: Request) -> Response:
        """`PUT /sessions/{id}`."""
        account = self.ledger.register(_name(request), await _body(request, wire.Budget))
        self._sync()
        return _answer(account.spending())

    async def session(self, request: Request) -> Response:
        """`GET /sessions/{id}`."""
        return _answer(self.ledger.find(_name(request)).spending())

    async def forget(self, request: Request) -> Response:
        """`DELETE /sessions/{id}`."""
        self.ledger.forget(_name(request))
        self._sync()
        return self._state()

    async def conversation(self, request: Request) -> Response:
        """`PUT /conversations/{id}`."""
        told = await _body(request, wire.Conversation)
        self.ledger.belongs(_name(request), told.session_id)
        self._sync()
        return self._state()

    async def conversations(self, request: Request) -> Response:
        """`PUT /conversations`."""
        told, size = await _body(request, wire.Conversations), self.ledger.size
        self.ledger.belong(told.sessions)
        if self.ledger.size != size:
            self._sync()
        return self._state()

    async def usage(self, request: Request) -> Response:
        """`GET /usage`."""
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise errors.InvalidRequest("after must be the number of an entry, or 0.")
        self._sync()
        return _answer(self.ledger.page(request.query_params.get("journal", ""), whole(after)))

    async def health(self, _: Request) -> Response:
        """`GET /health`."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """`GET /ready`."""
        if not self.configured:
            raise errors.Unavailable("The gateway has not been told the providers yet.", "not_configured")
        return JSONResponse({"status": "ready"})

    def _state(self) -> Response:
        return _answer(
            wire.GatewayState(
                configured=self.configured,
                journal=self.ledger.journal_id,
                last=self.ledger.last,
                sessions=self.ledger.sessions,
                refused=self.ledger.refused,
            )
        )

    def _sync(self) -> None:
        """Have what was written forced to the disk, off the requests' way."""
        self._to_sync = True
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._synced(), name="journal to disk")

    async def _synced(self) -> None:
        while self._to_sync:
            self._to_sync = False
            await asyncio.to_thread(self.ledger.sync)

    async def close(self) -> None:
        """Let go of everything."""
        await self.proxy.close()
        await self.models.close()
        if self._syncing is not None:
            await self._syncing


class Doors:
    """Sends each request to the door that it knocked at.

    Args:
        config: What the environment said.
        gateway: What answers.
    """

    def __init__(self, config: Config, gateway: Gateway) -> None:
        self._config = config
        self._gateway = gateway
        self._control = application(
            [
                Route("/health", gateway.health),
                Route("/ready", gateway.ready),
                Route("/configuration", gateway.configure, methods=["PUT"]),
                Route("/sessions/{name}", gateway.register, methods=["PUT"]),
                Route("/sessions/{name}", gateway.session, methods=["GET"]),
                Route("/sessions/{name}", gateway.forget, methods=["DELETE"]),
                Route("/conversations/{name}", gateway.conversation, methods=["PUT"]),
                Route("/conversations", gateway.conversations, methods=["PUT"]),
                Route("/usage", gateway.usage, methods=["GET"]),
            ],
            config.control,
            name="The gateway",
            lifespan=self._lifespan,
        )
        routes = [Route("/{provider}/{path:path}", gateway.models.forward, methods=["POST"])]
        self._models = Proving(Router(routes, redirect_slashes=False), config.token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = scope.get("server")
        inside = scope["type"] == "http" and (server is None or server[1] != self._config.control.port)
        await (self._models if inside else self._control)(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        await self._gateway.proxy.open(self._config.agent_host, self._config.proxy_port)
        _log.info("The gateway of project %s is up", self._config.project_id)
        yield
        await self._gateway.close()


def create_app(config: Config, ledger: Ledger) -> Doors:
    """Build the application."""
    return Doors(config, Gateway(config, ledger))


def listeners(config: Config) -> list[socket.socket]:
    """Open the ports of the model API and of the control API.

    Raises:
        OSError: One is taken.
    """
    places = ((config.agent_host, config.agent_port), (config.control.host, config.control.port))
    return [_listener(*place) for place in places]


def _listener(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With its protocol named, asyncio has each small piece of a stream sent at once (TCP_NODELAY).
    made = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _name(request: Request) -> str:
    try:
        return _NAME.validate_python(request.path_params["name"])
    except ValidationError:
        raise errors.InvalidRequest(
            "An id has letters, digits, dots, hyphens and underscores only."
        ) from None


async def _body(request: Request, kind: type[M]) -> M:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST:
                raise errors.TooLarge("The body is larger than 1 MiB.")
        return kind.model_validate_json(bytes(body))
    except ClientDisconnect:
        raise errors.InvalidRequest("The body broke off.") from None
    except ValidationError as error:
        # Not what was given: it may be a key.
        places = ", ".join(".".join(map(str, fault["loc"])) or "body" for fault in error.errors()[:5])
        raise errors.InvalidRequest(f"This is no {kind.__name__}: see {places}.") from None


def _answer(message: BaseModel) -> Response:
    return Response(message.model_dump_json(), media_type="application/json")
