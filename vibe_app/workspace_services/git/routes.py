"""The git room's HTTP interface, below `/git`; the file browser serves it.

What is asked and answered is in `wire.git`.

| call | does |
|---|---|
| `GET /git` | the base branch, its head, the trees |
| `PUT /git/trees/{n}` | makes a card's tree, or finds it again |
| `DELETE /git/trees/{n}?revision=&base=&anyway=` | removes it |
| `POST /git/trees/{n}/checkpoint` | keeps what is in it |
| `POST /git/trees/{n}/forget` | lets go of what was kept |
| `GET /git/diff?base=&revision=` | the files of a change |
| `GET /git/patches?base=&revision=&limit=` | their patches |
| `GET /git/diff/file?base=&revision=&path=&old_path=&context=&offset=` | one file of a change |
| `GET /git/blob?commit=&path=` | a file of a commit, as bytes |
| `POST /git/merges` | plans the joining of a change |
| `POST /git/standings` | tells how changes stand to the base branch |
| `POST /git/base` | moves the base branch, by compare-and-swap |
| `POST /git/base/saves` | makes what was written in its folder a commit |
| `POST /git/fetch` | brings the base branch to where its remote is |
| `POST /git/push` | brings a commit to a branch of the remote |
| `PUT /git/found/{n}` | makes the work of an earlier layout a card's tree |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vibe_app.disk import disk_full, means_full
from vibe_app.errors import InvalidRequest, NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.asking import body, query, told
from vibe_app.workspace_services.common.serving import Stream
from vibe_app.workspace_services.git import base, changes, checkpoints, forgetting, remotes, takeover, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Failed

Handler = Callable[[Request], Awaitable[Response]]


@contextmanager
def git_in_words() -> Generator[None]:
    """Turn what git and its disk refuse into a sentence.

    Raises:
        Unavailable: They refused something.
    """
    try:
        yield
    except Failed as error:
        raise Unavailable(f"git could not do this: {error}", "git_failed") from error
    except OSError as error:
        if means_full(error):
            raise disk_full("The workspace's repository could not be written.") from error
        raise Unavailable(
            f"The workspace's files cannot be used: {error.strerror or error}.", "disk_fault"
        ) from error


class Routes:
    """Serves a workspace's repository.

    Args:
        hub: The repository.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """What is served, for the application of a service."""
        return [
            self._route("/git", "GET", self._look),
            self._route("/git/trees/{number}", "PUT", self._want),
            self._route("/git/trees/{number}", "DELETE", self._drop),
            self._route("/git/trees/{number}/checkpoint", "POST", self._checkpoint),
            self._route("/git/trees/{number}/forget", "POST", self._forget),
            self._route("/git/diff", "GET", self._diff),
            self._route("/git/patches", "GET", self._patches),
            self._route("/git/diff/file", "GET", self._file),
            self._route("/git/blob", "GET", self._blob),
            self._route("/git/merges", "POST", self._plan),
            self._route("/git/standings", "POST", self._standings),
            self._route("/git/base", "POST", self._move),
            self._route("/git/base/saves", "POST", self._save),
            self._route("/git/fetch", "POST", self._fetch),
            self._route("/git/push", "POST", self._push),
            self._route("/git/found/{number}", "PUT", self._adopt),
        ]

    def _route(self, path: str, method: str, handler: Handler) -> Route:
        @wraps(handler)
        async def in_words(request: Request) -> Response:
            if not self._hub.exists:
                raise NotFound("This workspace has no repository of cards: restart it.", "no_hub")
            with git_in_words():
                return await handler(request)

        return Route(path, in_words, methods=[method])

    async def _look(self, _: Request) -> Response:
        return told(await trees.look(self._hub))

    async def _want(self, request: Request) -> Response:
        asked = await body(request, wire.WantTree)
        made = await trees.want(self._hub, _number(request), asked)
        return told(made, 201 if made.made else 200)

    async def _drop(self, request: Request) -> Response:
        await trees.drop(self._hub, _number(request), query(request, wire.DropTree))
        return Response(status_code=204)

    async def _checkpoint(self, request: Request) -> Response:
        asked = await body(request, wire.TakeCheckpoint)
        return told(await checkpoints.take(self._hub, _number(request), asked))

    async def _forget(self, request: Request) -> Response:
        asked = await body(request, wire.Forget)
        return told(await forgetting.forget(self._hub, _number(request), asked))

    async def _diff(self, request: Request) -> Response:
        return told(await changes.diff(self._hub, query(request, wire.AskDiff)))

    async def _patches(self, request: Request) -> Response:
        return told(await changes.patches(self._hub, query(request, wire.AskPatches)))

    async def _file(self, request: Request) -> Response:
        return told(await changes.file(self._hub, query(request, wire.AskFile)))

    async def _blob(self, request: Request) -> Response:
        size, content = await changes.blob(self._hub, query(request, wire.AskBlob))
        return Stream(content, 200, {"Content-Length": str(size)}, "application/octet-stream")

    async def _plan(self, request: Request) -> Response:
        return told(await base.plan(self._hub, await body(request, wire.PlanMerge)))

    async def _standings(self, request: Request) -> Response:
        return told(await base.standings(self._hub, await body(request, wire.AskStandings)))

    async def _move(self, request: Request) -> Response:
        return told(await base.move(self._hub, await body(request, wire.MoveBase)))

    async def _save(self, request: Request) -> Response:
        return told(await base.save(self._hub, await body(request, wire.SaveOnBase)))

    async def _fetch(self, request: Request) -> Response:
        return told(await remotes.fetch(self._hub, await body(request, wire.Remote)))

    async def _push(self, request: Request) -> Response:
        return told(await remotes.push(self._hub, await body(request, wire.Push)))

    async def _adopt(self, request: Request) -> Response:
        asked = await body(request, wire.AdoptFound)
        return told(await takeover.adopt(self._hub, _number(request), asked))


def _number(request: Request) -> int:
    text = str(request.path_params["number"])
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) < 2**31):
        raise InvalidRequest("A card's number is a whole number from 1.", "invalid_number")
    return int(text)
