"""The socket's handshake: whose page opens it, and the key that comes in its first packet.

A browser sends the login cookie with the handshake, and no page can add a header to
that. So the pages put the key of the login beside the first event, which Reflex 0.10.1
sends in the packet that opens the connection (`assets/door.js`); here it is taken out
and kept with the handshake's cookies, as if it were one: they last as long as the
connection, and Reflex sends them to no browser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import reflex as rx

from vibe_app.origins import is_same_origin, own_origin
from vibe_app.wiring import services

KEY_COOKIE = "vibe_key"
"""Never set in a browser, where it would go to every port; one that comes from there counts for nothing."""
KEY_HEADER = "x-vibe-key"
"""From a program, which can add a header to its handshake."""
_KEY = "key"
_LOOKS_RIGHT = re.compile(r"[0-9a-f]{64}")


def guard_socket(app: rx.App) -> None:
    """Let only the board's own pages open the app's socket, and have it keep their keys."""
    namespace = app.event_namespace
    if app.sio is None or namespace is None:
        return
    # Reflex can only name allowed origins, or allow all where there are none to name.
    app.sio.eio.cors_allowed_origins = is_own_origin
    connect = namespace.on_connect

    async def connect_with_key(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        _keep_key(environ, auth)
        await connect(sid, environ, auth)

    # Found by its name: `AsyncNamespace.trigger_event` of python-socketio.
    namespace.on_connect = connect_with_key  # type: ignore[method-assign]


def is_own_origin(origin: str | None, environ: Mapping[str, Any]) -> bool:
    """Tell whether a socket's handshake comes from the board's own pages.

    A page on another port of this host counts as the same site, so the cookie
    would come with its handshake: a server that the agent started in a workspace
    is such a page.

    Args:
        origin: The handshake's `Origin`; only a program sends none.
        environ: Its headers in WSGI's spelling, and the ASGI scope.
    """
    if origin is None:
        return True
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    secure = environ.get("asgi.scope", {}).get("scheme") in ("https", "wss")
    own = own_origin(headers, "https" if secure else "http", services().settings.cookie_secure)
    return is_same_origin(origin, own)


def _keep_key(environ: Mapping[str, Any], auth: Any) -> None:
    scope = environ.get("asgi.scope", {})
    headers = list(scope.get("headers", ()))
    name = KEY_HEADER.encode()
    given = next((value.decode("latin-1") for header, value in headers if header.lower() == name), "")
    event = auth.get("event") if isinstance(auth, dict) else None
    first = event.pop(_KEY, None) if isinstance(event, dict) else None
    key = first if isinstance(first, str) and first else given
    if not _LOOKS_RIGHT.fullmatch(key):
        key = ""
    others = [pair for pair in headers if pair[0].lower() != name]
    # The last of several cookies with one name counts.
    scope["headers"] = [*others, (b"cookie", f"{KEY_COOKIE}={key}".encode())]
