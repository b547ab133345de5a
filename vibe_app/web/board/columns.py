"""The columns of a project's board, and what can be done with its cards.

One subscriber per tab re-reads the windows that are shown when something changed, while the tab is in
sight; a handler shows its own change at once and leaves the rest to that subscriber.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, rights_of
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.rules import parse_status
from vibe_app.board.tasks.windows import WIDEST, WINDOW
from vibe_app.board.topics import cards_of
from vibe_app.bus import Subscription
from vibe_app.errors import Conflict, Forbidden, NotFound, Unavailable, VibeError
from vibe_app.web.auth import acts, asker
from vibe_app.web.board.cards import Face
from vibe_app.web.board.filters import ANY, Filters, read_filters
from vibe_app.web.board.reading import name_of
from vibe_app.web.board.showing import (
    begin,
    filters_of,
    last_shown,
    places,
    put,
    reread,
    show_project,
    take,
)
from vibe_app.web.board.undo import Step, UndoState, offer, remember
from vibe_app.web.board.watching import catch_up
from vibe_app.web.card.drawer import PARTS, DrawerState
from vibe_app.web.card.output import OutputState
from vibe_app.web.changes.decide import DecideState
from vibe_app.web.layout import RailState, read_rail, show_rail
from vibe_app.web.place import known, place_of, project_here
from vibe_app.wiring import services

log = logging.getLogger(__name__)

BURST = 0.1
"""Seconds between two readings of the whole board: what changes at once is read once."""
LOOK_AGAIN = 30.0
"""Seconds without a change after which the board is read all the same: that shows what nobody announces,
such as that a run has become quiet."""
PULSE = 1.0
"""Seconds between two readings of the cards that run, while nothing comes but output."""


async def _shut(state: BoardState, error: VibeError) -> None:
    """Keep nothing of a project that may not be seen any more, and say why."""
    for kind in (DrawerState, *PARTS, OutputState, DecideState):
        (await state.get_state(kind)).reset()
    project_id = state.project_id
    state.reset()
    state.project_id, state.missing = project_id, error.message


class BoardState(rx.State):
    """What a board shows. `order` and `changed` are newer than the columns themselves (see `windows`)."""

    project_id: str = ""
    name: str = ""
    role: str = ""
    can_edit: bool = False
    workspace: str = "stopped"
    workspace_reason: str = ""
    notices: list[str] = []
    remote: str = ""
    remote_words: str = ""
    joining: str = ""
    todo: list[Face] = []
    in_progress: list[Face] = []
    ai_review: list[Face] = []
    human_review: list[Face] = []
    done: list[Face] = []
    order: dict[str, list[str]] = {}
    changed: dict[str, Face] = {}
    counts: dict[str, int] = dict.fromkeys(TaskStatus, 0)
    sizes: dict[str, int] = dict.fromkeys(TaskStatus, WINDOW)
    version: int = 0
    total: int = 0
    loaded: bool = False
    missing: str = ""
    search: str = ""
    priority: str = ANY
    label: str = ANY
    person: str = ANY
    whom: str = ""
    """What that person is called."""
    needs: bool = False
    archived: bool = False
    tab: str = TaskStatus.TODO.value
    _places: dict[str, tuple[str, float]] = {}
    """Column and position of each card that is shown, as they were read."""
    _own: int = 0
    """How often this tab's own doing has shown a card in a new place."""

    @acts
    async def arrive(self, actor: Actor):
        """Note which project the address names and which of its cards, and wake its workspace."""
        place = place_of(self)
        begin(self, place.project)
        if place.project is None:
            self.missing = "This address names no project."
            return RailState.load  # nothing is watched, which would read it
        try:
            show_project(self, await services().projects.read(actor, place.project))
        except (NotFound, Forbidden) as error:
            self.missing = error.message
            return RailState.load
        self.whom = await name_of(actor, place.project, filters_of(self).person)
        await services().workspaces.opened(actor, place.project)
        return None

    @acts(background=True, ended=_shut)
    async def watch(self, actor: Actor, hidden: bool = False):
        """Read the board now and whenever it changes, while the tab is on this address and in sight."""
        place = place_of(self)
        if place.project is None or hidden:
            return
        async with self:
            if place_of(self).project != place.project:
                return
            # `arrive` may still be waiting for its turn behind other events; this does not wait.
            begin(self, place.project)
        whole, activity = f"project:{place.project}", f"activity:{place.project}"
        framed = {"projects", rights_of(actor.user_id)}
        changed, again = set[str](), True
        with services().database.bus.subscribe(whole, cards_of(place.project), activity, *framed) as changes:
            while True:
                try:
                    failed = await catch_up(self, actor, place.project, changed - framed)
                    again = failed is None
                    for title, words in failed or []:
                        yield rx.toast.error(f"{title}: {words}", duration=8000)
                    if not changed or framed & changed:
                        read = await read_rail(actor)
                        async with self:
                            show_rail(await self.get_state(RailState), actor, read)
                except Unavailable as error:
                    # What is on the screen stays, and is read again in a while.
                    log.warning("board of project %s could not be read: %s", place.project, error)
                    again = False
                if again:
                    changed = set[str]()
                    continue
                changed = await _news(changes, activity)
                actor = await asker(self)

    @acts
    async def move(self, actor: Actor, card_id: str, column: str, before_id: str):
        """Move a card; dropped on In progress, it is executed. The answer shows in every case."""
        self.version += 1
        target = parse_status(column)
        if target is TaskStatus.IN_PROGRESS:
            return await _execute(self, actor, card_id)
        project_id, task_id = project_here(self), known(card_id)
        before = known(before_id) if before_id else None
        after = None if before else last_shown(self, target, card_id)
        was = places(self).get(card_id)
        try:
            task = await services().tasks.move(actor, project_id, task_id, target, before, after)
        except Conflict as error:
            return DecideState.drop(card_id) if error.code == "change_open" else rx.toast.error(error.message)
        put(self, task, before_id)
        if was is None or was.column is target:
            return None
        remember(await self.get_state(UndoState), Step("moved", project_id, (was,), target))
        return offer(f"Moved to {target.column}.")

    @acts
    async def execute(self, actor: Actor, card_id: str):
        """Start a session of a card."""
        return await _execute(self, actor, card_id)

    @acts
    async def stop(self, actor: Actor, card_id: str):
        """Stop a card's session."""
        await services().sessions.stop(actor, project_here(self), known(card_id))
        put(self, await services().tasks.read(actor, project_here(self), known(card_id)))

    @acts
    async def more(self, actor: Actor, column: str, size: int):
        """Show a window more of a column of which so many are shown; asked for twice, it is one."""
        name = parse_status(column).value
        if size == self.sizes[name]:
            self.sizes = {**self.sizes, name: min(size + WINDOW, WIDEST)}
            await reread(self, actor)

    @rx.event
    def show_tab(self, column: str):
        """Show one of the columns, where they do not fit beside each other."""
        self.tab = column

    @acts
    async def find(self, actor: Actor, text: str):
        """Show only the cards that contain a text."""
        self.search = text[:200]
        return await _show_filtered(self, actor, replace=True)

    @acts
    async def choose(self, actor: Actor, name: str, value: str):
        """Show only the cards of a priority, with a label, or of a person."""
        if name in ("priority", "label", "person"):
            # As if it had come from an address, in which anybody can have written anything.
            asked = read_filters({name: "" if value == ANY else value})
            setattr(self, name, getattr(asked, name) or ANY)
            if name == "person":
                self.whom = await name_of(actor, project_here(self), asked.person)
        return await _show_filtered(self, actor)

    @acts
    async def toggle(self, actor: Actor, name: str):
        """Show only what needs one, or the archive, or all again."""
        if name in ("needs", "archived"):
            setattr(self, name, not getattr(self, name))
        return await _show_filtered(self, actor)

    @acts
    async def clear_filters(self, actor: Actor):
        """Show every card again."""
        take(self, Filters())
        return [
            *await _show_filtered(self, actor),
            rx.call_script("document.querySelector('[data-search]').value = ''"),
        ]

    @rx.var
    def filtered(self) -> bool:
        """Whether some cards may be hidden."""
        chosen = self.priority != ANY or self.label != ANY or self.person != ANY
        return chosen or bool(self.search) or self.needs or self.archived

    @rx.var
    def shown(self) -> int:
        """How many cards there are that the filters let pass."""
        return sum(self.counts.values())

    @rx.var
    def query(self) -> str:
        """The query of an address that says the same filters."""
        return filters_of(self).query()


async def _news(changes: Subscription, activity: str) -> set[str]:
    """Wait for what has changed since a reading: of output alone once a `PULSE`, of all else in a moment."""
    clock = asyncio.get_running_loop().time
    pulse = clock() + PULSE
    await asyncio.sleep(BURST)
    changed = await changes.wait(LOOK_AGAIN)
    while changed == {activity} and (left := pulse - clock()) > 0:
        changed |= await changes.wait(left)
    return changed


async def _show_filtered(state: BoardState, actor: Actor, replace: bool = False) -> list[Any]:
    """Show the cards that the filters let pass, and have the address say so."""
    state.sizes = dict.fromkeys(TaskStatus, WINDOW)
    await reread(state, actor)
    return [rx.redirect(state.router.url.path + filters_of(state).query(), replace=replace)]


async def _execute(state: BoardState, actor: Actor, card_id: str) -> Any:
    project_id, task_id = project_here(state), known(card_id)
    try:
        await services().starts.execute(actor, project_id, task_id)
    except VibeError as error:
        await reread(state, actor)
        return rx.toast.error(error.message)
    put(state, await services().tasks.read(actor, project_id, task_id))
    return None
