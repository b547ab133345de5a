"""Who asks: by bearer token, or by the browser's login cookie from the app's own pages.

A page of another origin (another port of this machine is one) can make a browser
send the cookie, but not forge where the request comes from. So the cookie counts
only where the request is not known to come from elsewhere, and for a write only
where it is known to come from this app's own pages. A bearer token proves itself.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from vibe_app.accounts.roles import Actor
from vibe_app.accounts.service import Grant
from vibe_app.errors import Forbidden
from vibe_app.wiring import services

COOKIE = "vibe_login"
MARK_COOKIE = "vibe_browser"
"""Says that this browser has signed in before, so that nobody else's failures keep it out; opens nothing."""
MARK_SECONDS = 90 * 86400

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="`access_token` of a login, or a personal access token"
)
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="cookie", description="The browser's HttpOnly login cookie"
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN = (
    "This request comes from another site's page. Open the board itself, or send a bearer token instead of "
    "the login cookie."
)


async def login_token(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> str | None:
    """Return the token that the request carries, if any; a bearer token comes before the cookie.

    Raises:
        Forbidden: It carries the cookie but comes from elsewhere, or is a write that does not tell.
    """
    if bearer is not None:
        return bearer.credentials
    if cookie and not is_own_origin(request, silent=request.method in _SAFE):
        raise Forbidden(_FOREIGN, "foreign_origin")
    return cookie


async def asker(token: Annotated[str | None, Depends(login_token)]) -> Actor:
    """Return the person who asks.

    Raises:
        Unauthenticated: Nobody is signed in.
    """
    return await services().accounts.who(token)


async def actor_of(request: Request) -> Actor:
    """Do the whole check of this door for a request: for what lasts and asks again.

    Raises:
        Unauthenticated, Forbidden: As the door's own check.
    """
    return await asker(await login_token(request, await _bearer(request), await _cookie(request)))


async def own_page(request: Request) -> None:
    """Refuse a request from another site's page to a route that sets the cookie.

    Raises:
        Forbidden: It says that it comes from elsewhere.
    """
    if not is_own_origin(request, silent=True):
        raise Forbidden(_FOREIGN, "foreign_origin")


def is_own_origin(request: Request, silent: bool) -> bool:
    """Tell whether the request comes from a page of this app.

    Browsers set these headers and let no page change them (Fetch standard:
    `Origin` on every write, and `Sec-Fetch-Site`).

    Args:
        request: With its headers.
        silent: The answer for a request that does not say where it comes from.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # `none` is a person who typed the address or took a bookmark.
        return site == "same-origin" or (silent and site == "none")
    source = request.headers.get("origin") or request.headers.get("referer")
    if source is None:
        return silent
    try:
        parts = urlsplit(source)
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    own = request.headers.get("host", "").lower()
    return bool(own) and parts.netloc.lower().removesuffix(default) == own.removesuffix(default)


def set_cookie(request: Request, response: Response, grant: Grant) -> None:
    """Give the browser its login cookie."""
    response.set_cookie(
        COOKIE,
        grant.token,
        max_age=grant.expires_in,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_secure(request),
    )


def set_mark(request: Request, response: Response, grant: Grant) -> None:
    """Give the browser the mark of one that has signed in; it outlives the login."""
    response.set_cookie(
        MARK_COOKIE,
        grant.mark,
        max_age=MARK_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_secure(request),
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the login cookie back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=_secure(request))


def _secure(request: Request) -> bool:
    return services().settings.cookie_secure or request.url.scheme == "https"


Asker = Annotated[Actor, Depends(asker)]
Token = Annotated[str | None, Depends(login_token)]
