"""Lists of cards that are dragged between, by mouse, touch and keyboard, around @hello-pangea/dnd.

A card is known by its `id`, shown through a template, and what happens is said in words that come from the
page. A drop shows at once and holds until `version` says that it was answered; what the answer is, is the
State's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reflex as rx
from reflex.vars.function import ArgsFunctionOperation

from vibe_app.web.kit.hooks import js
from vibe_app.web.kit.kanban_hands import on_click, on_key_down
from vibe_app.web.kit.sources import source

_SOURCE = source("kanban.jsx")


def _moved(card_id: rx.Var[str], column: rx.Var[str], before_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [card_id, column, before_id]


class CardList(rx.Component):
    """One of the lists, somewhere inside of `card_lists`; its children stand below the cards."""

    library = _SOURCE.importable_path
    tag = "DragList"
    lib_dependencies: list[str] = ["@hello-pangea/dnd@18.0.1"]

    name: rx.Var[str]


class _Cards(rx.Component):
    """What holds the lists: a card goes from any of them to any other."""

    library = _SOURCE.importable_path
    tag = "DragLists"
    lib_dependencies: list[str] = ["@hello-pangea/dnd@18.0.1"]

    lists: rx.Var[dict[str, Any]]
    order: rx.Var[dict[str, list[str]]]
    changed: rx.Var[dict[str, Any]]
    version: rx.Var[int]
    can_move: rx.Var[bool]
    opened: rx.Var[str]
    chosen: rx.Var[list[str]]
    path: rx.Var[str]
    render_item: rx.Var[Any]
    words: rx.Var[Any]
    on_move: rx.EventHandler[_moved]


def card_lists(
    template: Callable[..., rx.Component],
    card_type: type,
    words: Callable[[Any], Any],
    *children: rx.Component,
    cards: dict[str, Any],
    keys: list[str],
    deaf: int,
    on_key: Any,
    **props: Any,
) -> rx.Component:
    """Make lists whose cards look as `template(card=..., chosen=..., path=...)` says.

    A card is an object with at least `id` and `title`; one with `locked` stays where it is.

    Args:
        template: An `rx.memo` component with the properties `card`, `chosen` and `path`.
        card_type: What a card is in Python, for the template's types.
        words: Returns the var of what is said to a screen reader; it gets a var with `kind` (`help`,
            `start`, `over`, `drop` or `cancel`), `title`, `to` (the name of a list) and `place`.
        children: With a `CardList` in them for each list.
        cards: The cards of each list, by its name.
        keys: The keys that, pressed on a card, become an `on_key`.
        deaf: Milliseconds after a press on a button of a card in which other cards take none.
        on_key: Called with a key and a card's id; a click with Shift is the key `shift`.
        props: `order`: the ids of the lists whose order is newer than in `cards`; `changed`: the cards, by
            id, that are newer than in `cards`; `version`: goes up by one with the answer to each `on_move`,
            whatever the answer is; `can_move`; `opened`: the id of the card that is shown beside the lists,
            or empty; `chosen`: the ids of the cards that are selected; `path`: the beginning of the address
            of a card, for the template; `on_move`: called with a card's id, the list in which it was
            dropped, and the id of the card that it is above.
    """
    happened = rx.Var(_js_expr="at").to(dict[str, str])
    return _Cards.create(
        rx.el.div(
            *children,
            class_name="kb",
            custom_attrs={"onKeyDown": on_key_down(keys, on_key), "onClickCapture": on_click(deaf, on_key)},
        ),
        lists=rx.Var.create(cards),
        render_item=_item(template, card_type),
        words=ArgsFunctionOperation.create(("at",), rx.Var.create(words(happened))),
        **props,
    )


def _item(template: Callable[..., rx.Component], card_type: type) -> rx.Var[Any]:
    """Return what draws a card; `held` is what the library wants of its element."""
    card: Any = rx.Var(_js_expr="item").to(card_type)
    chosen, opened, lifted = (rx.Var(name, _var_type=bool) for name in ("chosen", "open", "lifted"))
    path = rx.Var(_js_expr="path", _var_type=str)
    element = rx.el.li(
        template(card=card, chosen=chosen, path=path),
        class_name=rx.cond(lifted, "kb-card kb-lifted", "kb-card"),
        aria_label=card.title,
        aria_current=rx.cond(opened, "true", js("undefined")),
        custom_attrs={"data-card-id": card.id, "data-chosen": chosen},
        special_props=[rx.Var("held")],
    )
    return ArgsFunctionOperation.create(
        ("{item, chosen, open, path}", "held", "lifted"), rx.Var.create(element)
    )
