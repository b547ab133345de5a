"""A card's drawer: its head, its output, its history, its details.

What it shows is read by whoever watches the board; its own handlers change one
thing each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import FOLLOW_UP_FROM, LIVE, OPEN_CHANGE, TaskStatus
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.spending.wording import spent_words
from vibe_app.board.tasks.schemas import TaskCard, TaskPatch, TaskView
from vibe_app.errors import InvalidRequest, VersionChanged
from vibe_app.web.auth import ReaderState, acts
from vibe_app.web.board.cards import face_of
from vibe_app.web.card.activity import ActivityState, show_activity
from vibe_app.web.card.conflict import Both, both, seen, written
from vibe_app.web.card.fields import facts_of, read_form, texts_of, values_of
from vibe_app.web.card.history import HistoryState, show_history
from vibe_app.web.card.model import epoch_ms, is_live, run_words
from vibe_app.web.card.needs import Needed, NeedsState, needed
from vibe_app.web.card.people import PeopleState, names_of
from vibe_app.web.card.shown import Looking, Shown, read_drawer
from vibe_app.web.changes.decide import DecideState
from vibe_app.web.changes.review import ReviewState, show_comments
from vibe_app.web.changes.state import ChangesState, look_anew, show_change
from vibe_app.web.kit.draft import forget
from vibe_app.web.kit.terminal_window import WindowState
from vibe_app.web.place import place_of
from vibe_app.wire import is_blank, plain_text
from vibe_app.wiring import services

NARROWEST, WIDEST, STEP = 640, 2640, 20
"""Pixels of the drawer, and by how many a key makes it wider; the style sheet knows them too."""
LONG, LONG_LINES = 4000, 60
"""Characters and lines of a description that is shown whole."""
PARTS = (ActivityState, HistoryState, ChangesState, ReviewState, WindowState, NeedsState)
"""What the parts of a drawer keep of the card that is shown."""


class DrawerState(rx.State):
    """What the drawer shows of one task."""

    task_id: str = ""
    base: str = ""
    board: str = ""
    tab: str = ""
    ref: str = ""
    missing: str = ""
    version: int = 0
    title: str = ""
    description: str = ""
    long: bool = False
    """The description is shown folded."""
    texts: dict[str, str] = {}
    """With what the controls of the form begin, by field."""
    labels: list[str] = []
    facts: dict[str, str] = {}
    """What is said of the fields that are short."""
    status: str = ""
    created: int = 0
    author: str = ""
    needs: list[Needed] = []
    blocked: str = ""
    """The names of what has to be done first, as people read them."""
    archived: bool = False
    discarded: bool = False
    """Its newest change was thrown away."""
    summary: str = ""
    """What the agent said at the end of the last run, as Markdown."""
    ran_by: str = ""
    ran_at: int = 0
    has_change: bool = False
    request: int = 0
    """The number of its pull request, with its address and state; 0 where there is none."""
    request_url: str = ""
    request_state: str = ""
    talks: bool = False
    """Whether the agent can be told to go on."""
    can_edit: bool = False
    locked: bool = False
    run: str = ""
    words: str = ""
    spent: str = ""
    """What the run that is shown has spent of what it may."""
    since: int = 0
    quiet: int = 0
    session_id: str = ""
    session_live: bool = False
    older: bool = False
    loaded: bool = False
    seen: str = ""
    """What a form that is begun now is founded on; see `conflict`."""
    both: list[Both] = []
    """What was to be saved on a card that somebody else had changed meanwhile, field by field."""
    settled: int = 0
    """How often that was decided."""
    _mine: dict[str, Any] = {}
    _ground: int = 0
    _loads: int = 0
    """How often the page had been loaded when this was shown."""
    _read: float = 0.0
    """When the reading began of which the newest is shown."""
    width: str = rx.LocalStorage("")
    """How wide the drawer is, in pixels, or nothing; the browser keeps it."""
    wide: str = rx.LocalStorage("")
    """Whether the drawer takes all of the page, "yes" or nothing; the browser keeps it."""
    editing: str = rx.SessionStorage("")
    """The task whose details are being edited; the browser keeps it, so that a new server knows."""

    @acts
    async def arrive(self, actor: Actor):
        """Show the task that the address names, or close."""
        place = place_of(self)
        # A question about a change is about the one that was shown.
        (await self.get_state(DecideState)).reset()
        other = str(place.task or "") != self.task_id
        editing, wide, width = self.editing, self.wide, self.width
        if other or place.task is None:
            self.reset()
            await _forget(self)
            self.wide, self.width = wide, width
        if place.task is None:
            return PeopleState.load
        if other:
            self.board, self.task_id = f"/p/{place.project}", str(place.task)
            self.base = f"{self.board}/t/{place.task}"
        loads = (await self.get_state(ReaderState)).loads
        if loads != self._loads:
            self._loads, self._read = loads, 0.0  # another process may have read what was shown before
            look_anew(await self.get_state(ChangesState))
        self.editing = editing if place.tab in ("", "overview") and editing == self.task_id else ""
        # Whoever comes to an address without a tab sees what the card is about now.
        looking = replace(await looking_at(self), tab="")
        await show_drawer(self, await read_drawer(actor, place, looking))
        return [PeopleState.load, *([ReviewState.load] if self.tab == "changes" else [])]

    @acts
    async def save_title(self, actor: Actor, title: str, version: int):
        """Keep a title that was edited in place, on top of the version on which that was begun."""
        if title.strip() == self.title:
            return
        if is_blank(title):
            self.settled += 1  # the old one is shown again
            raise InvalidRequest("A card needs a title: the one that it had is back.")
        await _save(self, actor, version, {"title": plain_text(title)})

    @rx.event
    def set_width(self, pixels: int):
        """Keep how wide the drawer was made."""
        self.width = str(min(max(pixels, NARROWEST), WIDEST))

    @rx.event
    def widen(self):
        """Take all of the page, or leave the board in sight."""
        self.wide = "" if self.wide else "yes"

    @rx.event
    def edit(self, editing: bool):
        """Show the form for the details, or the details."""
        self.editing = self.task_id if editing else ""

    @acts
    async def save_details(self, actor: Actor, form: dict[str, Any]):
        """Keep what was changed of the card's fields."""
        version, changed = written(form.get("seen", self.seen), read_form(form))
        if not await _save(self, actor, version, changed):
            return None
        self.editing = ""
        return forget(draft_name(self.task_id))

    @acts
    async def choose(self, actor: Actor, field: str, choice: str):
        """Keep mine or take theirs in a field that both changed; with the last choice, save."""
        self.both = [replace(row, choice=choice) if row.field == field else row for row in _rows(self)]
        if not self.both or not all(row.choice for row in self.both):
            return None
        mine = {row.field: self._mine[row.field] for row in _rows(self) if row.choice == "mine"}
        details = any(row.field != "title" for row in _rows(self))
        if not await _save(self, actor, self._ground, mine):
            return None
        self.both, self._mine = [], {}
        self.settled += 1
        if not details:
            return None
        self.editing = ""
        return forget(draft_name(self.task_id))

    @rx.event
    def decide_later(self):
        """Show again what was being written, as it was typed."""
        self.both = []


