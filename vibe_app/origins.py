"""Where a request comes from, and where a browser may be sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_PAGE = re.compile(r"/|/settings(?:/[a-z]*)?|/p/[0-9a-fA-F-]{36}(/.*)?")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
HOME = "/"
_LONGEST = 200  # characters of an address that somebody sent and that a sentence repeats


class Mismatch(NamedTuple):
    """Why the board cannot be used from where a browser is.

    Attributes:
        code: A word for programs, `cookie_needs_https` or `host_changed`.
        sentence: What a person can do about it.
    """

    code: str
    sentence: str


COOKIE_NEEDS_HTTPS = Mismatch(
    "cookie_needs_https",
    "Vibe sends its login cookie over HTTPS alone (VIBE_COOKIE_SECURE is set), and this page came over plain "
    "http, so nobody can sign in here. Open the board over https, or start Vibe without VIBE_COOKIE_SECURE.",
)


def own_origin(headers: Mapping[str, str], scheme: str, secure: bool = False) -> str:
    """Return the origin under which a browser sees the board.

    A proxy in front tells of it in `X-Forwarded-Proto` and `X-Forwarded-Host`. Anybody
    may write these, but no page can have a browser send them to another origin without
    asking first (Fetch standard: they are none of the safelisted headers), which the
    board never allows.

    Args:
        headers: Of the request, by names in lower case.
        scheme: How the request came to this process, `http` or `https`.
        secure: Whether browsers reach the board by `https` alone, whatever else is said.
    """
    said = _first(headers, "x-forwarded-proto") or scheme
    host = _first(headers, "x-forwarded-host") or headers.get("host", "")
    return f"{'https' if secure else said}://{host}"


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").split(",")[0].strip()


def is_same_origin(one: str, other: str) -> bool:
    """Tell whether two addresses are of one origin: the same scheme, host and port.

    Another port of a host is another origin, yet cookies go to both.
    """
    origin = _origin(one)
    return origin is not None and origin == _origin(other)


def mismatch(page: str, own: str, secure: bool) -> Mismatch | None:
    """Return what keeps a browser's page from being taken for the board's own, if anything does.

    Args:
        page: The address at which the browser is, by its own word.
        own: The board's origin, as its server was told of it (`own_origin`).
        secure: Whether browsers reach the board by `https` alone.
    """
    seen, told = _origin(page), _origin(own)
    if seen is None or seen == told:
        return None
    if secure and seen[0] == "http":
        return COOKIE_NEEDS_HTTPS
    where = f"the browser is at {_short(page)}, and Vibe was asked for {own[:_LONGEST]}."
    if told and seen[0] != told[0] and seen[1] == told[1] and seen[2] in (told[2], _PORTS.get(seen[0])):
        cure = (
            "Set the proxy in front to say how browsers come (nginx: proxy_set_header X-Forwarded-Proto "
            "$scheme), or set VIBE_COOKIE_SECURE=true where they come over https alone."
        )
    else:
        cure = (
            "Set the proxy in front to pass Host on unchanged (nginx: proxy_set_header Host $http_host), or "
            "to name it in X-Forwarded-Host."
        )
    return Mismatch("host_changed", f"A proxy changes the board's address: {where} {cure}")


def _short(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"[:_LONGEST]


def _origin(address: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port


def page_or_home(address: str) -> str:
    """Return the address where it is one of the board's pages, else the home page.

    Every address that a browser is sent to and that somebody else may have written
    comes through here. It must be a path that begins as our pages do: so it names no
    other host, no script and nothing of the API, however it is spelled.
    """
    if _CONTROL.search(address):
        return HOME
    try:
        parts = urlsplit(address)
    except ValueError:
        return HOME
    climbs = any(unquote(segment) in (".", "..") for segment in parts.path.split("/"))
    if parts.scheme or parts.netloc or climbs or not _PAGE.fullmatch(parts.path):
        return HOME
    return address
