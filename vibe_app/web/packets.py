"""What a page's socket may send: the packets and events that pages of ours do send, and no others.

Anybody who can reach the board can open its socket and send anything. Engine.IO,
python-socketio and Reflex 0.10.1 answer much of that with an exception of their own, a
traceback for each message. So each message is read here first; what no page sends is
dropped with a line in the log, and a socket that goes on with it is closed.

Sources: the protocols Engine.IO 4 and Socket.IO 5.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints
from urllib.parse import parse_qs

import reflex as rx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from reflex.compiler.utils import compile_client_storage
from reflex.state import State
from reflex_base.registry import RegistrationContext
from socketio import packet
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app.log import Seldom

log = logging.getLogger(__name__)

MOST_UNKNOWN = 10
"""Messages that no page sends, after which a socket is closed."""
_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
# Every State has it, and none of our pages uses it.
_SET_ANY = ".setvar"
# The vars of a State that a browser keeps come with its first event, and with this argument alone.
_KEPT_VARS, _KEPT_CHARS = "vars", 500
# What names the State's form in a page's greeting.
_SCHEMA = "state_schema"
_PONG, _CLOSE, _MESSAGE = "3", "1", "4"

_seldom = Seldom()


class _Foreign(ValueError):
    """A message is none that a page sends."""


class _Place(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    pathname: str = ""
    asPath: str = ""
    query: dict[str, str | list[str] | None] = {}


class _Event(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    name: str
    payload: dict[str, Any] = {}
    router_data: _Place = _Place()


class KnownPackets:
    """Middleware that reads what a page's socket sends before anybody else does.

    Args:
        app: Pages and API.
        pages: The Reflex app.
    """

    def __init__(self, app: ASGIApp, pages: rx.App) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        reader = _Reader(self._pages, bool(parse_qs(scope["query_string"].decode("latin-1")).get("token")))
        wrong = 0

        async def known() -> Message:
            nonlocal wrong
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                try:
                    return {**message, "text": reader.read(message.get("text"))}
                except _Foreign as fault:
                    wrong += 1
                    if wrong >= MOST_UNKNOWN:
                        _tell("a socket is closed after %d messages that no page sends", wrong)
                        # Whoever serves it takes it for gone, and closes it.
                        return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
                    if wrong == 1:
                        _tell("a socket sent what no page sends: %s", fault)

        await self._app(scope, known, send)


def _tell(message: str, *args: object) -> None:
    _seldom.log(log, logging.WARNING, message, *args)


class _Reader:
    """Reads the messages of one socket."""

    def __init__(self, pages: rx.App, has_token: bool) -> None:
        assert pages.sio is not None
        self._namespaces = set(pages.sio.namespace_handlers)
        self._has_token = has_token
        self._connected = False

    def read(self, text: str | None) -> str:
        """Return what of a message is passed on, if a page may send it now.

        Raises:
            _Foreign: It may not; says in our own words what is wrong.
        """
        if not text:
            raise _Foreign("binary data")
        if text in (_PONG, _CLOSE):
            return text
        if text[0] != _MESSAGE:
            raise _Foreign("no packet of Engine.IO")
        try:
            read = packet.Packet(encoded_packet=text[1:])
        # Besides `ValueError`: an empty packet, and lists in lists in lists.
        except (ValueError, IndexError, TypeError, RecursionError) as error:
            raise _Foreign("no packet of Socket.IO") from error
        if read.namespace not in self._namespaces:
            raise _Foreign("a packet for a namespace that there is not")
        if read.packet_type == packet.EVENT and self._connected:
            self._read_event(read.data)
        elif read.packet_type == packet.CONNECT and not self._connected:
            read.data = self._read_greeting(read.data)
            self._connected = True
            return f"{_MESSAGE}{read.encode()}"
        elif read.packet_type == packet.DISCONNECT and self._connected:
            self._connected = False
        else:
            raise _Foreign("a packet of a kind that comes from no page, or not then")
        return text

    def _read_greeting(self, data: object) -> dict[str, Any] | None:
        if not self._has_token:
            raise _Foreign("a connection without a tab's token")
        if data is None:
            return None
        if not isinstance(data, dict) or not isinstance(data.get(_SCHEMA, ""), str):
            raise _Foreign("a greeting that is not a page's")
        if data.get("event") is None:
            return data
        try:
            _check(data["event"])
        except _Foreign:
            if _SCHEMA not in data:
                raise
            # A tab that outlived an upgrade may ask for what is gone: Reflex tells it, by the schema alone.
            return {_SCHEMA: data[_SCHEMA]}
        return data

    def _read_event(self, data: object) -> None:
        match data:
            case ["event", event]:
                _check(event)
            case ["client_error", dict()] | ["ping"]:
                pass
            case _:
                raise _Foreign("an event of a kind that no page knows")


def _check(event: object) -> None:
    try:
        read = _Event.model_validate(event)
    except (ValidationError, RecursionError) as error:
        raise _Foreign("an event that is not written as one") from error
    if read.name.endswith(_SET_ANY) or not _takes(read.name, read.payload):
        raise _Foreign("an event for a handler that there is not, or with other arguments than its")


def _takes(name: str, payload: dict[str, Any]) -> bool:
    registered = RegistrationContext.get().event_handlers.get(name)
    if registered is None:
        return False
    kinds, needed = _arguments(registered.handler.fn)
    if not needed <= payload.keys() <= kinds.keys():
        return False
    try:
        for argument, value in payload.items():
            kinds[argument].validate_python(value)
        # What cannot be encoded cannot be stored or sent either: a lone half of a surrogate pair.
        json.dumps(payload, ensure_ascii=False).encode()
    except (ValidationError, UnicodeEncodeError, RecursionError):
        return False
    if "vibe_app" in registered.handler.fn.__module__:
        return True
    kept = payload.get(_KEPT_VARS) or {}
    return all(
        each in _kept_by_browsers() and isinstance(value, str) and len(value) <= _KEPT_CHARS
        for each, value in kept.items()
    )


@cache
def _kept_by_browsers() -> frozenset[str]:
    """Return the full names of the vars that a browser keeps."""
    return frozenset(name for kind in compile_client_storage(State).values() for name in kind)


@cache
def _arguments(handler: Callable[..., Any]) -> tuple[dict[str, TypeAdapter[Any]], set[str]]:
    """Return what each argument of a handler may be, and which there must be."""
    hints = get_type_hints(handler)
    # The first one is the State.
    arguments = list(inspect.signature(handler).parameters.values())[1:]
    kinds = {each.name: TypeAdapter(hints.get(each.name, Any)) for each in arguments}
    return kinds, {each.name for each in arguments if each.default is inspect.Parameter.empty}
