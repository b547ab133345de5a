"""Who asks: the check that every handler of every State makes before anything else.

A page guard protects nothing, since any browser can call any handler with any
arguments over the socket. So a handler that does something is written with
`acts`, which finds out who holds the login cookie of this connection and turns
a refusal into the sentence that the person sees.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import reflex as rx
from reflex.state import BaseState
from reflex_base.event import Event
from starlette.requests import cookie_parser

from vibe_app.accounts.lasting import Right
from vibe_app.accounts.proof import Proof
from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.errors import Forbidden, NotFound, Unauthenticated, Unavailable, VibeError
from vibe_app.origins import HOME, page_or_home
from vibe_app.web.handshake import KEY_COOKIE
from vibe_app.web.place import known, place_of
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
    """Whose tab it is, and how often it loaded its page. Only the server knows; it is never sent."""

    _login: Proof | None = None
    _loads: int = 0

    @property
    def signed_in(self) -> bool:
        """Whether a login came with its connection, good or not."""
        return bool(self._login and self._login.token)

    @property
    def loads(self) -> int:
        """How often the whole page was loaded; a connection that comes back loads nothing."""
        return self._loads


_SENDS_ALL = ("hydrate", "hydrate_and_load")


class OneReader(rx.Middleware):
    """Empties a tab that comes with another login than before.

    A tab keeps its State over page loads, and a new connection is sent all of it:
    whoever signs in next at the same browser must not be sent what the last person saw,
    and nobody what they may not see any more.
    """

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> None:
        """Compare the login of the event's connection with that of the one before."""
        root = state._get_root_state()
        reader = await root.get_state(ReaderState)
        await self._compare(root, reader, event)
        # Reflex 0.10.1 tells these of a page that it has just loaded, and of no other.
        if "hashes" in event.payload and event.name.rpartition(".")[2] == "hydrate_and_load":
            reader._loads += 1

    async def _compare(self, root: BaseState, reader: ReaderState, event: Event) -> None:
        login = shown(root)
        if reader._login == login:
            if (
                login.token
                and event.name.rpartition(".")[2] in _SENDS_ALL
                and not await _may_see(root, login)
            ):
                root.reset()
                reader._login = login
            return
        if reader._login is not None:
            root.reset()
        reader._login = login


async def _may_see(root: BaseState, login: Proof) -> bool:
    """Tell whether this login still holds, and is good for every project that the tab's State is about."""
    held = {str(getattr(each, "project_id", "") or "") for each in root.substates.values()}
    try:
        actor = await services().accounts.who(login.token, login.key)
        for project_id in held - {""}:
            await services().projects.check(actor, known(project_id), ProjectRole.VIEWER)
    except VibeError:
        return False
    return True


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
    # The same sentence again takes the place of the one that still stands there.
    return [rx.toast.error(error.message, id=error.message)]


@asynccontextmanager
async def _while_it_may(state: rx.State) -> AsyncIterator[tuple[Actor, Right]]:
    """Yield who asks, and the right to go on: the login's, and to look at the project of the address."""
    proof, project = shown(state), place_of(state).project
    actor = await asker(state)

    async def again() -> None:
        # A page shows nothing that it has not just read: while nothing can be read it may wait.
        with suppress(Unavailable):
            holder = await services().accounts.who(proof.token, proof.key)
            if project is not None:
                await services().projects.check(holder, project, ProjectRole.VIEWER)

    subjects = (actor.user_id,) if project is None else (actor.user_id, project)
    async with services().rights.lasting(("page", proof), again, *subjects) as right:
        yield actor, right


def _lasting(handler: Callable[..., Any], ended: Ended | None) -> Callable[..., Any]:
    """Make a handler that may last: it is broken off as soon as the right to it ends."""

    async def events(self: Any, right: Right, given: Any) -> AsyncIterator[Any]:
        if not inspect.isasyncgen(given):
            yield await right.run(given)
            return
        nothing = object()

        async def following() -> Any:
            return await anext(given, nothing)

        async with aclosing(given):
            while (event := await right.run(following())) is not nothing:
                yield event

    @functools.wraps(handler)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            async with _while_it_may(self) as (actor, right):
                async for event in events(self, right, handler(self, actor, *args, **kwargs)):
                    yield event
        except (NotFound, Forbidden) as error:
            if ended is None:
                for event in refusal(self, error):
                    yield event
                return
            async with self:
                await ended(self, error)
        except VibeError as error:
            for event in refusal(self, error):
                yield event

    return wrapper


Ended = Callable[[Any, VibeError], Awaitable[None]]
"""Empties what a tab holds of something that the person may not see any more; gets its State, locked."""


def acts(
    handler: Callable[..., Any] | None = None,
    *,
    background: bool = False,
    ended: Ended | None = None,
) -> Any:
    """Make an event handler of `async def handler(self, actor, ...)`.

    The browser calls it without `actor`, which is whoever is signed in. Where
    nobody is, the handler does not run and the browser goes to sign in; where it
    raises a `VibeError`, its sentence is shown as a toast.

    Args:
        handler: A coroutine function or an asynchronous generator function.
        background: Run beside the tab's other events; vars then change only inside `async with self`. It
            is broken off as soon as the login ends, or the right to look at the project of the address,
            or the tab's socket is gone. Each tab has one: a new call ends the one that is still running.
        ended: Called in the place of a toast when what a background handler is about may not be seen.
    """
    if handler is None:
        return functools.partial(acts, background=background, ended=ended)
    signature = inspect.signature(handler)

    if background:
        made: Any = _lasting(handler, ended)

    elif inspect.isasyncgenfunction(handler):

        @functools.wraps(handler)
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                async for event in handler(self, await asker(self), *args, **kwargs):
                    yield event
            except VibeError as error:
                for event in refusal(self, error):
                    yield event

        made = wrapper

    else:

        @functools.wraps(handler)
        async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await handler(self, await asker(self), *args, **kwargs)
            except VibeError as error:
                return refusal(self, error)

        made = wrapper

    # Reflex reads a handler's arguments off its signature and annotations: `actor` is none of the browser's.
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "actor"]
    made.__signature__ = signature.replace(parameters=parameters)
    made.__annotations__ = {
        name: kind
        for name, kind in inspect.get_annotations(handler, eval_str=True).items()
        if name != "actor"
    }
    del made.__wrapped__
    return rx.event(made, background=background, supersedes=background)
