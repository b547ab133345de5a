"""What a board's subscriber does when something changed: it reads that anew, and shows it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.topics import cards_in, cards_of
from vibe_app.web.board.reading import read_columns, read_some
from vibe_app.web.board.showing import columns_of, failures, filters_of, patch, show_columns, show_project
from vibe_app.web.card.drawer import DrawerState, looking_at, show_drawer
from vibe_app.web.card.shown import Shown, read_drawer
from vibe_app.web.place import place_of
from vibe_app.wiring import services

if TYPE_CHECKING:
    from vibe_app.web.board.columns import BoardState


async def catch_up(
    state: BoardState, actor: Actor, project_id: UUID, changed: set[str]
) -> list[tuple[str, str]] | None:
    """Read and show what changed: the cards first, then what stands around them.

    Args:
        state: Of the tab, in a background handler.
        actor: Who asks.
        project_id: The board.
        changed: Topics; none where everything may have changed.

    Returns:
        Title and reason of the runs that failed; None where the tab has shown something of its own
        meanwhile, so that all has to be read again.
    """
    whole = f"project:{project_id}"
    named = cards_in(changed)
    everything = not changed or cards_of(project_id) in changed or (whole in changed and not named)
    filters, sizes, own = filters_of(state), dict(state.sizes), state._own
    tasks: list[TaskCard] = []
    if not everything:
        ids = named | (_running(state) if f"activity:{project_id}" in changed else set())
        tasks = await read_some(actor, project_id, filters, ids)
    seen = None
    if everything or not _in_place(state, named, tasks):
        only = tuple(TaskStatus) if everything else _touched(state, named, tasks)
        seen = await read_columns(actor, project_id, filters, sizes, only)
        tasks = seen.tasks
    async with state:
        if str(project_id) != state.project_id:
            return []
        if own != state._own or filters != filters_of(state):
            return None  # shown now, a card that was moved or executed meanwhile would fly back and forth
        failed = failures(state, tasks)
        if seen is not None:
            show_columns(state, seen)
        else:
            patch(state, tasks)
    project = await services().projects.read(actor, project_id) if everything or whole in changed else None
    shown = await _read_drawer(state, actor, tasks, everything, named)
    if project is None and shown is None:
        return failed
    async with state:
        if project is not None and str(project_id) == state.project_id:
            show_project(state, project)
        if shown is not None:
            await show_drawer(await state.get_state(DrawerState), shown)
    return failed


def _running(state: BoardState) -> set[UUID]:
    return {UUID(card.id) for card in columns_of(state)[TaskStatus.IN_PROGRESS]}


def _in_place(state: BoardState, named: Collection[UUID], tasks: Collection[TaskCard]) -> bool:
    """Tell whether these cards are all that is to be shown anew: none came, went, or stands elsewhere."""
    places = state._places
    shown = {str(each) for each in named} & places.keys()
    there = {str(task.id): (task.status.value, task.position) for task in tasks}
    return all(places.get(task_id) == place for task_id, place in there.items()) and shown <= there.keys()


def _touched(
    state: BoardState, named: Collection[UUID], tasks: Collection[TaskCard]
) -> Collection[TaskStatus]:
    """Return the columns in which these cards stood, and in which they stand."""
    stood = {TaskStatus(state._places[key][0]) for each in named if (key := str(each)) in state._places}
    return stood | {task.status for task in tasks}


async def _read_drawer(
    state: BoardState, actor: Actor, tasks: Collection[TaskCard], everything: bool, named: Collection[UUID]
) -> Shown | None:
    """Read what the open card's drawer shows, where that may have changed."""
    place = place_of(state)
    if place.task is None:
        return None
    here = None
    if not everything and place.task not in named:
        here = next((task for task in tasks if task.id == place.task), None)
        if here is None:
            return None
    async with state:
        looking = await looking_at(await state.get_state(DrawerState))
    return await read_drawer(actor, place, looking, here)
