"""The question where a card should go: the way to move one without dragging it."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.web.auth import acts
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.board.undo import cards_in_words
from vibe_app.web.kit.status import COLUMNS
from vibe_app.web.place import known, project_here
from vibe_app.wiring import services

LOCKED = "A session of this task is running. Stop it first."


class MoveState(rx.State):
    """Which card is asked about; an empty id while none is. `many` tells that it stands for all selected."""

    card_id: str = ""
    title: str = ""
    column: str = ""
    many: bool = False

    @acts
    async def ask(self, actor: Actor, card_id: str):
        """Ask where a card should go, with all that are selected where it is one, unless it has to stay."""
        await services().projects.check(actor, project_here(self), ProjectRole.EDITOR)
        chosen = (await self.get_state(SelectionState)).chosen
        self.many = len(chosen) > 1 and card_id in chosen
        if self.many:
            self.card_id, self.title, self.column = card_id, cards_in_words(chosen), ""
            return None
        task = await services().tasks.read(actor, project_here(self), known(card_id))
        if task.status is TaskStatus.IN_PROGRESS:
            return rx.toast.error(LOCKED)
        self.card_id, self.title, self.column = str(task.id), task.title, task.status.value
        return None

    @rx.event
    def set_open(self, opened: bool):
        """Close the question."""
        self.card_id = self.card_id if opened else ""

    @rx.event
    def choose(self, column: str):
        """Move the card, or all that are selected, to the end of a column."""
        card_id, self.card_id = self.card_id, ""
        return SelectionState.move(column) if self.many else BoardState.move(card_id, column, "")


def column_choices(on_choose: Any, here: Any = "") -> list[rx.Component]:
    """A button for each column to which a hand can move a card; the one where it is does nothing."""
    return [
        rx.el.button(
            column["name"],
            type="button",
            disabled=here == column["status"],
            on_click=on_choose(column["status"]),
            class_name="v-menu-item",
        )
        for column in COLUMNS
        if column.get("by_hand") != "no"
    ]


def move_dialog() -> rx.Component:
    """The question; `MoveState.ask` opens it."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Move to…", size="4"),
            rx.dialog.description(MoveState.title, size="2", dir="auto"),
            rx.el.div(*column_choices(MoveState.choose, MoveState.column), class_name="v-menu"),
            max_width="320px",
        ),
        open=MoveState.card_id != "",
        on_open_change=MoveState.set_open,
    )
