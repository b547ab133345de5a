"""The columns of a project's board, and what can be done with its cards.

One subscriber per tab re-reads the rows when something changed; a handler shows
its own change at once and leaves the rest to that subscriber.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole, rights_of
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.rules import parse_status
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.errors import Conflict, Forbidden, NotFound, Unavailable, VibeError
from vibe_app.web.auth import acts, asker
from vibe_app.web.board.composer import ComposerState
from vibe_app.web.board.face import card_face
from vibe_app.web.board.remote_line import needs_somebody, remote_words
from vibe_app.web.card.drawer import DrawerState, read_drawer, show_drawer
from vibe_app.web.card.history import HistoryState
from vibe_app.web.card.model import Card, card_of
from vibe_app.web.card.output import OutputState
from vibe_app.web.changes.decide import DecideState
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.changes.state import ChangesState
from vibe_app.web.kit.kanban import ask_where, kanban
from vibe_app.web.kit.status import COLUMNS
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
"""Seconds between two readings of the cards that run, while there is output."""


async def _shut(state: BoardState, error: VibeError) -> None:
    """Keep nothing of a project that may not be seen any more, and say why."""
    for kind in (DrawerState, HistoryState, OutputState, ChangesState, ReviewState, DecideState):
        (await state.get_state(kind)).reset()
    project_id = state.project_id
    state.reset()
    state.project_id, state.missing = project_id, error.message


class BoardState(rx.State):
    """What a board shows. The columns are lists of their own: a move resends two of them."""

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
    todo: list[Card] = []
    in_progress: list[Card] = []
    ai_review: list[Card] = []
    human_review: list[Card] = []
    done: list[Card] = []
    version: int = 0
    total: int = 0
    labels: list[str] = []
    loaded: bool = False
    missing: str = ""
    search: str = ""
    priority: str = "any"
    label: str = "any"
    _own: int = 0
    """How often this tab's own doing has shown a card in a new place."""

    @acts
    async def arrive(self, actor: Actor):
        """Note which project the address names, and wake its workspace."""
        place = place_of(self)
        # A dialog does not outlive the address that it was opened on.
        (await self.get_state(RailState)).helping = False
        composer = await self.get_state(ComposerState)
        if composer.opened != self.router.url.path:
            composer.opened = ""
        _begin(self, place.project)
        if place.project is None:
            self.missing = "This address names no project."
            return
        try:
            _show_project(self, await services().projects.read(actor, place.project))
        except (NotFound, Forbidden) as error:
            self.missing = error.message
            return
        await services().workspaces.opened(actor, place.project)

    @acts(background=True, ended=_shut)
    async def watch(self, actor: Actor):
        """Read the board now and whenever it changes, while the tab is on this address."""
        place = place_of(self)
        if place.project is None:
            return
        async with self:
            if place_of(self).project != place.project:
                return
            # `arrive` may still be waiting for its turn behind other events; this does not wait.
            _begin(self, place.project)
        whole, activity = f"project:{place.project}", f"activity:{place.project}"
        framed = {"projects", rights_of(actor.user_id)}
        changed = {whole, *framed}
        with services().database.bus.subscribe(whole, activity, *framed) as changes:
            while True:
                try:
                    async for event in self._refresh(actor, place.project, whole in changed):
                        yield event
                    if framed & changed:
                        projects = await read_rail(actor)
                        async with self:
                            show_rail(await self.get_state(RailState), actor, projects)
                except Unavailable as error:
                    # What is on the screen stays, and is read again in a while.
                    log.warning("board of project %s could not be read: %s", place.project, error)
                await asyncio.sleep(BURST if whole in changed else PULSE)
                changed = await changes.wait(LOOK_AGAIN) or {whole}
                actor = await asker(self)

    async def _refresh(self, actor: Actor, project_id: UUID, whole: bool) -> AsyncGenerator[Any]:
        """Read what the board shows, all of it or only the cards that run; yield toasts."""
        read = None
        while read is None:
            read = await self._read(actor, project_id, whole)
        for title, words in read:
            yield rx.toast.error(f"{title}: {words}", duration=8000)

    async def _read(self, actor: Actor, project_id: UUID, whole: bool) -> list[tuple[str, str]] | None:
        """Read and show; return the runs that failed, or None where it must be read again."""
        status = None if whole else TaskStatus.IN_PROGRESS
        search, own = self.search, self._own
        tasks = await services().tasks.list(actor, project_id, status, search)
        project = await services().projects.read(actor, project_id) if whole else None
        shown = None
        if place_of(self).task is not None:
            async with self:
                history, drawer = await self.get_state(HistoryState), await self.get_state(DrawerState)
                page, open_id = history.page, history.open_id
                tab, editing = drawer.tab, bool(drawer.editing)
            place = place_of(self)
            here = None if whole else next((task for task in tasks if task.id == place.task), None)
            shown = await read_drawer(actor, place, page, open_id, here, tab, editing)
        async with self:
            if str(project_id) != self.project_id:
                return []
            if own != self._own:
                return None  # shown now, a card that was moved or executed meanwhile would fly back and forth
            failures = _failures(self, tasks)
            if project is not None:
                _show_project(self, project)
            if search != self.search:
                pass  # what changed it has read the cards for itself
            elif project is not None:
                _show_cards(self, tasks)
            else:
                _set(self, "in_progress", _cards(self, tasks, TaskStatus.IN_PROGRESS))
            if shown is not None:
                await show_drawer(await self.get_state(DrawerState), shown)
        return failures

    @acts
    async def move(self, actor: Actor, card_id: str, column: str, before_id: str):
        """Move a card; dropped on In progress, it is executed. The answer shows in every case."""
        self.version += 1
        target = parse_status(column)
        if target is TaskStatus.IN_PROGRESS:
            return await _execute(self, actor, card_id)
        project_id, task_id = project_here(self), known(card_id)
        before = known(before_id) if before_id else None
        after = None if before else _last_shown(self, target)
        try:
            task = await services().tasks.move(actor, project_id, task_id, target, before, after)
        except Conflict as error:
            return DecideState.drop(card_id) if error.code == "change_open" else rx.toast.error(error.message)
        _put(self, task, before_id)
        return None

    @acts
    async def execute(self, actor: Actor, card_id: str):
        """Start a session of a card."""
        return await _execute(self, actor, card_id)

    @acts
    async def stop(self, actor: Actor, card_id: str):
        """Stop a card's session."""
        await services().sessions.stop(actor, project_here(self), known(card_id))
        await _reread(self, actor, known(card_id))

    @rx.event
    def act(self, action: str, card_id: str):
        """Do what a key on a focused card asks for."""
        match action:
            case "execute":
                return BoardState.execute(card_id)
            case "stop":
                return BoardState.stop(card_id)
            case _:
                return rx.toast.error("A session of this task is running. Stop it first.")

    @rx.event
    def key(self, key: str):
        """Do what a key asks for that was pressed anywhere else."""
        if key == "?":
            return RailState.set_helping(True)
        if key == "n":
            return ComposerState.set_opened(True) if self.can_edit else None
        if key in ("j", "k", "c"):
            steps = {"j": ReviewState.step(1), "k": ReviewState.step(-1), "c": ReviewState.comment_here}
            return steps[key]
        task = place_of(self).task
        actions = {"e": BoardState.execute, "s": BoardState.stop, "m": ask_where}
        return actions[key](str(task)) if task and key in actions else None

    @acts
    async def find(self, actor: Actor, text: str):
        """Show only the cards that contain a text."""
        self.search = text[:200]
        await _reread(self, actor)

    @acts
    async def choose_priority(self, actor: Actor, priority: str):
        """Show only the cards of a priority."""
        self.priority = priority
        await _reread(self, actor)

    @acts
    async def choose_label(self, actor: Actor, label: str):
        """Show only the cards with a label."""
        self.label = label
        await _reread(self, actor)

    @acts
    async def clear_filters(self, actor: Actor):
        """Show every card again."""
        self.search, self.priority, self.label = "", "any", "any"
        await _reread(self, actor)
        return rx.call_script("document.querySelector('[data-search]').value = ''")

    @rx.var
    def has_labels(self) -> bool:
        """Whether any card has a label to choose by."""
        return bool(self.labels)

    @rx.var
    def filtered(self) -> bool:
        """Whether some cards may be hidden."""
        return bool(self.search) or self.priority != "any" or self.label != "any"

    @rx.var
    def shown(self) -> int:
        """How many cards are shown."""
        # Named one by one: Reflex reads off the source what a computed var depends on.
        return sum(
            len(cards)
            for cards in (self.todo, self.in_progress, self.ai_review, self.human_review, self.done)
        )


