"""Routes of cards: create, list, read, change, delete, move."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.api.schemas import After, Page, PageSize
from vibe_app.api.versions import IfMatch, named_version, tagged
from vibe_app.board.rules import parse_priority, parse_status
from vibe_app.board.tasks import schemas
from vibe_app.board.tasks.bulk import BulkOutcomes, BulkTasks
from vibe_app.board.tasks.filters import Filter
from vibe_app.board.tasks.happened import ActivityList
from vibe_app.errors import InvalidRequest
from vibe_app.wire import plain_text
from vibe_app.wiring import services

tasks = APIRouter(prefix="/projects/{project_id}/tasks", tags=["tasks"])


@tasks.get("", responses=errors(400, 404))
async def list_tasks(
    actor: Asker,
    project_id: UUID,
    status: Annotated[str | None, Query(description="Only this column", examples=["TODO"])] = None,
    text: Annotated[str, Query(description="Only cards whose title or description contains it")] = "",
    page: Page = 1,
    page_size: PageSize = 20,
    after: After = None,
    archived: Annotated[bool, Query(description="The archive's cards, in place of the board's")] = False,
    priority: Annotated[list[str] | None, Query(description="Only cards with one of these")] = None,
    label: Annotated[list[str] | None, Query(description="Only cards with one of these at least")] = None,
    assignee: Annotated[list[UUID] | None, Query(description="Only cards of one of these people")] = None,
    unassigned: Annotated[bool, Query(description="Also, or only, cards of nobody")] = False,
    needs_me: Annotated[bool, Query(description="Only cards that need you")] = False,
) -> schemas.TaskList:
    """List the cards of a board in their order. A page holds 1 MiB of text at most, and may end early."""
    column = parse_status(status) if status else None
    chosen = Filter(
        priorities=frozenset(parse_priority(word) for word in priority or ()),
        labels=frozenset(map(plain_text, label or ())),
        assignees=frozenset(assignee or ()),
        unassigned=unassigned,
        needs=actor.user_id if needs_me else None,
    )
    found = await services().tasks.page(
        actor, project_id, column, text, page, page_size, after, archived=archived, chosen=chosen
    )
    return schemas.TaskList(tasks=found.items, total_count=found.total_count, next=found.next)


@tasks.post("", status_code=201, responses=errors(400, 404, 413))
async def create_task(actor: Asker, project_id: UUID, body: schemas.NewTask) -> schemas.TaskView:
    """Put a new card at the bottom of TODO."""
    return await services().tasks.create(actor, project_id, body)


@tasks.post("/bulk", responses=errors(400, 404, 413))
async def change_tasks(actor: Asker, project_id: UUID, body: BulkTasks) -> BulkOutcomes:
    """Move, label, archive or delete up to 100 cards, each for itself; told of each whether it was done."""
    return BulkOutcomes(outcomes=await services().bulk.run(actor, project_id, body))


@tasks.get("/{task_id}", responses=errors(400, 404))
async def read_task(actor: Asker, project_id: UUID, task_id: UUID, response: Response) -> schemas.TaskView:
    """Return one card with its latest session. `ETag` is its version, for `If-Match` of a change."""
    return tagged(await services().tasks.read(actor, project_id, task_id), response)


@tasks.patch("/{task_id}", responses=errors(400, 404, 409, 413))
async def change_task(
    actor: Asker,
    project_id: UUID,
    task_id: UUID,
    body: schemas.ChangeTask,
    response: Response,
    if_match: IfMatch = "",
) -> schemas.TaskView:
    """Change what is given of a card, on top of the version that you read.

    Its title and description stay as they are while a session is live. Where somebody else
    was first, the answer is 409 `version_changed` with your values and the card as it is now.
    """
    version = named_version(body.version, if_match)
    if version is None:
        raise InvalidRequest(
            'Say which version of the task you read: in the field "version", or in the header If-Match.',
            "version_missing",
        )
    return tagged(await services().tasks.change(actor, project_id, task_id, version, body), response)


@tasks.get("/{task_id}/activity", responses=errors(400, 404))
async def list_activity(
    actor: Asker, project_id: UUID, task_id: UUID, page: Page = 1, page_size: PageSize = 20
) -> ActivityList:
    """List what happened to a card, the newest first: who made, moved, edited, executed and decided."""
    found = await services().activity.read(actor, project_id, task_id, page, page_size)
    return ActivityList(activity=found.items, total_count=found.total_count)


@tasks.delete("/{task_id}", status_code=204, responses=errors(400, 404, 409))
async def delete_task(actor: Asker, project_id: UUID, task_id: UUID) -> None:
    """Delete a card with its history, unless a session of it is live. It can be restored for 30 days."""
    await services().tasks.delete(actor, project_id, task_id)


@tasks.post("/{task_id}/restore", responses=errors(400, 404, 409))
async def restore_task(actor: Asker, project_id: UUID, task_id: UUID) -> schemas.TaskView:
    """Bring a deleted card back to its column, with its history and its change. For 30 days."""
    return await services().tasks.restore(actor, project_id, task_id)


@tasks.post("/{task_id}/archive", responses=errors(400, 404, 409))
async def archive_task(actor: Asker, project_id: UUID, task_id: UUID) -> schemas.TaskView:
    """Take a card off the board, into the archive, unless a session of it is live."""
    return await services().tasks.archive(actor, project_id, task_id)


@tasks.post("/{task_id}/unarchive", responses=errors(400, 404, 409))
async def unarchive_task(actor: Asker, project_id: UUID, task_id: UUID) -> schemas.TaskView:
    """Bring a card back from the archive, to where it was."""
    return await services().tasks.unarchive(actor, project_id, task_id)


@tasks.post("/{task_id}/move", responses=errors(400, 404, 409, 413))
async def move_task(
    actor: Asker, project_id: UUID, task_id: UUID, body: schemas.MoveTask
) -> schemas.TaskView:
    """Move a card: above or below another, or to a column's end. IN_PROGRESS belongs to live sessions."""
    return await services().tasks.move(actor, project_id, task_id, body.status, body.before_id, body.after_id)
