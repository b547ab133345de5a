"""Routes of a card's change: read it, comment on it, follow up, accept, discard, restore."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from vibe_app.accounts.roles import Actor
from vibe_app.api.access import Asker
from vibe_app.api.errors import error_response, errors
from vibe_app.api.files import PICTURES, binary, streamed
from vibe_app.api.lasting import LastingRoute, ViewersRoute
from vibe_app.api.streams import Forwarded
from vibe_app.board.changes import schemas
from vibe_app.board.sessions.schemas import Executed
from vibe_app.errors import VersionChanged
from vibe_app.wire.git import FileDiff
from vibe_app.wiring import services

_PREFIX = "/projects/{project_id}/tasks/{task_id}"
changes = APIRouter(prefix=_PREFIX, tags=["changes"], route_class=LastingRoute)
comments = APIRouter(prefix=_PREFIX, tags=["changes"], route_class=ViewersRoute)
"""What viewers may write."""

_DECIDING: dict[int | str, dict[str, Any]] = {
    202: {"model": schemas.ChangeView, "description": "It is being done"},
    **errors(400, 404, 409, 413, 502),
}
_PATIENCE = 10.0
"""Seconds for which a reader waits for a workspace that must be woken; then they are told so with 202."""
# Of what may stand against a decision; anything else is the workspace's.
_CONFLICTS = {"conflicts", "revision_changed", "would_be_lost", "session_live", "base_moves"}


class AskChange(BaseModel):
    """Which part of a change."""

    since: schemas.Revision | None = Field(
        default=None, description="An earlier checkpoint: only what differs from it"
    )


class AskFile(AskChange):
    """Which file of a change."""

    path: str = Field(min_length=1, max_length=20_000)
    offset: int = Field(default=0, ge=0, le=2**53, description="Byte of a long patch at which to begin")
    whole: bool = Field(default=False, description="With both texts, up to 1 MiB each")


class AskPicture(BaseModel):
    """Which side of which file of a change."""

    path: str = Field(min_length=1, max_length=20_000)
    side: Literal["new", "old"] = "new"
    since: schemas.Revision | None = Field(
        default=None,
        description="The checkpoint that `old` is, where it is not the base; with its path there",
    )


@changes.get("/change", responses=errors(202, 400, 404, 429, 502))
async def read_change(
    actor: Asker, project_id: UUID, task_id: UUID, asked: Annotated[AskChange, Query()]
) -> schemas.ChangeView:
    """Return the card's change: what its tree holds that the base branch does not, file by file."""
    view = await services().changes.read(actor, project_id, task_id)
    if asked.since is None:
        return view
    diff = await services().texts.since(actor, project_id, task_id, asked.since, _PATIENCE)
    counts = {"file_count": diff.count, "additions": diff.additions, "deletions": diff.deletions}
    return view.model_copy(update={"files": diff.files, **counts})


@changes.get("/change/file", responses=errors(202, 400, 404, 429, 502))
async def read_changed_file(
    actor: Asker, project_id: UUID, task_id: UUID, asked: Annotated[AskFile, Query()]
) -> FileDiff:
    """Return one file of the change as a unified patch; a long one in parts."""
    return await services().texts.file(
        actor,
        project_id,
        task_id,
        asked.path,
        since=asked.since,
        offset=asked.offset,
        whole=asked.whole,
        patience=_PATIENCE,
    )


@changes.get(
    "/change/blob",
    status_code=200,
    response_class=Forwarded,
    responses=streamed({200: binary("The file")}, 400, 404, 502),
)
async def read_changed_blob(
    actor: Asker, project_id: UUID, task_id: UUID, asked: Annotated[AskPicture, Query()]
) -> Response:
    """Return a file of the change as it was before, or is after it; a picture as one."""
    answer = await services().texts.blob(actor, project_id, task_id, asked.path, asked.side, asked.since)
    kind = PICTURES.get(PurePosixPath(asked.path).suffix.lower(), "application/octet-stream")
    return Forwarded(answer, ("content-length",), media_type=kind)


@comments.put("/change/seen", status_code=204, responses=errors(400, 404, 413))
async def see_file(actor: Asker, project_id: UUID, task_id: UUID, body: schemas.SeenFile) -> None:
    """Note that you have seen a file of the change as it is now, or take that back."""
    await services().changes.see(actor, project_id, task_id, body.path, body.seen)


@comments.get("/change/comments", responses=errors(400, 404))
async def list_comments(actor: Asker, project_id: UUID, task_id: UUID) -> schemas.CommentList:
    """List the comments on the card's change, oldest first, each where its lines are now."""
    found = await services().comments.list(actor, project_id, task_id)
    return schemas.CommentList(comments=found, total_count=len(found))