def _var(status: TaskStatus) -> str:
    return status.value.lower()


def _list(state: BoardState, status: TaskStatus) -> list[Card]:
    """Return a column's cards themselves, not Reflex's proxies of them."""
    cards = getattr(state, _var(status))
    return list(getattr(cards, "__wrapped__", cards))


def _set(state: BoardState, name: str, value: Any) -> None:
    """Assign only what differs: an assigned list travels whole."""
    if getattr(state, name) != value:
        setattr(state, name, value)


def _begin(state: BoardState, project: UUID | None) -> None:
    """Empty the board where it is another project's."""
    project_id = str(project or "")
    if project_id != state.project_id:
        state.reset()
        state.project_id = project_id


def _show_project(state: BoardState, project: ProjectView) -> None:
    state.name, state.role = project.name, project.role.value
    state.can_edit = project.role.covers(ProjectRole.EDITOR)
    state.workspace, state.workspace_reason = project.workspace.status.value, project.workspace.reason or ""
    state.notices = project.workspace.notices
    state.remote, state.remote_words = needs_somebody(project), remote_words(project.remote)
    state.joining = str(project.joining_task_id or "")
    state.missing = ""
    state.total = project.task_count


def _cards(state: BoardState, tasks: Sequence[TaskCard], status: TaskStatus) -> list[Card]:
    return [
        card_of(task)
        for task in tasks
        if task.status is status
        and state.priority in ("any", task.priority)
        and (state.label == "any" or state.label in task.labels)
    ]


