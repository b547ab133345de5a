"""Who asks: the check that every handler of every State makes before anything else.

A page guard protects nothing, since any browser can call any handler with any
arguments over the socket. So a handler that does something is written with
`acts`, which finds out who holds the login cookie of this connection and turns
a refusal into the sentence that the person sees.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import reflex as rx
from reflex.state import BaseState
from reflex_base.event import Event
from starlette.requests import cookie_parser

from vibe_app.accounts.proof import Proof
from vibe_app.accounts.roles import Actor
from vibe_app.errors import Unauthenticated, VibeError
from vibe_app.origins import HOME, page_or_home
from vibe_app.web.handshake import KEY_COOKIE
from vibe_app.wiring import services

LOGIN_COOKIE = "vibe_login"


def shown(state: BaseState) -> Proof:
    """Return what the connection that this state serves showed of who is at the browser.

    It is the cookie of the socket's handshake and the key beside it: neither passes
    through a var, and whether they still hold is asked anew at every event.
    """
    cookies = cookie_parser(state.router.headers.cookie)
    token = cookies.get(LOGIN_COOKIE)
    return Proof(token, cookies.get(KEY_COOKIE, "")) if token else Proof()


class ReaderState(rx.State):
    """Whose tab it is. Only the server knows: nothing of it is ever sent."""

    _login: Proof | None = None


class OneReader(rx.Middleware):
    """Empties a tab that comes with another login than before.

    A tab keeps its State over page loads, and a new connection is sent all of it:
    whoever signs in next at the same browser must not be sent what the last person saw.
    """

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> None:
        """Compare the login of the event's connection with that of the one before."""
        root = state._get_root_state()
        reader = await root.get_state(ReaderState)
        login = shown(root)
        if reader._login == login:
            return
        if reader._login is not None:
            root.reset()
        reader._login = login


async def asker(state: rx.State) -> Actor:
    """Return who asks.

    Raises:
        Unauthenticated: Nobody is signed in on this connection.
    """
    proof = shown(state)
    return await services().accounts.who(proof.token, proof.key)


def to_login(state: rx.State) -> Any:
    """Send the browser to the sign-in page and back here afterwards."""
    parts = urlsplit(str(state.router.url))
    here = page_or_home(parts.path + (f"?{parts.query}" if parts.query else ""))
    return rx.redirect("/login" if here == HOME else f"/login?next={quote(here)}")


def refusal(state: rx.State, error: VibeError) -> list[Any]:
    """Return what a person sees of an expected failure."""
    if isinstance(error, Unauthenticated):
        return [to_login(state)]
    return [rx.toast.error(error.message)]


def acts(
    handler: Callable[..., Any] | None = None, *, background: bool = False, supersedes: bool = False
) -> Any:
    """Make an event handler of `async def handler(self, actor, ...)`.

    The browser calls it without `actor`, which is whoever is signed in. Where
    nobody is, the handler does not run and the browser goes to sign in; where it
    raises a `VibeError`, its sentence is shown as a toast.

    Args:
        handler: A coroutine function or an asynchronous generator function.
        background: Run beside the tab's other events; vars then change only inside `async with self`.
        supersedes: A new call ends the one of the same tab that is still running.
    """
    if handler is None:
        return functools.partial(acts, background=background, supersedes=supersedes)
    signature = inspect.signature(handler)

    if inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                async for event in handler(self, await asker(self), *args, **kwargs):
                    yield event
            except VibeError as error:
                for event in refusal(self, error):
                    yield event

    else:

        @functools.wraps(handler)
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await handler(self, await asker(self), *args, **kwargs)
            except VibeError as error:
                return refusal(self, error)

    # Reflex reads a handler's arguments off its signature and annotations: `actor` is none of the browser's.
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "actor"]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {
        name: kind
        for name, kind in inspect.get_annotations(handler, eval_str=True).items()
        if name != "actor"
    }
    del wrapper.__wrapped__
    return rx.event(wrapper, background=background, supersedes=supersedes)
