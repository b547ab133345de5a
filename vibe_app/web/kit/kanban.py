"""The board's columns: dragging by mouse, touch and keyboard around @dnd-kit.

It knows cards by their `id` and shows each through a template given from
Python. A drop shows at once and holds until `version` says that it was
answered; what the answer is, is the State's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import reflex as rx
from reflex.vars.function import ArgsFunctionOperation

from vibe_app.web.kit.sources import source

_SOURCE = source("kanban.jsx")
source("kanban.css")


def _moved(card_id: rx.Var[str], column: rx.Var[str], before_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [card_id, column, before_id]


def _acted(action: rx.Var[str], card_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [action, card_id]


class Kanban(rx.Component):
    """Five columns of cards.

    A card is an object with at least `id`, `title` and `locked` (it may not be
    moved now). `on_move(card_id, column, before_id)` fires on a drop; `before_id`
    is empty at the end of a column. `on_act(action, card_id)` fires for
    `execute` and `stop`, from the keys of a focused card, and for `move` where a
    locked card was to be moved. `ask_where` opens the list of columns from outside; inside
    a card, a button with the attribute `data-kb-move` does.
    """

    library = _SOURCE.importable_path
    tag = "KanbanBoard"
    lib_dependencies: list[str] = ["@dnd-kit/core@6.3.1"]

    columns: rx.Var[list[dict[str, str]]]
    """`status`, `name` and `hint` (what an empty column says) of each column, in order.

    The list of columns to move to leaves out one with `by_hand` set to "no".
    """
    cards: rx.Var[dict[str, Any]]
    """The list of cards of each status."""
    version: rx.Var[int]
    """Goes up by one with the answer to each `on_move`, whatever the answer is."""
    can_move: rx.Var[bool]
    selected: rx.Var[str]
    """The card whose drawer is open, or empty."""
    path: rx.Var[str]
    """The address of a card is this and its id; a click or Enter goes there."""
    render_card: rx.Var[Any]
    on_move: rx.EventHandler[_moved]
    on_act: rx.EventHandler[_acted]


def ask_where(card_id: Any) -> Any:
    """Return the event that asks to which column of the board on the page a card should go."""
    return rx.call_function(
        rx.vars.FunctionStringVar.create(
            "(id) => () => window.dispatchEvent(new CustomEvent('vibe-move', {detail: id}))"
        ).call(card_id)
    )


def kanban(
    template: Callable[..., rx.Component], card_type: type, columns: list[dict[str, str]], **props: Any
) -> rx.Component:
    """Make a board whose cards look as `template(card=...)` says.

    Args:
        template: An `rx.memo` component with one property, `card`.
        card_type: What a card is in Python, for the template's types.
        columns: See `Kanban.columns`.
        props: The other properties of `Kanban`, `cards` as a mapping of vars.
    """
    cards = props.pop("cards")
    card = rx.Var(_js_expr="card", _var_type=card_type)
    shown = rx.Var.create(template(card=card))
    return Kanban.create(
        columns=columns,
        cards=rx.Var.create(dict(cards)) if isinstance(cards, Mapping) else cards,
        render_card=ArgsFunctionOperation.create(("card",), shown),
        **props,
    )