def _show_cards(state: BoardState, tasks: Sequence[TaskCard]) -> None:
    for status in TaskStatus:
        _set(state, _var(status), _cards(state, tasks, status))
    if not state.search:
        _set(state, "labels", sorted({label for task in tasks for label in task.labels})[:200])
    state.loaded = True


def _failures(state: BoardState, tasks: Sequence[TaskCard]) -> list[tuple[str, str]]:
    """Return the cards that were running here and have failed since."""
    live = {card.id for card in _list(state, TaskStatus.IN_PROGRESS)}
    cards = (card_of(task) for task in tasks if str(task.id) in live)
    return [(card.title, card.words) for card in cards if card.run == "failed"]


def _last_shown(state: BoardState, column: TaskStatus) -> UUID | None:
    """Return the card at the end of a filtered column, which is not the end of the column itself."""
    cards = _list(state, column) if state.filtered else []
    return known(cards[-1].id) if cards else None


def _put(state: BoardState, task: TaskCard, before_id: str = "") -> None:
    """Show one changed card in its place, without reading the others again."""
    state._own += 1
    for status in TaskStatus:
        old = _list(state, status)
        cards = [card for card in old if card.id != str(task.id)]
        if status is task.status:
            ids = [card.id for card in (cards if before_id != str(task.id) else old)]
            at = ids.index(before_id) if before_id in ids else len(cards)
            cards.insert(at, card_of(task))
        if len(cards) != len(old) or status is task.status:
            _set(state, _var(status), cards)


async def _reread(state: BoardState, actor: Actor, task_id: UUID | None = None) -> None:
    project_id = project_here(state)
    if task_id is not None:
        _put(state, await services().tasks.read(actor, project_id, task_id))
    else:
        _show_cards(state, await services().tasks.list(actor, project_id, search=state.search))


async def _execute(state: BoardState, actor: Actor, card_id: str) -> Any:
    project_id, task_id = project_here(state), known(card_id)
    try:
        await services().starts.execute(actor, project_id, task_id)
    except VibeError as error:
        await _reread(state, actor)
        return rx.toast.error(error.message)
    await _reread(state, actor, task_id)
    return None


@rx.memo
def board_card(card: rx.Var[Card]) -> rx.Component:
    """One card on the board."""
    shown: Any = card
    return card_face(shown, BoardState.execute(shown.id))


def board_columns() -> rx.Component:
    """The five columns."""
    return rx.el.div(
        kanban(
            board_card,
            Card,
            COLUMNS,
            cards={status.value: getattr(BoardState, _var(status)) for status in TaskStatus},
            version=BoardState.version,
            can_move=BoardState.can_edit,
            selected=DrawerState.task_id,
            path=f"/p/{BoardState.project_id}/t/",
            on_move=BoardState.move,
            on_act=BoardState.act,
        ),
        class_name="v-board",
        custom_attrs={
            "data-can-edit": rx.cond(BoardState.can_edit, "true", "false"),
            "data-may-execute": rx.cond(RailState.may_execute, "true", "false"),
        },
    )
