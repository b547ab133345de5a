"""Several cards at once: which are selected, and what is done with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.rules import parse_status
from vibe_app.board.tasks.schemas import TaskPatch
from vibe_app.errors import VibeError
from vibe_app.web.auth import acts
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.showing import columns_of, places, reread
from vibe_app.web.board.undo import Step, UndoState, Was, cards_in_words, offer, remember
from vibe_app.web.forms import split_labels, words
from vibe_app.web.kit.parts import field, icon_button
from vibe_app.web.kit.status import COLUMN_NAMES, COLUMNS
from vibe_app.web.place import known, project_here
from vibe_app.wiring import services

MOST = 100
"""Cards that can be selected at once."""


class SelectionState(rx.State):
    """The cards that are selected, in the order in which they were."""

    chosen: list[str] = []
    labelling: bool = False

    @rx.event
    def choose(self, card_id: str):
        """Select a card, or no longer."""
        others = [each for each in self.chosen if each != card_id]
        self.chosen = others if card_id in self.chosen else [*others, card_id][-MOST:]

    @rx.event
    async def choose_to(self, card_id: str):
        """Select every card from the last selected one to this one of the same column."""
        columns = columns_of(await self.get_state(BoardState))
        ids = next(([c.id for c in here] for here in columns.values() if card_id in {c.id for c in here}), [])
        last = self.chosen[-1] if self.chosen else ""
        if last in ids and card_id in ids:
            low, high = sorted((ids.index(last), ids.index(card_id)))
            between = [each for each in ids[low : high + 1] if each not in self.chosen]
            self.chosen = [*self.chosen, *between][-MOST:]
        elif ids:
            self.chosen = [*(each for each in self.chosen if each != card_id), card_id][-MOST:]

    @rx.event
    def clear(self):
        """Select nothing."""
        self.chosen = []

    @acts
    async def move(self, actor: Actor, column: str):
        """Move the selected cards to the end of a column."""
        target = parse_status(column)

        async def do(project_id: UUID, task_id: UUID) -> None:
            await services().tasks.move(actor, project_id, task_id, target)

        return await self._each(actor, "moved", f"moved to {target.column}", do)

    @acts
    async def archive(self, actor: Actor):
        """Put the selected cards into the archive, or those of it back on the board."""
        tasks = services().tasks
        if (await self.get_state(BoardState)).archived:
            return await self._each(actor, "", "back on the board", partial(tasks.unarchive, actor))
        return await self._each(actor, "archived", "archived", partial(tasks.archive, actor))

    @acts
    async def delete(self, actor: Actor):
        """Delete the selected cards; they can be restored for 30 days."""
        return await self._each(actor, "deleted", "deleted", partial(services().tasks.delete, actor))

    @acts
    async def put_label(self, actor: Actor, form: dict[str, Any]):
        """Give the selected cards labels, beside those that they have."""
        labels = split_labels(words(form, "labels"))
        self.labelling = False

        async def do(project_id: UUID, task_id: UUID) -> None:
            task = await services().tasks.read(actor, project_id, task_id)
            patch = TaskPatch(labels=list(dict.fromkeys([*task.labels, *labels])))
            await services().tasks.change(actor, project_id, task_id, task.version, patch)

        return await self._each(actor, "", f"labelled {', '.join(labels)}", do) if labels else None

    @rx.event
    def ask_label(self, opened: bool):
        """Ask for labels, or no longer."""
        self.labelling = opened

    async def _each(self, actor: Actor, kind: str, said: str, do: Callable[..., Awaitable[Any]]) -> list[Any]:
        """Do something with each selected card, say of how many that was so, and why not of the others."""
        board, project_id = await self.get_state(BoardState), project_here(self)
        before, done = places(board), list[str]()
        refused: dict[str, None] = {}
        for card_id in self.chosen:
            try:
                await do(project_id, known(card_id))
                done.append(card_id)
            except VibeError as error:
                refused[error.message] = None
        await reread(board, actor)
        self.chosen = []
        told = [rx.toast.error(reason) for reason in refused]
        if not done:
            return told
        sentence = f"{cards_in_words(done)} {said}."
        if not kind:
            return [rx.toast.success(sentence, duration=2500), *told]
        remember(await self.get_state(UndoState), Step(kind, project_id, _where(before, done)))
        return [offer(sentence), *told]


def _where(before: dict[str, Was], moved: list[str]) -> tuple[Was, ...]:
    """Return where the cards that were moved stood, in the board's order."""
    return tuple(was for card_id, was in before.items() if card_id in moved)


def _menu(label: str, icon: str, *items: rx.Component) -> rx.Component:
    return rx.menu.root(
        rx.menu.trigger(
            rx.button(
                rx.icon(icon, size=15, aria_hidden="true"),
                rx.el.span(label, class_name="v-wide"),
                aria_label=label,
                variant="soft",
                color_scheme="gray",
            )
        ),
        rx.menu.content(*items),
    )


def _button(label: str, icon: str, on_click: Any) -> rx.Component:
    return rx.button(
        rx.icon(icon, size=15, aria_hidden="true"),
        rx.el.span(label, class_name="v-wide"),
        aria_label=label,
        variant="soft",
        color_scheme="gray",
        on_click=on_click,
    )


def _label_dialog() -> rx.Component:
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Label the selected cards", size="4"),
            rx.dialog.description("They keep the labels that they have.", size="2"),
            rx.el.form(
                field(
                    "Labels", rx.input(name="labels", placeholder="docs, api", auto_focus=True, required=True)
                ),
                rx.el.div(
                    rx.dialog.close(rx.button("Cancel", type="button", variant="soft", color_scheme="gray")),
                    rx.button("Label", type="submit"),
                    class_name="v-row v-end",
                ),
                on_submit=SelectionState.put_label,
            ),
            max_width="400px",
        ),
        open=SelectionState.labelling,
        on_open_change=SelectionState.ask_label,
    )


def selection_bar() -> rx.Component:
    """What can be done with the selected cards; nothing while none is selected."""
    chosen: Any = SelectionState.chosen
    count = chosen.length()
    columns = [
        rx.menu.item(COLUMN_NAMES[each["status"]], on_select=SelectionState.move(each["status"]))
        for each in COLUMNS
        if each.get("by_hand") != "no"
    ]
    return rx.cond(
        count > 0,
        rx.el.div(
            _label_dialog(),
            rx.el.span(count, " selected", class_name="v-digits", role="status"),
            rx.cond(~BoardState.archived, _menu("Move to…", "arrow-right-left", *columns)),
            rx.cond(~BoardState.archived, _button("Label…", "tag", SelectionState.ask_label(True))),
            rx.cond(
                BoardState.archived,
                _button("Bring back", "archive-restore", SelectionState.archive),
                _button("Archive", "archive", SelectionState.archive),
            ),
            _button("Delete", "trash-2", SelectionState.delete),
            icon_button("x", "Select nothing", on_click=SelectionState.clear),
            role="toolbar",
            aria_label="Selected cards",
            class_name="v-selection",
        ),
    )
