"""Routes of a workspace's files, and the proxy to its OpenCode. A workspace is started if need be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from vibe_app.api.access import Asker
from vibe_app.api.errors import error_response, errors
from vibe_app.api.lasting import EditorsRoute, LastingRoute
from vibe_app.api.streams import Forwarded
from vibe_app.clients.services import Call
from vibe_app.errors import Unavailable
from vibe_app.wire import files as wire
from vibe_app.wiring import services

files = APIRouter(prefix="/projects/{project_id}/files", tags=["files"], route_class=LastingRoute)
opencode = APIRouter(prefix="/projects/{project_id}/opencode", tags=["opencode"], route_class=EditorsRoute)

# What a browser may show by itself; an SVG only as an inert picture, see `streams.INERT`.
PICTURES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_DOWNLOADED = (
    *("accept-ranges", "content-disposition", "content-length", "content-range", "etag", "last-modified"),
)


class Download(wire.OneFile):
    """What is downloaded, and how it is shown."""

    inline: bool = Field(default=False, description="Show a picture rather than save it")


def binary(description: str, media_type: str = "application/octet-stream") -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"}
    return {"description": description, "content": {media_type: {"schema": schema}}}


def streamed(answers: dict[int, dict[str, Any]], *statuses: int) -> dict[int | str, dict[str, Any]]:
    # FastAPI would describe a model as the route's own media type, which errors do not have.
    refusals = {status: {**error, "model": None} for status, error in errors(*statuses, 429).items()}
    return {**refusals, **answers}


_RAW_BODY = {"requestBody": {"required": True, "content": binary("", "application/octet-stream")["content"]}}


@files.get("", responses=errors(400, 404, 413, 429, 502))
async def list_files(
    actor: Asker, project_id: UUID, asked: Annotated[wire.ListFolder, Query()]
) -> wire.FileList:
    """List a folder of the workspace: folders first, each by name."""
    return await (await services().files.reading(actor, project_id)).list(asked)


@files.delete("", status_code=204, responses=errors(400, 404, 409, 429, 502))
async def delete_file(actor: Asker, project_id: UUID, asked: Annotated[wire.OneFile, Query()]) -> None:
    """Delete a file, or a folder with all that it holds. For editors."""
    await (await services().files.writing(actor, project_id)).delete(asked)


@files.get("/content", responses=errors(400, 404, 413, 429, 502))
async def read_file(
    response: Response, actor: Asker, project_id: UUID, asked: Annotated[wire.ReadFile, Query()]
) -> wire.FileContent:
    """Return a file of the workspace, or a part of it. The `ETag` is its version, for a later write.

    Without `length` the file must have 5 MiB at most; a longer one is read in parts, or downloaded.
    """
    found = await (await services().files.reading(actor, project_id)).read(asked)
    if found.version is not None:
        response.headers["ETag"] = wire.tag(found.version)
    return found


@files.put(
    "/content",
    responses={
        **errors(400, 404, 409, 413, 429, 502),
        201: {"model": wire.FileWritten, "description": "New"},
    },
    openapi_extra=_RAW_BODY,
)
async def write_file(
    request: Request,
    response: Response,
    actor: Asker,
    project_id: UUID,
    asked: Annotated[wire.WriteFile, Query()],
    if_match: Annotated[str | None, Header(description="The version that was read, in quotes")] = None,
) -> wire.FileWritten:
    """Write a file from the body, whatever that is, whole or not at all. For editors.

    A file that is there already is replaced only with `If-Match` and the version that was read, or with
    `overwrite`: so no change of the agent, or of somebody else, is lost unseen. The body is streamed
    and may be larger than other bodies (`VIBE_UPLOAD_MIB`, 512 MiB unless set).
    """
    version = wire.version_in(if_match)
    try:
        done = await (await services().files.writing(actor, project_id)).write(
            asked, _pieces(request), version
        )
    except ClientDisconnect:
        raise Unavailable("The upload broke off; nothing was written.", "upload_cut") from None
    response.status_code = 201 if done.created else 200
    response.headers["ETag"] = wire.tag(done.version)
    return done


@files.get(
    "/download",
    status_code=200,
    response_class=Forwarded,
    responses=streamed(
        {
            200: binary("The file"),
            206: binary("The part of it that `Range` asks for"),
        },
        *(400, 404, 416, 502),
    ),
)
async def download_file(
    request: Request, actor: Asker, project_id: UUID, asked: Annotated[Download, Query()]
) -> Response:
    """Stream a file of any size; `Range` is honoured."""
    wanted = wire.OneFile(path=asked.path, task=asked.task)
    answer = await (await services().files.reading(actor, project_id)).download(wanted, request.headers)
    if answer.status == 416:
        await answer.close()
        size = {"Content-Range": answer.headers.get("content-range", "")}
        return error_response(416, "The file has no such part.", "no_such_part", size)
    picture = PICTURES.get(PurePosixPath(asked.path).suffix.lower()) if asked.inline else None
    more = {"Content-Disposition": "inline"} if picture else None
    return Forwarded(answer, _DOWNLOADED, more, picture or "application/octet-stream")


@files.get(
    "/archive",
    status_code=200,
    response_class=Forwarded,
    responses=streamed(
        {200: binary("The folder, packed while it is read", "application/gzip")}, 400, 404, 413, 502
    ),
)
async def download_archive(
    actor: Asker, project_id: UUID, asked: Annotated[wire.OneFolder, Query()]
) -> Response:
    """Stream a folder as `.tar.gz`, without `.git`, special files and links that lead out of it."""
    answer = await (await services().files.reading(actor, project_id)).archive(asked)
    return Forwarded(answer, _DOWNLOADED, media_type="application/gzip")


@files.get(
    "/outputs/{name}",
    status_code=200,
    response_class=Forwarded,
    responses=streamed({200: binary("The output, 8 MiB of it at most", "text/plain")}, 400, 404, 502),
)
async def download_output(
    actor: Asker,
    project_id: UUID,
    name: Annotated[str, Path(max_length=100, description="As the session's output says it")],
) -> Response:
    """Return all of a command's output that is too long to be shown, as OpenCode keeps it for a week."""
    answer = await (await services().files.reading(actor, project_id)).output(name)
    more = {"Content-Disposition": "attachment; filename=output.txt"}
    return Forwarded(answer, ("content-length",), more, "text/plain; charset=utf-8")


