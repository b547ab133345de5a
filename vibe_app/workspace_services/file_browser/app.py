"""The file browser's HTTP interface: routes, ranges, streams.

What is asked and answered is in `wire.files`; the verbs are in `reading`, `writing`, `removing`, `search`
and `archive`. Each may be of a card's files (`&task=<number>`), else it is of the base branch's.

| call | does |
|---|---|
| `GET /files?path=&page=&page_size=` | lists a folder |
| `GET /files/content?path=&offset=&length=` | reads a file, as JSON |
| `PUT /files/content?path=&overwrite=&parents=` | writes a file from the body; `If-Match: "<version>"` |
| `GET /files/download?path=` | streams a file, `Range` honoured |
| `GET /files/archive?path=` | streams a folder as `.tar.gz` |
| `GET /files/search?query=&path=&text=&ignored=` | searches names, or text |
| `GET /files/changed?since=&until=` | files last written in a span of time, in milliseconds since 1970 |
| `POST /files/folder?path=&parents=` | makes a folder |
| `POST /files/move?path=&to=&parents=` | renames or moves |
| `DELETE /files?path=` | deletes a file, or a folder with all it holds |
| `PUT`, `POST`, `DELETE /uncommitted/files…` | the same in the base, as far as no commit would come of it |
| `/git…` | the workspace's repository: see `workspace_services.git.routes` |
| `GET /health` `GET /ready` | alive; the workspace is there and can be written |

Errors are `{"error": "<a sentence>", "code": "<snake_case>"}`, as in the app.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vibe_app.errors import InvalidRequest, NotFound, TooLarge, Unavailable, VibeError
from vibe_app.wire import files as wire
from vibe_app.wire import whole
from vibe_app.workspace_services.common.asking import query, told
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.common.serving import Environment, Listening, Stream, answer, application
from vibe_app.workspace_services.file_browser import reading, removing, touching, writing
from vibe_app.workspace_services.file_browser.archive import archive_of
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.search import changed, search
from vibe_app.workspace_services.git import ignored
from vibe_app.workspace_services.git.checkpoints import is_folder
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.ignored import Touched, only_ignored
from vibe_app.workspace_services.git.maintenance import tidy_quietly
from vibe_app.workspace_services.git.routes import Routes as GitRoutes
from vibe_app.workspace_services.git.routes import git_in_words

MIB = 1024 * 1024
_MARKS = ("VIBE_INSTALLATION", "VIBE_PROJECT_ID")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True)
class Config:
    """What the environment said; the table is in `vibe_app.workspace_services.file_browser.__main__`."""

    workspace: Path
    listening: Listening
    largest_read: int = 5 * MIB
    largest_upload: int = 512 * MIB
    largest_archive: int = 2048 * MIB
    bubblewrap: str = ""
    mark: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Config:
        """Read the variables.

        Raises:
            ValueError: One sentence for each that cannot be used, a line each.
        """
        found = Environment(env)
        workspace = Path(found.text("WORKSPACE_DIR", "/workspace"))
        if not workspace.is_dir():
            found.faults.append(f"WORKSPACE_DIR: there is no folder {workspace}.")
        config = cls(
            workspace=workspace.resolve(),
            listening=found.listening(3001),
            largest_read=found.number("FILES_READ_MIB", 5, 1, 64) * MIB,
            largest_upload=found.number("FILES_UPLOAD_MIB", 512, 1, 1_000_000) * MIB,
            largest_archive=found.number("FILES_ARCHIVE_MIB", 2048, 1, 1_000_000) * MIB,
            bubblewrap=found.text("BUBBLEWRAP"),
            # By these the local runtime knows a workspace's processes, if this one dies before its git.
            mark={name: env[name] for name in _MARKS if name in env},
        )
        found.check()
        return config


def create_app(config: Config) -> Starlette:
    """Build the application; when it starts it removes what an earlier one left half done."""
    hub = Hub(config.workspace, config.bubblewrap, config.mark)
    routes = _Routes(config, hub)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await routes.tidy()
        packing = asyncio.create_task(tidy_quietly(hub))
        yield
        packing.cancel()
        await asyncio.wait([packing])

    return application(
        [
            Route("/health", routes.health),
            Route("/ready", routes.ready),
            Route("/files", routes.listing, methods=["GET"]),
            Route("/files", routes.delete, methods=["DELETE"]),
            Route("/files/content", routes.read, methods=["GET"]),
            Route("/files/content", routes.write, methods=["PUT"]),
            Route("/files/download", routes.download, methods=["GET"]),
            Route("/files/archive", routes.archive, methods=["GET"]),
            Route("/files/search", routes.search, methods=["GET"]),
            Route("/files/changed", routes.changed, methods=["GET"]),
            Route("/files/folder", routes.make_folder, methods=["POST"]),
            Route("/files/move", routes.move, methods=["POST"]),
            *routes.uncommitted(),
            *GitRoutes(hub).routes(),
        ],
        config.listening,
        name="The file browser",
        lifespan=lifespan,
    )


class _Routes:
    def __init__(self, config: Config, hub: Hub) -> None:
        self._config = config
        self._hub = hub
        self._workspace = Workspace(config.workspace)
        # ripgrep uses a core each; more at once would only take turns.
        self._searches = asyncio.Semaphore(2)

    async def tidy(self) -> None:
        try:
            await asyncio.to_thread(removing.tidy, self._workspace)
        except VibeError:
            # Readiness and each write say it better.
            return

    def uncommitted(self) -> list[Route]:
        verbs = (
            ("", self.delete, "DELETE"),
            ("/content", self.write, "PUT"),
            ("/folder", self.make_folder, "POST"),
            ("/move", self.move, "POST"),
        )
        return [
            Route(f"/uncommitted/files{path}", partial(verb, uncommitted=True), methods=[method])
            for path, verb, method in verbs
        ]

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        if not await asyncio.to_thread(os.access, self._workspace.path, os.R_OK | os.W_OK | os.X_OK):
            raise Unavailable("The workspace's folder cannot be written to.", "read_only")
        return JSONResponse({"status": "ready"})

    async def listing(self, request: Request) -> Response:
        asked = query(request, wire.ListFolder)
        found = await self._do(asked.task, reading.list_folder, asked.path, asked.page, asked.page_size)
        if asked.git and asked.task is None and self._hub.exists:
            names = [raw(entry.path) + b"/" * (entry.type == "directory") for entry in found.entries]
            with git_in_words():
                states = await ignored.states(self._hub, raw(found.path), names)
            entries = [
                entry.model_copy(update={"git": state})
                for entry, state in zip(found.entries, states, strict=True)
            ]
            found = found.model_copy(update={"entries": entries})
        return _told(found)

    async def read(self, request: Request) -> Response:
        asked, limit = query(request, wire.ReadFile), self._config.largest_read
        found = await self._do(asked.task, reading.read_file, asked.path, limit, asked.offset, asked.length)
        return _told(found, version=found.version)

    async def write(self, request: Request, uncommitted: bool = False) -> Response:
        asked, limit = query(request, wire.WriteFile), self._config.largest_upload
        version = wire.version_in(request.headers.get("if-match"))
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and whole(announced) > limit:
            raise TooLarge(f"The file is larger than {limit // MIB} MiB, which is the limit here.")
        draft = await self._do(asked.task, writing.Draft, limit)
        try:
            await _received(request, draft)
            async with self._careful(uncommitted, touching.writing, asked.path):
                done = await asyncio.to_thread(
                    draft.put, asked.path, version=version, overwrite=asked.overwrite, parents=asked.parents
                )
        except ClientDisconnect:
            # Nobody is there to be answered; what came is dropped below.
            return Response(status_code=400)
        finally:
            await asyncio.shield(asyncio.to_thread(draft.close))
        return _told(done, 201 if done.created else 200, done.version)

    async def download(self, request: Request) -> Response:
        asked = query(request, wire.OneFile)
        file = await self._do(asked.task, reading.open_file, asked.path)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": disposition(file.name),
            "ETag": f'"{file.tag}"',
            "Last-Modified": format_datetime(file.modified, usegmt=True),
        }
        begin, end = 0, file.size
        wanted = request.headers.get("range", "")
        condition = request.headers.get("if-range", headers["ETag"])
        if wanted and condition == headers["ETag"] and (cut := _range(wanted, file.size)):
            begin, end = cut
            if begin >= end:
                os.close(file.descriptor)
                refusal = answer("The file has no such part.", "no_such_part", 416)
                refusal.headers["Content-Range"] = f"bytes */{file.size}"
                return refusal
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size}"
        headers["Content-Length"] = str(end - begin)
        status = 206 if "Content-Range" in headers else 200
        part = _part(file.descriptor, begin, end)
        return Stream(part, status, headers, "application/octet-stream", partial(os.close, file.descriptor))

    async def archive(self, request: Request) -> Response:
        asked = query(request, wire.OneFolder)
        archive = await self._do(asked.task, archive_of, asked.path, self._config.largest_archive)
        headers = {"Content-Disposition": disposition(archive.name + b".tar.gz")}
        return Stream(_in_threads(archive.pieces()), 200, headers, "application/gzip")

    async def search(self, request: Request) -> Response:
        asked = query(request, wire.SearchFiles)
        async with self._searches:
            found = await search(
                self._at(asked.task), asked.query, asked.path, text=asked.text, ignored=asked.ignored
            )
        return _told(found)

    async def changed(self, request: Request) -> Response:
        asked = query(request, wire.WrittenBetween)
        until = None if asked.until is None else asked.until / 1000
        async with self._searches:
            return _told(await changed(self._at(asked.task), asked.since / 1000, until))

    async def make_folder(self, request: Request, uncommitted: bool = False) -> Response:
        asked = query(request, wire.NewFolder)
        async with self._careful(uncommitted, touching.making_folder, asked.path):
            made = await self._do(asked.task, writing.make_folder, asked.path, asked.parents)
        return _told(made, 201)

    async def move(self, request: Request, uncommitted: bool = False) -> Response:
        asked = query(request, wire.MoveFile)
        if not asked.to:
            raise InvalidRequest('The query parameter "to" is missing.')
        async with self._careful(uncommitted, touching.moving, asked.path, asked.to):
            return _told(await self._do(asked.task, writing.move, asked.path, asked.to, asked.parents))

    async def delete(self, request: Request, uncommitted: bool = False) -> Response:
        asked = query(request, wire.OneFile)
        async with self._careful(uncommitted, touching.deleting, asked.path):
            await self._do(asked.task, removing.delete, asked.path)
        return Response(status_code=204)

    @asynccontextmanager
    async def _careful(
        self, uncommitted: bool, touches: Callable[Concatenate[Workspace, ...], Touched], *paths: str
    ) -> AsyncGenerator[None]:
        """Let something be done; where it is to be no commit, once it is known that it would be none."""
        if not uncommitted:
            yield
            return
        if not self._hub.exists:
            raise NotFound("This workspace has no repository of cards: restart it.", "no_hub")
        with git_in_words():
            async with only_ignored(self._hub, partial(touches, self._at(None), *paths)):
                yield

    async def _do(
        self,
        task: int | None,
        verb: Callable[Concatenate[Workspace, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        return await asyncio.to_thread(verb, self._at(task), *arguments, **named)

    def _at(self, task: int | None) -> Workspace:
        """Whose files are meant: a card's, or the base branch's; of an earlier layout all that there is.

        Raises:
            NotFound: The card has no tree.
        """
        if not self._hub.exists:
            if task is not None:
                raise NotFound("The cards of this workspace have no files of their own yet.", "no_tree")
            return self._workspace
        if task is None:
            return Workspace(self._hub.base, self._config.workspace)
        if not (self._hub.marker(task).exists() and is_folder(self._hub.tree(task))):
            raise NotFound("The card has no files of its own just now.", "no_tree")
        return Workspace(self._hub.tree(task), self._config.workspace)


async def _received(request: Request, draft: writing.Draft) -> None:
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= MIB:
            await asyncio.to_thread(draft.write, bytes(pending))
            pending.clear()
    await asyncio.to_thread(draft.write, bytes(pending))


async def _part(descriptor: int, begin: int, end: int) -> AsyncGenerator[bytes]:
    while begin < end:
        piece = await asyncio.to_thread(os.pread, descriptor, min(reading.PIECE, end - begin), begin)
        if not piece:
            # It was cut meanwhile. Ending here breaks the connection, as less came than was announced.
            return
        begin += len(piece)
        yield piece


async def _in_threads(pieces: Iterator[bytes]) -> AsyncGenerator[bytes]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def disposition(name: bytes) -> str:
    """The `Content-Disposition` of a download, with names as RFC 6266 wants them."""
    text = shown(name)
    plain = re.sub(r"[^\w .()+,;=@-]", "_", text, flags=re.ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(text, safe='')}"


def _told(found: BaseModel, status: int = 200, version: str | None = None) -> Response:
    return told(found, status, None if version is None else {"ETag": wire.tag(version)})


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return where the asked-for part begins and ends; None for what this service does not cut."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size - whole(last)), size
    return whole(first), min(size, whole(last) + 1 if last else size)
