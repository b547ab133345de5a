"""How the columns look: heads, windows of cards, what an empty one says, tabs where they do not fit."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.windows import WIDEST
from vibe_app.web.board.cards import Face
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.face import card_face
from vibe_app.web.board.keys import KEYS, KeysState
from vibe_app.web.board.moving import MoveState
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.card.drawer import DrawerState
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.attention import thousands
from vibe_app.web.kit.kanban import CardList, card_lists
from vibe_app.web.kit.more import more_row
from vibe_app.web.kit.status import COLUMN_NAMES, column_hint
from vibe_app.web.layout import RailState

APART = 400
"""Milliseconds after a press on one card in which a button of another one does not react."""


@rx.memo
def board_card(card: rx.Var[Face], chosen: rx.Var[bool], path: rx.Var[str]) -> rx.Component:
    """One card on the board."""
    shown: Any = card
    return card_face(
        shown,
        chosen,
        path,
        BoardState.execute(shown.id),
        BoardState.stop(shown.id),
        MoveState.ask(shown.id),
        SelectionState.choose(shown.id),
    )


def words(happened: Any) -> Any:
    """Say to a screen reader what happens with a card that is moved."""
    title = happened["title"]
    where = f"{rx.match(happened['to'], *COLUMN_NAMES.items(), '')}, place {happened['place']}"
    return rx.match(
        happened["kind"],
        ("start", f"{title} picked up. Arrow keys move it, Space drops it, Escape cancels."),
        ("over", where),
        ("drop", f"{title} dropped: {where}"),
        ("cancel", "Move cancelled"),
        "Enter opens the card, arrow keys go between cards, Space picks it up.",
    )


def _empty(status: TaskStatus) -> rx.Component:
    hint = rx.cond(
        BoardState.filtered,
        rx.cond(BoardState.archived & (BoardState.total == 0), "Nothing is archived", "No match"),
        rx.cond(BoardState.total == 0, column_hint(status), ""),
    )
    return rx.cond(BoardState.counts[status.value] == 0, rx.el.li(hint, class_name="kb-empty"))


def _more(status: TaskStatus) -> rx.Component:
    """The end of a window: what follows comes as it is scrolled to; of a very long column it is said."""
    size = BoardState.sizes[status.value]
    left = BoardState.counts[status.value] - size
    widest = rx.el.li(thousands(left), " more: the search and the filters find them.", class_name="kb-empty")
    row = more_row(
        "Show more, ", thousands(left), " left", size=size, on_more=BoardState.more(status.value, size)
    )
    return rx.cond(left > 0, rx.cond(size < WIDEST, row, widest))


def _column(status: TaskStatus) -> rx.Component:
    count: Any = BoardState.counts[status.value]
    name = COLUMN_NAMES[status.value]
    return rx.el.section(
        rx.el.h2(
            rx.el.i(aria_hidden="true"),
            name,
            rx.el.span(thousands(count), class_name="kb-count"),
            class_name="kb-head",
        ),
        CardList.create(_empty(status), _more(status), name=status.value),
        class_name=f"kb-column kb-{status.value}",
        aria_label=f"{name}, {count} {rx.cond(count == 1, 'card', 'cards')}",
        custom_attrs={
            "data-shown": rx.cond(BoardState.tab == status.value, "true", "false"),
            "data-empty": rx.cond(count == 0, "true", "false"),
        },
    )


def _tabs() -> rx.Component:
    """The columns' names, where only one column fits."""
    return rx.el.div(
        *[
            rx.el.button(
                COLUMN_NAMES[status.value],
                " ",
                rx.el.span(thousands(BoardState.counts[status.value]), class_name="kb-count"),
                type="button",
                role="tab",
                aria_selected=BoardState.tab == status.value,
                on_click=BoardState.show_tab(status.value),
            )
            for status in TaskStatus
        ],
        role="tablist",
        aria_label="Columns",
        class_name="kb-tabs",
    )


def board_columns() -> rx.Component:
    """The five columns."""
    chosen: Any = SelectionState.chosen
    return rx.el.div(
        card_lists(
            board_card,
            Face,
            words,
            _tabs(),
            rx.el.div(*[_column(status) for status in TaskStatus], class_name="kb-columns"),
            cards={status.value: getattr(BoardState, status.value.lower()) for status in TaskStatus},
            order=BoardState.order,
            changed=BoardState.changed,
            version=BoardState.version,
            can_move=BoardState.can_edit & ~BoardState.archived,
            opened=DrawerState.task_id,
            chosen=SelectionState.chosen,
            path=f"/p/{BoardState.project_id}/t/",
            keys=KEYS,
            deaf=APART,
            on_move=BoardState.move,
            on_key=KeysState.on_card,
        ),
        class_name="v-board",
        custom_attrs={
            "data-can-edit": rx.cond(BoardState.can_edit, "true", "false"),
            "data-may-execute": rx.cond(RailState.may_execute, "true", "false"),
            OPENS: rx.cond(BoardState.can_edit, "l", ""),
            "data-choosing": rx.cond(chosen.length() > 0, "true", "false"),
        },
    )
