"""Routes of sessions: execute, stop, history. Their output has a module of its own."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header

from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.api.schemas import Message, Page, PageSize
from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.board.sessions import schemas
from vibe_app.wiring import services

sessions = APIRouter(prefix="/projects/{project_id}/tasks/{task_id}", tags=["sessions"])

STOP_TIMEOUT = 5.0
"""Seconds for which Stop waits for the agent to have stopped."""


@sessions.post("/execute", responses=errors(400, 404, 409, 413, 502))
async def execute_task(
    actor: Asker,
    project_id: UUID,
    task_id: UUID,
    body: schemas.Execute | None = None,
    idempotency_key: Annotated[
        str | None,
        Header(description="Up to 200 characters: asking again with the same key starts no second session"),
    ] = None,
) -> schemas.Executed:
    """Start a session of a task in TODO. Answers within 10 s, when the first outcome is known.

    `running` means that the agent took it; `pending` that it waits in line or
    for its workspace. With 502 the session is kept as `failed` with the reason
    and the task is in TODO again.
    """
    instructions = body.instructions if body is not None else ""
    verbs = services().starts
    session = await verbs.execute(actor, project_id, task_id, instructions, idempotency_key)
    session = await services().sessions.wait_for_outcome(session.id)
    return schemas.Executed(session_id=session.id, status=session.status)


@sessions.post("/stop", responses=errors(400, 404))
async def stop_task(actor: Asker, project_id: UUID, task_id: UUID) -> Message:
    """Stop the task's live session. `Stopping` means that the agent takes its time; it will stop."""
    verbs = services().sessions
    session = await verbs.stop(actor, project_id, task_id)
    session = await verbs.wait_until_over(session.id, STOP_TIMEOUT)
    if session.status in LIVE:
        return Message(message="Stopping")
    if session.status == SessionStatus.CANCELLED:
        return Message(message="Session stopped")
    return Message(message="The session had ended before it could be stopped")


@sessions.get("/sessions", responses=errors(400, 404))
async def list_sessions(
    actor: Asker,
    project_id: UUID,
    task_id: UUID,
    page: Page = 1,
    page_size: PageSize = 20,
) -> schemas.SessionList:
    """List the task's sessions, newest first, with the beginning of their long texts."""
    found = await services().sessions.history(actor, project_id, task_id, page, page_size)
    return schemas.SessionList(sessions=found.items, total_count=found.total_count)


@sessions.get("/sessions/{session_id}", responses=errors(400, 404))
async def read_session(
    actor: Asker, project_id: UUID, task_id: UUID, session_id: UUID
) -> schemas.SessionView:
    """Return one session of a task, whole."""
    return await services().sessions.read(actor, project_id, task_id, session_id)


@sessions.delete("/sessions/{session_id}", status_code=204, responses=errors(400, 404, 409))
async def delete_session(actor: Asker, project_id: UUID, task_id: UUID, session_id: UUID) -> None:
    """Hide a finished session from every list."""
    await services().sessions.delete(actor, project_id, task_id, session_id)