async def looking_at(state: DrawerState) -> Looking:
    """Return what a tab has of the card on its screen."""
    history, activity = await state.get_state(HistoryState), await state.get_state(ActivityState)
    return Looking(state.tab, bool(state.editing), history.page, history.open_id, activity.shown)


async def _forget(state: DrawerState) -> None:
    for kind in PARTS:
        (await state.get_state(kind)).reset()


def _rows(state: DrawerState) -> list[Both]:
    """Return the open choices themselves, not Reflex's proxies of them."""
    return list(getattr(state.both, "__wrapped__", state.both))


async def _save(state: DrawerState, actor: Actor, version: int, values: dict[str, Any]) -> bool:
    """Write what was changed, or show it beside what somebody else has written meanwhile."""
    place = place_of(state)
    if place.project is None or place.task is None:
        return False
    saved = True
    try:
        if values:
            await services().tasks.change(actor, place.project, place.task, version, TaskPatch(**values))
    except VersionChanged as error:
        saved = False
        names = names_of(await state.get_state(PeopleState))
        state.both, state._mine = both(error.yours, error.present, names), dict(error.yours)
        state._ground = error.present.version
    await show_drawer(state, await read_drawer(actor, place, await looking_at(state)))
    return saved


def draft_name(task_id: Any) -> Any:
    """Return the name under which the browser keeps what is typed into a task's details."""
    return f"task:{task_id}"


