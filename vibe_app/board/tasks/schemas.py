"""What the doors take and show of cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import Field

from vibe_app.board.changes.schemas import ChangeCard
from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.people import PersonView
from vibe_app.board.projects.keys import ref_of
from vibe_app.board.rules import Body, Labels, PriorityWord, StatusWord, Title
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.tasks.attention import Attention, attention_of
from vibe_app.schema import Moment, Patch, Taken, Version, View, documented

MOST_NEEDS = 50
"""Cards that one card can need."""

_Needs = Annotated[
    list[UUID],
    documented(maxItems=MOST_NEEDS, description="Cards of the project that have to be done first"),
    Field(max_length=MOST_NEEDS),
]
_Assignee = Annotated[UUID, documented(description="A member of the project, or an admin")]
_Day = Annotated[date, documented(example="2026-12-24", format="date")]


class NewTask(Taken):
    """A new card, for the bottom of TODO."""

    title: Title
    description: Body = ""
    priority: PriorityWord = Priority.NORMAL
    labels: Labels = Field(default_factory=list)
    assignee_id: _Assignee | None = None
    due_on: _Day | None = None
    needs: _Needs = Field(default_factory=list)


class TaskPatch(Patch):
    """What to change of a card; what is absent stays. Null takes assignee and date away."""

    nullable: ClassVar[frozenset[str]] = frozenset({"assignee_id", "due_on"})

    title: Title | None = None
    description: Body | None = None
    priority: PriorityWord | None = None
    labels: Labels | None = None
    assignee_id: _Assignee | None = None
    due_on: _Day | None = None
    needs: _Needs | None = None


class ChangeTask(TaskPatch):
    """What to change of a card; what is absent stays. Null takes assignee and date away."""

    beside: ClassVar[frozenset[str]] = frozenset({"version"})

    version: Version = None


class MoveTask(Taken):
    """Where to put a card: into a column, above or below another card of it, or at its end."""

    status: StatusWord
    before_id: UUID | None = None
    after_id: UUID | None = None


class LabelView(View):
    """A label, and how many cards on the board have it."""

    name: str
    count: int


class LabelList(View):
    """The labels on a board, by name; the 500 most frequent ones."""

    labels: list[LabelView]


class NeedView(View):
    """A card that another one needs."""

    id: UUID
    ref: str
    title: str
    status: TaskStatus
    done: bool


@dataclass(frozen=True)
class Around:
    """What a card shows that stands in other rows than its own.

    Args:
        keys: The keys of projects.
        names: The names of people.
        needs: What cards need: id, number, title and status of each.
    """

    keys: Mapping[UUID, str] = field(default_factory=dict[UUID, str])
    names: Mapping[UUID, str] = field(default_factory=dict[UUID, str])
    needs: Mapping[UUID, Sequence[Any]] = field(default_factory=dict[UUID, Sequence[Any]])

    def person(self, user_id: UUID | None) -> PersonView | None:
        """Return who somebody is; None for nobody, and for whose account is gone."""
        if user_id is None or user_id not in self.names:
            return None
        return PersonView(id=user_id, name=self.names[user_id])

    def needed(self, project_id: UUID, task_id: UUID) -> list[NeedView]:
        """Return what a card needs."""
        key = self.keys[project_id]
        return [
            NeedView(
                id=row.id,
                ref=ref_of(key, row.number),
                title=row.title,
                status=row.status,
                done=row.status is TaskStatus.DONE,
            )
            for row in self.needs.get(task_id, ())
        ]


class TaskCard(View):
    """A card without its description, as the board shows it."""

    id: UUID
    project_id: UUID
    number: int | None = Field(description="Counts the project's cards, and names the card's tree")
    ref: str = Field(
        default="",
        description="Its name for people: the project's key and its number; empty while it has no number",
        json_schema_extra={"example": "CAL-14"},
    )
    title: str
    priority: Priority
    labels: list[str]
    status: TaskStatus
    position: float = Field(description="Orders its column, smallest first")
    version: int = Field(description="Grows with each change of what people write on it")
    assignee: PersonView | None = Field(None, description="Who is to take care of it")
    due_on: date | None = None
    needs: list[NeedView] = Field(
        [], description="What has to be done first, archived and deleted cards left out"
    )
    blocked: list[str] = Field(
        default=[],
        description="The names of those that are not done: while there is one, it cannot be executed",
    )
    archived: bool = False
    attention: Attention | None = Field(None, description="Why it needs a person")
    created_by: UUID | None
    author: PersonView | None = Field(None, description="Who made it")
    ran_by: PersonView | None = Field(None, description="Who started its latest run")
    created_at: Moment
    updated_at: Moment
    session: SessionCard | None = Field(None, description="Its latest run")
    change: ChangeCard | None = Field(None, description="Its newest change")

    @classmethod
    def show(cls, task: Any, session: SessionCard | None, change: ChangeCard | None, around: Around) -> Self:
        """Make it of a card's row, of its latest session and change, and of what is around."""
        needs = around.needed(task.project_id, task.id)
        others = {
            "ref": ref_of(around.keys[task.project_id], task.number),
            "assignee": around.person(task.assignee_id),
            "needs": needs,
            "blocked": [each.ref or each.title for each in needs if not each.done],
            "archived": task.archived_at is not None,
            "attention": None if task.archived_at else attention_of(task.status, session, change),
            "author": around.person(task.created_by),
            "ran_by": around.person(session.created_by) if session is not None else None,
            "session": session,
            "change": change,
        }
        own = {name: getattr(task, name) for name in cls.model_fields if name not in others}
        return cls.model_validate(own | others)


class TaskView(TaskCard):
    """A card."""

    description: str


class TaskList(View):
    """A page of cards in board order. It ends early where it would hold more than 1 MiB of text."""

    tasks: list[TaskView]
    total_count: int
    next: str | None = Field(description="What to send as `after` for the cards that follow; null at the end")