@files.get("/search", responses=errors(400, 404, 429, 502))
async def search_files(
    actor: Asker, project_id: UUID, asked: Annotated[wire.SearchFiles, Query()]
) -> wire.SearchResults:
    """Search names of files and folders, or text in files: 200 results and 10 s at most."""
    return await (await services().files.reading(actor, project_id)).search(asked)


@files.get("/changed", responses=errors(400, 404, 429, 502))
async def changed_files(
    actor: Asker,
    project_id: UUID,
    since: Annotated[datetime, Query(description="Where the span begins, as a session's `started_at`")],
    until: Annotated[datetime | None, Query(description="Where it ends; without it, now")] = None,
    task: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Number of a card: its files")] = None,
) -> wire.ChangedFiles:
    """List the files last written in a span of time, newest first: 1000 at most, none that git ignores.

    It goes by the files' own times, whoever wrote them. A deleted file is not listed.
    """
    span = wire.WrittenBetween(since=_ms(since), until=None if until is None else _ms(until), task=task)
    return await (await services().files.reading(actor, project_id)).changed(span)


@files.post("/folder", status_code=201, responses=errors(400, 404, 409, 413, 429, 502))
async def make_folder(actor: Asker, project_id: UUID, body: wire.NewFolder) -> wire.FilePath:
    """Make a folder. For editors."""
    return await (await services().files.writing(actor, project_id)).make_folder(body)


@files.post("/move", responses=errors(400, 404, 409, 413, 429, 502))
async def move_file(actor: Asker, project_id: UUID, body: wire.MoveFile) -> wire.FilePath:
    """Give a file or folder another name or place; nothing is overwritten. For editors."""
    return await (await services().files.writing(actor, project_id)).move(body)


_OPENCODE = streamed(
    {
        200: {
            "description": "OpenCode's answer, as it comes",
            "content": {
                "application/json": {"schema": {}},
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        204: {"description": "OpenCode's answer, without a body"},
    },
    *(400, 404, 413, 502),
)
_JSON_BODY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
_UP = ("accept", "content-type", "last-event-id")
_DOWN = ("etag", "last-modified")


@opencode.get("/{path:path}", status_code=200, response_class=Forwarded, responses=_OPENCODE)
async def ask_opencode(request: Request, actor: Asker, project_id: UUID, path: str) -> Response:
    """Read from the workspace's OpenCode, streams such as `event` included. For editors.

    The interface is OpenCode's own (see its documentation). What would show secrets or run commands
    beside the agent does not pass (403), and neither does its web page.
    """
    return await _passed(request, actor, project_id, path)


@opencode.post(
    "/{path:path}", status_code=200, response_class=Forwarded, responses=_OPENCODE, openapi_extra=_JSON_BODY
)
async def tell_opencode(request: Request, actor: Asker, project_id: UUID, path: str) -> Response:
    """Talk with the agent of the workspace's OpenCode, beside the board's sessions. For editors."""
    return await _passed(request, actor, project_id, path)


@opencode.patch(
    "/{path:path}", status_code=200, response_class=Forwarded, responses=_OPENCODE, openapi_extra=_JSON_BODY
)
async def change_in_opencode(request: Request, actor: Asker, project_id: UUID, path: str) -> Response:
    """Change the title of a talk. For editors."""
    return await _passed(request, actor, project_id, path)


@opencode.delete("/{path:path}", status_code=200, response_class=Forwarded, responses=_OPENCODE)
async def delete_in_opencode(request: Request, actor: Asker, project_id: UUID, path: str) -> Response:
    """Delete a talk. For editors."""
    return await _passed(request, actor, project_id, path)


async def _passed(request: Request, actor: Asker, project_id: UUID, path: str) -> Response:
    headers = {name: request.headers[name] for name in _UP if name in request.headers}
    query = request.query_params.multi_items()
    body = await request.body()
    call = Call(request.method, f"/{path}", query, headers, body or None)
    return Forwarded(await services().files.opencode(actor, project_id, call), _DOWN)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


def _ms(moment: datetime) -> int:
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(known.timestamp() * 1000))
