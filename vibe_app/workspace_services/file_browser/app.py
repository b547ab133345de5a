"""The file browser's HTTP interface: routes, ranges, streams. The verbs are in `files`, `search`, `archive`.

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
| `GET /health` `GET /ready` | alive; the workspace is there and can be written |

Errors are `{"error": "<a sentence>", "code": "<snake_case>"}`, as in the app.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vibe_app.errors import InvalidRequest, TooLarge, Unavailable, VibeError
from vibe_app.wire import whole
from vibe_app.workspace_services.common.serving import Environment, Listening, Stream, answer, application
from vibe_app.workspace_services.file_browser import files
from vibe_app.workspace_services.file_browser.archive import archive_of
from vibe_app.workspace_services.file_browser.names import shown
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.search import changed, search

MIB = 1024 * 1024
_MOST_ENTRIES = 5000
_VERSION = re.compile(r'"([0-9a-f]{32})"')
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_FLAGS = {"": False, "false": False, "0": False, "true": True, "1": True}

T = TypeVar("T")


@dataclass(frozen=True)
class Config:
    """What the environment said; the table is in `vibe_app.workspace_services.file_browser.__main__`."""

    workspace: Path
    listening: Listening
    largest_read: int = 5 * MIB
    largest_upload: int = 512 * MIB
    largest_archive: int = 2048 * MIB

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
        )
        found.check()
        return config


def create_app(config: Config) -> Starlette:
    """Build the application; when it starts it removes what an earlier one left half done."""
    routes = _Routes(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        await routes.tidy()
        yield

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
        ],
        config.listening,
        name="The file browser",
        lifespan=lifespan,
    )


class _Routes:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._workspace = Workspace(config.workspace)
        # ripgrep uses a core each; more at once would only take turns.
        self._searches = asyncio.Semaphore(2)

    async def tidy(self) -> None:
        try:
            await asyncio.to_thread(files.tidy, self._workspace)
        except VibeError:
            # Readiness and each write say it better.
            return

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        if not await asyncio.to_thread(os.access, self._workspace.path, os.R_OK | os.W_OK | os.X_OK):
            raise Unavailable("The workspace's folder cannot be written to.", "read_only")
        return JSONResponse({"status": "ready"})

    async def listing(self, request: Request) -> Response:
        page = _number(request, "page", 1, least=1)
        page_size = _number(request, "page_size", 1000, least=1, most=_MOST_ENTRIES)
        return JSONResponse(await self._do(files.list_folder, _path(request, ""), page, page_size))

    async def read(self, request: Request) -> Response:
        length = _number(request, "length", -1)
        found = await self._do(
            files.read_file,
            _path(request),
            self._config.largest_read,
            _number(request, "offset", 0),
            None if length == -1 else length,
        )
        headers = {"ETag": f'"{found["version"]}"'} if found["version"] else None
        return JSONResponse(found, headers=headers)

    async def write(self, request: Request) -> Response:
        path, limit = _path(request), self._config.largest_upload
        version = _version(request.headers.get("if-match"))
        overwrite, parents = _flag(request, "overwrite"), _flag(request, "parents")
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and whole(announced) > limit:
            raise TooLarge(f"The file is larger than {limit // MIB} MiB, which is the limit here.")
        draft = await asyncio.to_thread(files.Draft, self._workspace, limit)
        try:
            pending = bytearray()
            async for chunk in request.stream():
                pending += chunk
                if len(pending) >= MIB:
                    await asyncio.to_thread(draft.write, bytes(pending))
                    pending.clear()
            await asyncio.to_thread(draft.write, bytes(pending))

            def put() -> dict[str, Any]:
                return draft.put(path, version=version, overwrite=overwrite, parents=parents)

            done = await asyncio.to_thread(put)
        except ClientDisconnect:
            # Nobody is there to be answered; what came is dropped below.
            return Response(status_code=400)
        finally:
            await asyncio.shield(asyncio.to_thread(draft.close))
        status = 201 if done.pop("created") else 200
        return JSONResponse(done, status, headers={"ETag": f'"{done["version"]}"'})

    async def download(self, request: Request) -> Response:
        file = await self._do(files.open_file, _path(request))
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": disposition(file.name),
            "ETag": f'"{file.tag}"',
            "Last-Modified": formatdate(file.modified, usegmt=True),
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
        archive = await self._do(archive_of, _path(request, ""), self._config.largest_archive)
        headers = {"Content-Disposition": disposition(archive.name + b".tar.gz")}
        return Stream(_in_threads(archive.pieces()), 200, headers, "application/gzip")

    async def search(self, request: Request) -> Response:
        query = request.query_params.get("query", "")
        text, ignored = _flag(request, "text"), _flag(request, "ignored")
        async with self._searches:
            found = await search(self._workspace, query, _path(request, ""), text=text, ignored=ignored)
        return JSONResponse(found)

    async def changed(self, request: Request) -> Response:
        since, until = _number(request, "since", 0), _number(request, "until", -1)
        async with self._searches:
            found = await changed(self._workspace, since / 1000, None if until == -1 else until / 1000)
        return JSONResponse(found)

    async def make_folder(self, request: Request) -> Response:
        made = await self._do(files.make_folder, _path(request), _flag(request, "parents"))
        return JSONResponse(made, 201)

    async def move(self, request: Request) -> Response:
        to = request.query_params.get("to", "")
        if not to:
            raise InvalidRequest('The query parameter "to" is missing.')
        return JSONResponse(await self._do(files.move, _path(request), to, _flag(request, "parents")))

    async def delete(self, request: Request) -> Response:
        await self._do(files.delete, _path(request))
        return Response(status_code=204)

    async def _do(self, verb: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(verb, self._workspace, *arguments)


async def _part(descriptor: int, begin: int, end: int) -> AsyncGenerator[bytes]:
    while begin < end:
        piece = await asyncio.to_thread(os.pread, descriptor, min(files.PIECE, end - begin), begin)
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


def _path(request: Request, default: str | None = None) -> str:
    path = request.query_params.get("path", default)
    if path is None:
        raise InvalidRequest('The query parameter "path" is missing.')
    return path


def _flag(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "").lower()
    if given not in _FLAGS:
        raise InvalidRequest(f'The query parameter "{name}" must be true or false.')
    return _FLAGS[given]


def _number(request: Request, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
    given = request.query_params.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most):
        raise InvalidRequest(f'The query parameter "{name}" must be a number from {least} to {most}.')
    return int(given)


def _version(condition: str | None) -> str | None:
    if condition is None:
        return None
    match = _VERSION.fullmatch(condition.strip())
    if match is None:
        raise InvalidRequest(
            "If-Match must be one version in quotes, as the file's ETag gave it.", "invalid_version"
        )
    return match[1]


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return where the asked-for part begins and ends; None for what this service does not cut."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size - whole(last)), size
    return whole(first), min(size, whole(last) + 1 if last else size)
