"""Lists of cards that are dragged between, by mouse, touch and keyboard, around @hello-pangea/dnd.

It knows a card by its `id`, shows it through a template given from Python, and says what happens in
words given from Python. A drop shows at once and holds until `version` says that it was answered;
what the answer is, is the State's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reflex as rx
from reflex.vars.function import ArgsFunctionOperation

from vibe_app.web.kit.sources import source

_SOURCE = source("kanban.jsx")
source("kanban_lists.js")


def _moved(card_id: rx.Var[str], column: rx.Var[str], before_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [card_id, column, before_id]


def _pressed(key: rx.Var[str], card_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [key, card_id]


class CardList(rx.Component):
    """One of the lists, somewhere inside of `Cards`; its children stand below the cards."""

    library = _SOURCE.importable_path
    tag = "CardList"
    lib_dependencies: list[str] = ["@hello-pangea/dnd@18.0.1"]

    name: rx.Var[str]


class Cards(rx.Component):
    """What holds the lists: a card goes from any of them to any other.

    A card is an object with at least `id` and `title`; one with `locked` stays where it is. Arrow keys
    go between cards, Space picks one up, Enter follows the first link on it. After a press on a button
    of one card the others take no press for `deaf` milliseconds, as one may just have slid under the
    pointer.
    """

    library = _SOURCE.importable_path
    tag = "Cards"
    lib_dependencies: list[str] = ["@hello-pangea/dnd@18.0.1"]

    cards: rx.Var[dict[str, Any]]
    """The cards of each list, by its name."""
    order: rx.Var[dict[str, list[str]]]
    """The ids of the lists whose order is newer than in `cards`."""
    changed: rx.Var[dict[str, Any]]
    """The cards, by id, that are newer than in `cards`."""
    version: rx.Var[int]
    """Goes up by one with the answer to each `on_move`, whatever the answer is."""
    can_move: rx.Var[bool]
    opened: rx.Var[str]
    """The id of the card that is shown beside the lists, or empty."""
    chosen: rx.Var[list[str]]
    """The ids of the cards that are selected."""
    path: rx.Var[str]
    """The beginning of the address of a card, for the template."""
    keys: rx.Var[list[str]]
    """The keys that, pressed on a card, become an `on_key`; a click with Shift is the key `shift`."""
    deaf: rx.Var[int]
    render_card: rx.Var[Any]
    words: rx.Var[Any]
    on_move: rx.EventHandler[_moved]
    """Called with a card's id, the list in which it was dropped, and the id of the card that it is above."""
    on_key: rx.EventHandler[_pressed]


def card_lists(
    template: Callable[..., rx.Component],
    card_type: type,
    words: Callable[[Any], Any],
    *children: rx.Component,
    **props: Any,
) -> rx.Component:
    """Make lists whose cards look as `template(card=..., chosen=..., path=...)` says.

    Args:
        template: An `rx.memo` component with the properties `card`, `chosen` and `path`.
        card_type: What a card is in Python, for the template's types.
        words: Returns the var of what is said to a screen reader; it gets a var with `kind` (`help`,
            `start`, `over`, `drop` or `cancel`), `title`, `to` (the name of a list) and `place`.
        children: With a `CardList` in them for each list.
        props: The other properties of `Cards`, `cards` as a mapping of vars.
    """
    card = rx.Var(_js_expr="card").to(card_type)
    chosen = rx.Var(_js_expr="chosen", _var_type=bool)
    path = rx.Var(_js_expr="path", _var_type=str)
    happened = rx.Var(_js_expr="at").to(dict[str, str])
    return Cards.create(
        *children,
        cards=rx.Var.create(dict(props.pop("cards"))),
        render_card=ArgsFunctionOperation.create(
            ("card", "chosen", "path"), rx.Var.create(template(card=card, chosen=chosen, path=path))
        ),
        words=ArgsFunctionOperation.create(("at",), rx.Var.create(words(happened))),
        **props,
    )
