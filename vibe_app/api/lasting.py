"""Routes whose answers may last: they are broken off as soon as the asker may not have them any more."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar
from uuid import UUID

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from vibe_app.accounts.roles import ProjectRole
from vibe_app.accounts.roles import Scope as TokenScope
from vibe_app.api.access import KEY_HEADER, KEY_QUERY, actor_of
from vibe_app.errors import TooMany, VibeError
from vibe_app.wiring import services

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Answers of these routes that one person may have open at once, at each process of the server."""
_RETRY_AFTER = 5

_open: Counter[UUID] = Counter()
_PROOFS = ("authorization", "cookie", KEY_HEADER)


class LastingRoute(APIRoute):
    """A route of a project: waiting for the answer, and sending it, ends with the right to it.

    Reading is for viewers, everything else for editors. An answer that has begun is left unfinished, so
    that nobody takes a part for the whole.
    """

    reading: ClassVar[ProjectRole] = ProjectRole.VIEWER
    writing: ClassVar[ProjectRole] = ProjectRole.EDITOR
    executes: ClassVar[bool] = False

    @classmethod
    def needed(cls, method: str) -> ProjectRole:
        """Return the role without which an answer to this method of HTTP is broken off."""
        return cls.reading if method == "GET" else cls.writing

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for as long as the asker may have it."""
        project_id = _project(scope)
        if project_id is None or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        needed = self.needed(scope["method"])
        request = Request(scope)
        started = False

        async def again() -> None:
            # A token's scopes are for its life: which one the route needs, it has found out itself.
            actor = await actor_of(request)
            await services().projects.check(actor, project_id, needed, TokenScope.READ)
            if self.executes:
                actor.need_execution()

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        shown = (request.query_params.get(KEY_QUERY), *(request.headers.get(name) for name in _PROOFS))
        actor = await actor_of(request)
        with _counted(actor.user_id):
            async with services().rights.lasting(
                (needed, self.executes, *shown), again, actor.user_id, project_id
            ) as right:
                try:
                    await right.run(super().handle(scope, receive, noting))
                except VibeError as error:
                    if not started:
                        raise
                    log.info("an answer of project %s was broken off: %s", project_id, error)


class ViewersRoute(LastingRoute):
    """The same where everything is for viewers."""

    writing = ProjectRole.VIEWER


class EditorsRoute(LastingRoute):
    """The same where everything is for editors who may execute."""

    reading = ProjectRole.EDITOR
    executes = True


@contextmanager
def _counted(person: UUID) -> Generator[None]:
    if _open[person] >= AT_ONCE:
        raise TooMany(
            f"You have {AT_ONCE} streams, downloads and uploads open. Close some, then try again.",
            _RETRY_AFTER,
            "too_many_streams",
        )
    _open[person] += 1
    try:
        yield
    finally:
        _open[person] -= 1
        if not _open[person]:
            del _open[person]


def _project(scope: Scope) -> UUID | None:
    try:
        return UUID(str(scope["path_params"]["project_id"]))
    except (KeyError, ValueError):
        return None
