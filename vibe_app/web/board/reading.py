"""Reads what a board shows: a window of each column, and the counts of all that is not in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.board.tasks.filters import Filter
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.tasks.windows import MOST_LABELS
from vibe_app.errors import NotFound
from vibe_app.web.board.cards import Face, face_of
from vibe_app.web.board.filters import NOBODY, Filters
from vibe_app.web.place import known
from vibe_app.wiring import services


@dataclass(frozen=True)
class Seen:
    """What was read: by column its first cards, how many it has that are let pass, and how many in all."""

    tasks: list[TaskCard]
    columns: dict[str, list[Face]]
    counts: dict[str, int] = field(default_factory=dict[str, int])
    total: int = 0


def filter_of(filters: Filters, actor: Actor) -> Filter:
    """Return the filters of an address as the board's queries take them; rubbish lets nothing pass."""
    assignees: frozenset[UUID] = frozenset()
    if filters.person and filters.person != NOBODY:
        try:
            assignees = frozenset({known(filters.person)})
        except NotFound:
            assignees = frozenset({UUID(int=0)})
    return Filter(
        text=filters.search,
        priorities=frozenset({Priority(filters.priority)} if filters.priority else ()),
        labels=frozenset({filters.label} if filters.label else ()),
        assignees=assignees,
        unassigned=filters.person == NOBODY,
        needs=actor.user_id if filters.needs else None,
        archived=filters.archived,
    )


def _seen(tasks: list[TaskCard], statuses: Collection[TaskStatus]) -> dict[str, list[Face]]:
    return {status.value: [face_of(task) for task in tasks if task.status is status] for status in statuses}


async def read_columns(
    actor: Actor,
    project_id: UUID,
    filters: Filters,
    sizes: Mapping[str, int],
    only: Collection[TaskStatus] = tuple(TaskStatus),
) -> Seen:
    """Read the windows of a board's columns.

    Args:
        actor: Who asks.
        project_id: The board.
        filters: Which cards.
        sizes: How many cards of each column are shown.
        only: The columns that are read.
    """
    shown = {TaskStatus(name): size for name, size in sizes.items()}
    view = await services().boards.read(actor, project_id, filter_of(filters, actor), shown, only)
    tasks = [task for window in view.columns.values() for task in window.cards]
    counts = {status.value: count.shown for status, count in view.counts.items()}
    total = sum(count.all for count in view.counts.values())
    return Seen(tasks, _seen(tasks, only), counts, total)


async def read_some(
    actor: Actor, project_id: UUID, filters: Filters, ids: Collection[UUID]
) -> list[TaskCard]:
    """Read those of some cards that the filters let pass."""
    return await services().boards.some(actor, project_id, ids, filter_of(filters, actor))


async def read_labels(actor: Actor, project_id: UUID, text: str, most: int) -> list[dict[str, str | int]]:
    """Return labels of a board that contain a text by name, each with how many cards have it."""
    found = await services().boards.labels(actor, project_id)
    if text and len(found) == MOST_LABELS:
        found |= await services().boards.labels(actor, project_id, text)
    # A database may take capitals for other letters where they are not Latin.
    letters = text.casefold()
    named = [name for name in sorted(found) if letters in name.casefold()]
    return [{"name": name, "count": found[name]} for name in named[:most]]


async def read_people(actor: Actor, project_id: UUID, text: str, most: int) -> list[dict[str, str]]:
    """Return who can have cards of a board and is called by a text, the asker first."""
    members = await services().members.of(actor, project_id)
    names = await services().users.names([member.user_id for member in members])
    others = sorted((user.name, str(each)) for each, user in names.items() if each != actor.user_id)
    people = [("Me", str(actor.user_id)), ("Nobody", NOBODY), *others]
    letters = text.casefold()
    return [{"id": each, "name": name} for name, each in people if letters in name.casefold()][:most]


async def name_of(actor: Actor, project_id: UUID, person: str) -> str:
    """Return what the filter calls the person that an address names."""
    chosen = filter_of(Filters(person=person), actor)
    if not person:
        return ""
    if chosen.unassigned:
        return "Nobody"
    if actor.user_id in chosen.assignees:
        return "Me"
    members = {member.user_id for member in await services().members.of(actor, project_id)}
    names = await services().users.names(chosen.assignees & members)
    return next((user.name for user in names.values()), "Somebody else")