@comments.post("/change/comments", status_code=201, responses=errors(400, 404, 409, 413))
async def add_comment(
    actor: Asker, project_id: UUID, task_id: UUID, body: schemas.NewComment
) -> schemas.CommentView:
    """Comment on a line, or some lines, of the change. Viewers may."""
    return await services().comments.add(actor, project_id, task_id, body)


@comments.patch(
    "/change/comments/{comment_id}",
    responses=errors(400, 404, 409, 413),
    response_model=schemas.CommentView,
)
async def change_comment(
    actor: Asker, project_id: UUID, task_id: UUID, comment_id: UUID, body: schemas.CommentPatch
) -> schemas.CommentView | JSONResponse:
    """Change your comment's words while the agent has not had it; resolve a comment, or open it again.

    With `was`, the words that you read, the answer is 409 `version_changed` with your words and the
    comment as it is now where these are others meanwhile.
    """
    try:
        return await services().comments.change(actor, project_id, task_id, comment_id, body)
    except VersionChanged as error:
        now = error.present.model_dump(mode="json")
        return error_response(409, error.message, error.code, yours=dict(error.yours), comment=now)


@comments.delete("/change/comments/{comment_id}", status_code=204, responses=errors(400, 404, 409))
async def delete_comment(actor: Asker, project_id: UUID, task_id: UUID, comment_id: UUID) -> None:
    """Delete your comment while the agent has not had it."""
    await services().comments.delete(actor, project_id, task_id, comment_id)


@changes.post("/follow-up", responses=errors(400, 404, 409, 413, 502))
async def follow_up(
    actor: Asker,
    project_id: UUID,
    task_id: UUID,
    body: schemas.FollowUp,
    idempotency_key: Annotated[
        str | None,
        Header(description="Up to 200 characters: asking again with the same key starts no second session"),
    ] = None,
) -> Executed:
    """Tell the agent what to do next in the conversation about the card, with open comments if you like.

    Answers like Execute. Where it fails or is stopped the card returns to the column that it came from.
    """
    session = await services().starts.follow_up(actor, project_id, task_id, body, idempotency_key)
    session = await services().sessions.wait_for_outcome(session.id)
    return Executed(session_id=session.id, status=session.status)


@changes.post("/change/accept", responses=_DECIDING, response_model=schemas.ChangeView)
async def accept_change(
    actor: Asker, project_id: UUID, task_id: UUID, body: schemas.AcceptChange
) -> Response:
    """Join the change into the base branch as one commit (`squash`) or with its history (`merge`).

    The card goes to DONE. 202 where the workspace takes longer than 10 s: it is done by and by. 409
    `conflicts` where it does not fit on the base branch any more, which stays as it is then.
    """
    return await _decided(actor, services().changes.accept(actor, project_id, task_id, body))


@changes.post("/change/discard", responses=_DECIDING, response_model=schemas.ChangeView)
async def discard_change(
    actor: Asker, project_id: UUID, task_id: UUID, body: schemas.NameRevision
) -> Response:
    """Throw the change away; it can be restored for 30 days. The card goes to TODO."""
    return await _decided(actor, services().changes.discard(actor, project_id, task_id, body))


@changes.post("/change/restore", responses=_DECIDING, response_model=schemas.ChangeView)
async def restore_change(actor: Asker, project_id: UUID, task_id: UUID) -> Response:
    """Bring a discarded change back as it was at its last checkpoint."""
    return await _decided(actor, services().changes.restore(actor, project_id, task_id))


@changes.post("/change/deliver", responses=_DECIDING, response_model=schemas.ChangeView)
async def deliver_change(actor: Asker, project_id: UUID, task_id: UUID) -> Response:
    """Bring an accepted change to the project's repository again, where that has failed."""
    return await _decided(actor, services().changes.deliver(actor, project_id, task_id))


@changes.post("/change/solve", responses=errors(400, 404, 409, 413, 502))
async def solve_conflicts(
    actor: Asker, project_id: UUID, task_id: UUID, body: schemas.NameRevision
) -> Executed:
    """Have the agent bring the base branch into the card's tree and solve the conflicts with its change."""
    session = await services().starts.solve(actor, project_id, task_id, body.revision)
    session = await services().sessions.wait_for_outcome(session.id)
    return Executed(session_id=session.id, status=session.status)


async def _decided(actor: Actor, deciding: Awaitable[UUID]) -> Response:
    """Wait for what becomes of a decision, and say it."""
    view = await services().changes.wait_until_done(actor, await deciding)
    shown = view.model_dump(mode="json")
    if view.problem is not None and view.intent is None:
        status = 409 if view.problem.code in _CONFLICTS else 502
        return error_response(status, view.problem.error, view.problem.code, change=shown)
    return JSONResponse(shown, 200 if view.intent is None else 202)
