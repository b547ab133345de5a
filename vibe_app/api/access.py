"""Who asks: by bearer token, or by the browser's login cookie from the app's own pages.

A page of another origin (another port of this machine is one) can make a browser
send the cookie, but not forge where the request comes from. So the cookie counts
only where the request is not known to come from elsewhere, and for a write only
where it is known to come from this app's own pages, and always only beside the key
that these pages keep. A bearer token proves itself.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from vibe_app.accounts.proof import Proof
from vibe_app.accounts.roles import Actor
from vibe_app.accounts.service import Grant
from vibe_app.errors import Forbidden, InvalidRequest
from vibe_app.origins import COOKIE_NEEDS_HTTPS, Mismatch, is_same_origin, mismatch, own_origin
from vibe_app.wiring import services

COOKIE = "vibe_login"
MARK_COOKIE = "vibe_browser"
"""Says that this browser has signed in before, so that nobody else's failures keep it out; opens nothing."""
MARK_SECONDS = 90 * 86400
KEY_HEADER = "x-vibe-key"
KEY_QUERY = "key"
"""For what can send no header of its own: an `EventSource`, a picture, a link to download."""

_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="`access_token` of a login, or a personal access token"
)
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="cookie",
    description="The browser's HttpOnly login cookie; beside it `X-Vibe-Key`, or `?key=` where one reads",
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN = (
    "This request comes from another site's page. Open the board itself, or send a bearer token instead of "
    "the login cookie."
)


async def proof(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Proof:
    """Return what the request shows of who asks; a bearer token comes before the cookie.

    Raises:
        Forbidden: It carries the cookie but comes from elsewhere, or is a write that does not tell.
    """
    if bearer is not None:
        return Proof(bearer.credentials)
    if not cookie:
        return Proof()
    safe = request.method in _SAFE
    if not is_own_origin(request, silent=safe):
        raise _foreign(request)
    key = request.headers.get(KEY_HEADER) or (request.query_params.get(KEY_QUERY) if safe else None)
    return Proof(cookie, key or "")


async def asker(shown: Annotated[Proof, Depends(proof)]) -> Actor:
    """Return the person who asks.

    Raises:
        Unauthenticated: Nobody is signed in.
    """
    return await services().accounts.who(shown.token, shown.key)


async def actor_of(request: Request) -> Actor:
    """Do the whole check of this door for a request: for what lasts and asks again.

    Raises:
        Unauthenticated, Forbidden: As the door's own check.
    """
    return await asker(await proof(request, await _bearer(request), await _cookie(request)))


async def own_page(request: Request) -> None:
    """Refuse a request from another site's page to a route that sets the cookie.

    Raises:
        Forbidden: It says that it comes from elsewhere.
        InvalidRequest: A browser came over plain http, and would drop the cookie.
    """
    # Chromium would keep it on this machine's own host, but the pages' socket is refused there too.
    if services().settings.cookie_secure and _source(request).startswith("http:"):
        raise InvalidRequest(COOKIE_NEEDS_HTTPS.sentence, COOKIE_NEEDS_HTTPS.code)
    if not is_own_origin(request, silent=True):
        raise _foreign(request)


def unlike(request: Request, page: str) -> Mismatch | None:
    """Return what keeps a browser that is at this address from using the board, if anything does."""
    return mismatch(page, _own(request), services().settings.cookie_secure)


def _foreign(request: Request) -> Forbidden:
    # A browser that says itself that the page is another site's is right, whatever a proxy does.
    found = None if "sec-fetch-site" in request.headers else unlike(request, _source(request))
    sentence = f"{_FOREIGN} If it was the board itself: {found.sentence}" if found else _FOREIGN
    return Forbidden(sentence, "foreign_origin")


def _source(request: Request) -> str:
    return request.headers.get("origin") or request.headers.get("referer") or ""


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
    source = _source(request)
    return is_same_origin(source, _own(request)) if source else silent


def _own(request: Request) -> str:
    return own_origin(request.headers, request.scope.get("scheme", "http"), services().settings.cookie_secure)


def set_cookie(request: Request, response: Response, grant: Grant) -> None:
    """Give the browser its login cookie."""
    response.set_cookie(
        COOKIE,
        grant.cookie,
        max_age=grant.expires_in,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_own(request).startswith("https:"),
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
        secure=_own(request).startswith("https:"),
    )


def clear_cookie(request: Request, response: Response) -> None:
    """Take the login cookie back."""
    response.delete_cookie(
        COOKIE, path="/", httponly=True, samesite="lax", secure=_own(request).startswith("https:")
    )


Asker = Annotated[Actor, Depends(asker)]
Shown = Annotated[Proof, Depends(proof)]
