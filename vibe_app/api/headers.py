"""What every answer tells the browser: what its page may load and run, and what nobody may keep.

One middleware stands before the pages, the API and `/metrics`. An answer that brings a
policy of its own keeps it: a workspace's files (`streams.INERT`) and the page at
`/api/docs`. Redirects to the board itself name no host, which a proxy may have changed.

Sources: Content Security Policy Level 3, RFC 6797 (HSTS), RFC 9111 (`no-store`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vibe_app import frontend
from vibe_app.wiring import services

_YEAR = 365 * 24 * 3600
# Of this host alone: what else runs below its name is not ours to decide.
_HSTS = f"max-age={_YEAR}"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The socket of the pages may fall back to plain answers, and uploads answer with somebody's words.
_PRIVATE = re.compile(r"/(api|metrics|ping|_event|_upload)(/.*)?")
_API = re.compile(r"/(api|metrics)(/.*)?")
# Parts of the documentation's page, which are the same for everybody.
_DOCS = "/api/docs/"
_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


def script_sources(html: str) -> list[str]:
    """Return the sources that let a page's own inline scripts run: `'sha256-…'` of each."""
    texts = {text for attributes, text in _SCRIPT.findall(html) if " src=" not in attributes}
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return sorted(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def page_policy(scripts: list[str], connect: str = "") -> str:
    """Return the policy of a page that loads nothing but from its own origin.

    Args:
        scripts: What may run beside files of this origin.
        connect: Where the page may connect to beside its origin.
    """
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self'", *scripts)),
            # Radix, emotion and CodeMirror write `style` attributes and elements as they go.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            f"connect-src 'self' {connect}".rstrip(),
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class SafeHeaders:
    """Middleware that gives each answer its headers of safety.

    Args:
        app: Pages and API.
        pages: The folder of the compiled pages that are served.
    """

    def __init__(self, app: ASGIApp, pages: Path | None = None) -> None:
        self._app = app
        self._pages = _Pages(pages or frontend.pages(frontend.home()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._complete(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, with_headers)

    def _complete(self, headers: MutableHeaders, scope: Scope) -> None:
        path = scope["path"]
        # uvicorn takes the scheme from `X-Forwarded-Proto` where it trusts the proxy.
        secure = scope["scheme"] == "https" or _by_https_alone()
        headers["X-Content-Type-Options"] = "nosniff"
        # Not `no-referrer`, with which a browser would also hide the origin of its own forms.
        headers["Referrer-Policy"] = "same-origin"
        if secure:
            headers["Strict-Transport-Security"] = _HSTS
        if "Content-Security-Policy" not in headers:
            own = _NOTHING if _API.fullmatch(path) else self._pages.policy(_socket(scope, secure))
            headers["Content-Security-Policy"] = own
        if "Location" in headers:
            headers["Location"] = _below(headers["Location"], scope)
        if _PRIVATE.fullmatch(path) and not path.startswith(_DOCS):
            kept = headers.get("Cache-Control", "")
            if "no-store" not in kept:
                headers["Cache-Control"] = f"{kept}, no-store" if kept else "no-store"


class _Pages:
    """The policy of the compiled pages; read anew when a newer build is put in their place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built = 0
        self._scripts: list[str] = []

    def policy(self, connect: str) -> str:
        try:
            built = (self._folder / "index.html").stat().st_mtime_ns
        except FileNotFoundError:  # about to be exchanged, or none was built
            built = self._built
        if built != self._built:
            html = "".join(each.read_text() for each in sorted(self._folder.rglob("*.html")))
            self._built, self._scripts = built, script_sources(html)
        # Reflex 0.10.1 hands what `rx.call_script` and `rx.run_script` send to `eval`.
        return page_policy(["'unsafe-eval'", *self._scripts], connect)


def _below(location: str, scope: Scope) -> str:
    """Return an address of the board's own without its host, which may be none that a browser knows."""
    own = f"{scope['scheme']}://{Headers(scope=scope).get('host', '')}"
    path = location.removeprefix(own)
    # Two slashes would name another host.
    return path if re.match(r"/(?![/\\])", path) else location


def _by_https_alone() -> bool:
    try:
        return services().settings.cookie_secure
    except RuntimeError:  # an answer while the app starts or stops
        return False


def _socket(scope: Scope, secure: bool) -> str:
    """Return the address of the pages' socket, for browsers to which `'self'` is `http` alone."""
    host = Headers(scope=scope).get("host", "")
    return f"{'wss' if secure else 'ws'}://{host}" if _HOST.fullmatch(host) else ""
