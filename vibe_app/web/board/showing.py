"""How what was read of a board comes into a tab's State, and back out of it."""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.web.board.cards import Face, face_of
from vibe_app.web.board.filters import ANY, Filters, read_filters
from vibe_app.web.board.reading import Seen, read_columns
from vibe_app.web.board.remote_line import needs_somebody, remote_words
from vibe_app.web.board.undo import Was
from vibe_app.web.board.windows import Sent, sent
from vibe_app.web.place import known, place_of, project_here

if TYPE_CHECKING:
    from vibe_app.web.board.columns import BoardState


def filters_of(state: BoardState) -> Filters:
    """Return which cards a tab shows."""

    def chosen(value: str) -> str:
        return "" if value == ANY else value

    return Filters(
        state.search,
        chosen(state.priority),
        chosen(state.label),
        chosen(state.person),
        state.needs,
        state.archived,
    )


def take(state: BoardState, filters: Filters) -> None:
    wanted = {
        "search": filters.search,
        "priority": filters.priority or ANY,
        "label": filters.label or ANY,
        "person": filters.person or ANY,
        "needs": filters.needs,
        "archived": filters.archived,
    }
    for name, value in wanted.items():
        set_differing(state, name, value)


def columns_of(state: BoardState) -> dict[str, list[Face]]:
    """Return the cards that a tab shows, by column."""
    return _sent_to(state).now()


def _sent_to(state: BoardState) -> Sent:
    # The cards themselves, not Reflex's proxies of them.
    base = {status.value: list(_plain(getattr(state, _var(status)))) for status in TaskStatus}
    return Sent(base, dict(_plain(state.order)), dict(_plain(state.changed)))


def _plain(value: Any) -> Any:
    return getattr(value, "__wrapped__", value)


def _var(status: TaskStatus) -> str:
    return status.value.lower()


def set_differing(state: rx.State, name: str, value: Any) -> None:
    """Assign only what differs: what is assigned travels."""
    if getattr(state, name) != value:
        setattr(state, name, value)


def _show(state: BoardState, now: dict[str, list[Face]]) -> None:
    """Have the tab show these cards, at the cost of what differs."""
    new = sent(_sent_to(state).base, now)
    for status in TaskStatus:
        set_differing(state, _var(status), new.base[status.value])
    set_differing(state, "order", dict(new.order))
    set_differing(state, "changed", dict(new.changed))


def show_columns(state: BoardState, seen: Seen) -> None:
    """Show the columns that were read; the others stay as they are, but for what has left them meanwhile."""
    read = {str(task.id) for task in seen.tasks}
    left = {
        name: [card for card in cards if card.id not in read] for name, cards in columns_of(state).items()
    }
    _show(state, left | seen.columns)
    others = {each: place for each, place in state._places.items() if place[0] not in seen.columns}
    state._places = others | {str(task.id): (task.status.value, task.position) for task in seen.tasks}
    set_differing(state, "counts", seen.counts)
    set_differing(state, "total", seen.total)
    state.loaded = True


def patch(state: BoardState, tasks: Collection[TaskCard]) -> None:
    """Show cards anew that stand where they stood."""
    faces = {str(task.id): face_of(task) for task in tasks}
    now = columns_of(state)
    _show(state, {name: [faces.get(card.id, card) for card in cards] for name, cards in now.items()})


def put(state: BoardState, task: TaskCard, before_id: str = "") -> None:
    """Show a card where it is now, before everything is read anew."""
    state._own += 1
    card, target = face_of(task), task.status.value
    now = columns_of(state)
    source = next((name for name, cards in now.items() if any(each.id == card.id for each in cards)), "")
    # Where it stood, and nowhere in that column: both columns are read anew.
    state._places[card.id] = (source or target, -inf)
    ids = [each.id for each in now[target] if each.id != card.id or before_id == card.id]
    at = ids.index(before_id) if before_id in ids else len(ids)
    now = {name: [each for each in cards if each.id != card.id] for name, cards in now.items()}
    now[target].insert(at, card)
    _show(state, now)
    if source and source != target:
        counts = dict(state.counts)
        counts[source], counts[target] = counts[source] - 1, counts[target] + 1
        state.counts = counts


def begin(state: BoardState, project: UUID | None) -> None:
    """Empty the board where it is another project's, and take the filters that the address names."""
    project_id = str(project or "")
    if project_id != state.project_id:
        state.reset()
        state.project_id = project_id
    query = state.router.url.query_parameters
    # An open card's address need not say what the board behind it shows.
    if place_of(state).task is None or query:
        take(state, read_filters(query))


def show_project(state: BoardState, project: ProjectView) -> None:
    values = {
        "name": project.name,
        "role": project.role.value,
        "can_edit": project.role.covers(ProjectRole.EDITOR),
        "workspace": project.workspace.status.value,
        "workspace_reason": project.workspace.reason or "",
        "notices": project.workspace.notices,
        "remote": needs_somebody(project),
        "remote_words": remote_words(project.remote),
        "joining": str(project.joining_task_id or ""),
        "missing": "",
    }
    for name, value in values.items():
        set_differing(state, name, value)


def failures(state: BoardState, tasks: Collection[TaskCard]) -> list[tuple[str, str]]:
    """Return title and reason of the cards that were running here and have failed since."""
    live = {card.id for card in columns_of(state)[TaskStatus.IN_PROGRESS]}
    cards = (face_of(task) for task in tasks if str(task.id) in live)
    return [(card.title, f"Failed: {card.words}") for card in cards if card.run == "failed"]


def last_shown(state: BoardState, column: TaskStatus, moving: str) -> UUID | None:
    """Return the card at the end of what is shown of a column, where that is not the end of the column."""
    cards = [card for card in columns_of(state)[column] if card.id != moving]
    ends = not state.filtered and state.counts[column] <= len(columns_of(state)[column])
    return None if ends or not cards else known(cards[-1].id)


async def reread(state: BoardState, actor: Actor) -> None:
    """Read the columns anew, and show them."""
    seen = await read_columns(actor, project_here(state), filters_of(state), dict(state.sizes))
    state._own += 1
    show_columns(state, seen)


def places(board: BoardState) -> dict[str, Was]:
    """Return where each card that is shown stands."""
    found: dict[str, Was] = {}
    for name, cards in columns_of(board).items():
        below = [*cards, None][1:]
        for card, following in zip(cards, below, strict=True):
            above = known(following.id) if following else None
            found[card.id] = Was(known(card.id), TaskStatus(name), above)
    return found
