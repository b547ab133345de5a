"""A board as its pages see it."""

from __future__ import annotations

from uuid import UUID

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.tasks.windows import WIDEST
from vibe_app.wiring import Services


async def column(
    parts: Services, actor: Actor, project_id: UUID, status: TaskStatus = TaskStatus.TODO
) -> list[TaskCard]:
    """Return the cards of a column, from above."""
    seen = await parts.boards.read(actor, project_id, sizes={status: WIDEST}, only=[status])
    return seen.columns[status].cards


async def titles(
    parts: Services, actor: Actor, project_id: UUID, status: TaskStatus = TaskStatus.TODO
) -> list[str]:
    """Return what the cards of a column are called, from above."""
    return [card.title for card in await column(parts, actor, project_id, status)]
