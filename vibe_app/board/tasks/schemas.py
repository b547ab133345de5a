"""What the doors take and show of cards."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import Field

from vibe_app.board.changes.schemas import ChangeCard
from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.rules import Body, Labels, PriorityWord, StatusWord, Title
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.schema import Moment, Patch, Taken, View


class NewTask(Taken):
    """A new card, for the bottom of TODO."""

    title: Title
    description: Body = ""
    priority: PriorityWord = Priority.NORMAL
    labels: Labels = Field(default_factory=list)


class TaskPatch(Patch):
    """What to change of a card; what is absent stays."""

    title: Title | None = None
    description: Body | None = None
    priority: PriorityWord | None = None
    labels: Labels | None = None


class ChangeTask(TaskPatch):
    """What to change of a card; what is absent stays."""

    beside: ClassVar[frozenset[str]] = frozenset({"version"})

    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="The version that you read; or name it in If-Match"
    )


class MoveTask(Taken):
    """Where to put a card: into a column, above or below another card of it, or at its end."""

    status: StatusWord
    before_id: UUID | None = None
    after_id: UUID | None = None


class TaskCard(View):
    """A card without its description, as the board shows it."""

    id: UUID
    project_id: UUID
    number: int | None = Field(description="Counts the project's cards, and names the card's tree")
    title: str
    priority: Priority
    labels: list[str]
    status: TaskStatus
    position: float = Field(description="Orders its column, smallest first")
    version: int = Field(description="Grows with each change of title, description, priority or labels")
    created_by: UUID | None
    created_at: Moment
    updated_at: Moment
    session: SessionCard | None = Field(None, description="Its latest run")
    change: ChangeCard | None = Field(None, description="Its newest change")

    @classmethod
    def with_session(cls, task: Any, session: SessionCard | None, change: ChangeCard | None) -> Self:
        """Make it of a card's row and of what is shown of its latest session and its change."""
        values = {name: getattr(task, name) for name in cls.model_fields if name not in ("session", "change")}
        return cls.model_validate({**values, "session": session, "change": change})


class TaskView(TaskCard):
    """A card."""

    description: str


class TaskList(View):
    """A page of cards in board order. It ends early where it would hold more than 1 MiB of text."""

    tasks: list[TaskView]
    total_count: int
    next: str | None = Field(description="What to send as `after` for the cards that follow; null at the end")