async def show_drawer(state: DrawerState, shown: Shown) -> None:
    """Put what was read on the screen, unless the browser is elsewhere by now."""
    if str(shown.place.task or "") != state.task_id or shown.began < state._read:
        return
    state._read = shown.began
    if shown.history is not None:
        show_history(await state.get_state(HistoryState), shown.history)
    if shown.activity is not None:
        show_activity(await state.get_state(ActivityState), shown.activity)
    if shown.change is not None and shown.task is not None:
        changes, review = await state.get_state(ChangesState), await state.get_state(ReviewState)
        changes.project_id = review.project_id = str(shown.place.project)
        changes.task_id = review.task_id = state.task_id
        if state.tab != "changes" or shown.tab != "changes":
            look_anew(changes)  # nobody is looking at it
        show_change(changes, shown.change, shown.task)
        show_comments(review, shown.change, changes.revision)
    elif shown.tab == "changes" and shown.task is not None:
        (await state.get_state(ChangesState)).loaded = True
    values: dict[str, Any] = {"loaded": True, "missing": shown.missing, "board": f"/p/{shown.place.project}"}
    if shown.tab:
        values["tab"] = shown.tab
    if shown.last is not None or shown.tab == "overview":
        values |= _last_run(shown)
    if shown.can_edit is not None or shown.missing:
        values["can_edit"] = bool(shown.can_edit)
    if shown.task is not None:
        values |= _values(shown.task, shown.session)
    for name, value in values.items():
        # What is assigned travels: while there is output this comes every second.
        if getattr(state, name) != value:
            setattr(state, name, value)


def _last_run(shown: Shown) -> dict[str, Any]:
    """Return what the drawer says of who made the card, and of its last run."""
    last, task = shown.last, shown.task
    return {
        "summary": (last.summary or "") if last else "",
        "ran_by": task.ran_by.name if last and task and task.ran_by else "",
        "ran_at": epoch_ms(last.created_at) if last else 0,
    }


def _values(task: TaskCard, session: SessionCard | None) -> dict[str, Any]:
    """Return what the drawer says of a task, by the names of its vars."""
    face = face_of(task)
    texts: dict[str, Any] = {}
    if isinstance(task, TaskView):  # in a list of cards there are no long texts, and these have not changed
        texts = {
            "description": task.description,
            "long": len(task.description) > LONG or task.description.count("\n") > LONG_LINES,
            "texts": texts_of(task),
            "labels": task.labels,
            "facts": facts_of(task),
            "seen": seen(task.version, values_of(task)),
        }
    return {
        **texts,
        "version": task.version,
        "title": task.title,
        "status": task.status.value,
        "ref": task.ref,
        "author": task.author.name if task.author else "",
        "needs": [needed(each) for each in task.needs],
        "blocked": ", ".join(task.blocked),
        "archived": task.archived,
        "discarded": task.change is not None and task.change.state == "discarded",
        "has_change": task.change is not None,
        "request": face.request,
        "request_url": face.request_url,
        "request_state": face.request_state,
        "talks": task.status in FOLLOW_UP_FROM
        and (
            task.status is not TaskStatus.TODO
            or (task.change is not None and task.change.state in OPEN_CHANGE)
        ),
        "created": epoch_ms(task.created_at),
        "locked": task.status is TaskStatus.IN_PROGRESS,
        "run": face.run,
        "words": run_words(task.session) if task.session else "",
        "spent": spent_words(session) if session else "",
        "quiet": face.quiet,
        "session_id": str(session.id) if session else "",
        "session_live": session is not None and session.status in LIVE,
        "since": epoch_ms(session.started_at) if session and is_live(session) else 0,
        "older": bool(session and task.session and session.id != task.session.id),
    }
