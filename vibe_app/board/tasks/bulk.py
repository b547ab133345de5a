"""The same with many cards of a board: each for itself, and told of each what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.rules import LABEL_CHARS, StatusWord
from vibe_app.board.tasks.service import Tasks
from vibe_app.db import Database
from vibe_app.errors import VibeError
from vibe_app.schema import Str, Taken, View, documented

MOST = 100
"""Cards at once."""


class Action(StrEnum):
    """What is done with each card."""

    MOVE = "move"
    ADD_LABEL = "add_label"
    REMOVE_LABEL = "remove_label"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"
    RESTORE = "restore"


class BulkTasks(Taken):
    """What to do with some cards: `move` needs a `status`, the two about labels a `label`."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST)]
    action: Action
    status: StatusWord | None = None
    label: Annotated[Str, documented(example="docs", minLength=1, maxLength=LABEL_CHARS)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.action is Action.MOVE and self.status is None:
            raise ValueError("say with `status` where to move them")
        if self.action in (Action.ADD_LABEL, Action.REMOVE_LABEL) and not (self.label or "").strip():
            raise ValueError("say with `label` which label")
        return self


class BulkOutcome(View):
    """What came of one card."""

    id: UUID
    done: bool
    code: str | None = Field(default=None, description="Why not, as a word for programs")
    error: str | None = Field(default=None, description="Why not, as a sentence")


class BulkOutcomes(View):
    """What came of each card, in the order asked."""

    outcomes: list[BulkOutcome]


class Bulk:
    """Does the same with many cards.

    Args:
        database: Where they are kept.
        tasks: Does it with each.
    """

    def __init__(self, database: Database, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks

    async def run(self, actor: Actor, project_id: UUID, asked: BulkTasks) -> list[BulkOutcome]:
        """Do the same with some cards, one after the other; what one refuses leaves the others be.

        Raises:
            NotFound: There is no such project.
            Forbidden: The actor is no editor: nothing was done.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
        outcomes: list[BulkOutcome] = []
        for task_id in dict.fromkeys(asked.ids):
            try:
                await self._one(actor, project_id, task_id, asked)
            except VibeError as error:
                outcomes.append(BulkOutcome(id=task_id, done=False, code=error.code, error=error.message))
            else:
                outcomes.append(BulkOutcome(id=task_id, done=True))
        return outcomes

    async def _one(self, actor: Actor, project_id: UUID, task_id: UUID, asked: BulkTasks) -> None:
        this = (actor, project_id, task_id)
        match asked.action:
            case Action.MOVE:
                await self._tasks.move(*this, asked.status or TaskStatus.TODO)
            case Action.ADD_LABEL:
                await self._tasks.label(*this, add=asked.label or "")
            case Action.REMOVE_LABEL:
                await self._tasks.label(*this, remove=asked.label or "")
            case Action.ARCHIVE:
                await self._tasks.archive(*this)
            case Action.UNARCHIVE:
                await self._tasks.unarchive(*this)
            case Action.DELETE:
                await self._tasks.delete(*this)
            case Action.RESTORE:
                await self._tasks.restore(*this)
