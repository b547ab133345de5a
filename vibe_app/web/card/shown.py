"""What is read for a card's drawer: the card, the run that is shown, and what its tab shows of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.pages import Page
from vibe_app.board.sessions.schemas import SessionCard, SessionPreview
from vibe_app.board.tasks.happened import ActivityView
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.errors import NotFound
from vibe_app.web.card.activity import PAGE, read_activity
from vibe_app.web.card.history import HistoryPage, read_history
from vibe_app.web.changes.state import ReadChange, read_change
from vibe_app.web.place import Place
from vibe_app.wiring import services


@dataclass(frozen=True)
class Looking:
    """What a tab has of a card on its screen: its part, and how far the lists go that are read with it.

    `editing` is whether the card is being edited; `page` and `open_id` are where it is in the history;
    `happened` is how much of what happened it shows.
    """

    tab: str = ""
    editing: bool = False
    page: int = 1
    open_id: str = ""
    happened: int = PAGE


@dataclass(frozen=True)
class Shown:
    """What was read for a drawer. `missing` says why there is no task; `can_edit` is None where not asked.

    `last` is the newest run with its summary, `began` when the reading began, in seconds of this process.
    """

    place: Place
    tab: str = ""
    task: TaskCard | None = None
    session: SessionCard | None = None
    history: HistoryPage | None = None
    change: ReadChange | None = None
    last: SessionPreview | None = None
    activity: Page[ActivityView] | None = None
    can_edit: bool | None = None
    missing: str = ""
    began: float = 0.0


def tab_of(place: Place, task: TaskCard, shown: str = "", editing: bool = False) -> str:
    """Return which tab of a card is shown.

    Args:
        place: The address; a tab that it names is shown.
        task: The card, which says it where the address does not.
        shown: What is shown so far: that stays, but for a run that begins.
        editing: The card is being edited: then that stays too.
    """
    live = task.status is TaskStatus.IN_PROGRESS
    if place.tab or (shown and not (live and shown == "overview" and not editing)):
        return place.tab or shown
    if live:
        return "output"
    if task.status in (TaskStatus.AI_REVIEW, TaskStatus.HUMAN_REVIEW):
        return "changes" if task.change is not None and task.change.revision else "output"
    return "overview"


async def read_drawer(actor: Actor, place: Place, looking: Looking, task: TaskCard | None = None) -> Shown:
    """Read the task that an address names, the session that is to be seen, and what its tab shows.

    Args:
        actor: Who looks.
        place: The address.
        looking: What is on the screen so far.
        task: The task where it was just read with others, and nothing but what its session says has changed.
    """
    began = time.monotonic()
    return replace(await _read(actor, place, looking, task), began=began)


async def _read(actor: Actor, place: Place, looking: Looking, task: TaskCard | None) -> Shown:
    if place.project is None or place.task is None:
        return Shown(place, missing="This address names no task.")
    if task is not None and task.session is not None and place.session in (None, task.session.id):
        tab = tab_of(place, task, looking.tab, looking.editing)
        history = await _history(actor, place, tab, looking)
        return Shown(place, tab, task, task.session, history)
    try:
        task = await services().tasks.read(actor, place.project, place.task)
        session = task.session
        if place.session is not None and (session is None or session.id != place.session):
            session = await services().sessions.glance(actor, place.project, place.task, place.session)
    except NotFound as error:
        restorable = await services().tasks.restorable(actor, place.project, place.task)
        return Shown(place, can_edit=restorable, missing=error.message)
    tab = tab_of(place, task, looking.tab, looking.editing)
    history = await _history(actor, place, tab, looking)
    change = await read_change(actor, place, task) if tab in ("output", "changes") else None
    activity = await read_activity(actor, place, looking.happened) if tab == "overview" else None
    last = None
    if tab == "overview" and session is not None:
        runs = await services().sessions.history(actor, place.project, place.task, 1, 1)
        last = next(iter(runs.items), None)
    may_edit = await _may_edit(actor, place)
    return Shown(place, tab, task, session, history, change, last, activity, may_edit)


async def _history(actor: Actor, place: Place, tab: str, looking: Looking) -> HistoryPage | None:
    return await read_history(actor, place, looking.page, looking.open_id) if tab == "history" else None


async def _may_edit(actor: Actor, place: Place) -> bool:
    """Tell whether the actor may change cards of the project; nobody may of one that is not theirs to see."""
    if place.project is None:
        return False
    try:
        project = await services().projects.read(actor, place.project)
    except NotFound:
        return False
    return project.role.covers(ProjectRole.EDITOR)
