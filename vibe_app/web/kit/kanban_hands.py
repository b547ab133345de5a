"""What keys and presses on cards do: where an arrow leads, and what a second press does not hit."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.ahead import opens
from vibe_app.web.kit.connection import heard
from vibe_app.web.kit.hooks import event, first_of, js

_CARD = "[data-card-id]"
_NOTHING = js("null")


def _pressed(key: rx.Var[str], card_id: rx.Var[str]) -> list[rx.Var[Any]]:
    return [key, card_id]


def _done(action: Any) -> Any:
    """Do something in the place of what the browser and the page's other keys would."""
    return js("(press.preventDefault(), press.stopPropagation(), $action)", action=action)


def _beside() -> Any:
    """Return the card to which an arrow leads: in its list, or as high in the next one that has any."""
    lists = js("[...press.currentTarget.querySelectorAll('[data-column]')]")
    some = js(
        "$lists.filter((list) => list.offsetParent && list.querySelector($card))", lists=lists, card=_CARD
    )
    step = js("({ArrowLeft: -1, ArrowRight: 1})[press.key]")
    there = js(
        "((some) => some[some.indexOf(press.target.parentElement) + $step])($some)", step=step, some=some
    )
    row = js("[...press.target.parentElement.children].indexOf(press.target)")
    across = js(
        "((all) => all[Math.min($row, all.length - 1)])($there?.querySelectorAll($card) ?? [])",
        row=row,
        there=there,
        card=_CARD,
    )
    along = js("({ArrowUp: press.target.previousElementSibling, ArrowDown: press.target.nextElementSibling})")
    near = js("[$along[press.key]].find((each) => each?.matches($card))", along=along, card=_CARD)
    return js("($across ?? $near)", across=across, near=near)


def on_key_down(keys: list[str], on_key: Any) -> rx.Var[Any]:
    """Return the handler of the keys: arrows go between cards, Enter follows the first link of one.

    Args:
        keys: Those that become an `on_key`.
        on_key: The event that is told a key and the card on which it was pressed.
    """
    card = js("press.target.dataset.cardId")
    free = js("(!press.defaultPrevented && !press.ctrlKey && !press.metaKey && !press.altKey)")
    # A key that is held down acts once, though the focus goes on to the next card.
    told = js("$tell(press.key, $card)", tell=event(on_key, _pressed), card=card)
    opened = opens(js("press.key"))
    tell = js("(!press.repeat && $heard && ($told, $opens))", heard=heard, told=told, opens=opened)
    acts = first_of(
        (js("next", bool), _done(js("next.focus()"))),
        (js("(press.key === 'Enter')", bool), _done(js("press.target.querySelector('a').click()"))),
        (js("$keys.includes(press.key)", bool, keys=keys), _done(tell)),
        otherwise=_NOTHING,
    )
    act = js("((next) => $acts)($next)", acts=acts, next=_beside())
    return js("((press) => $card && $free && $act)", card=card, free=free, act=act)


def on_click(deaf: int, on_key: Any) -> rx.Var[Any]:
    """Return the handler of presses: what slides under a pointer that has just pressed takes no press.

    Args:
        deaf: Milliseconds after a press on a button of a card in which other cards take none.
        on_key: The event that is told `shift` and the card that was pressed with Shift.
    """
    card = js("press.target.closest($card)?.dataset.cardId", card=_CARD)
    early = js("(last && last.id !== id && press.timeStamp - last.at < $deaf)", bool, deaf=deaf)
    note = js("(press.currentTarget.lastPress = {at: press.timeStamp, id})")
    tell = js("$tell('shift', id)", tell=event(on_key, _pressed))
    acts = first_of(
        (js("!id", bool), js("(press.currentTarget.lastPress = null)")),
        (early, _done(_NOTHING)),
        (js("!!press.target.closest('button')", bool), note),
        (js("press.shiftKey", bool), _done(tell)),
        otherwise=_NOTHING,
    )
    return js(
        "((press) => ((id, last) => $acts)($card, press.currentTarget.lastPress))", acts=acts, card=card
    )
