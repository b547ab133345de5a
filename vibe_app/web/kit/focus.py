"""Where the focus goes when what had it is gone: a card that left its list, a dialog, a bar over the page."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import Hooked, js

_LAYERS = "[role=dialog], [role=alertdialog], [role=menu], [role=toolbar]"
"""What is opened from a card, and leads back to it."""
_CARD = "document.querySelector('[data-card-id=\"' + {} + '\"]')"
_IN_LIST = "document.querySelectorAll('[data-column=\"' + spot.current.list + '\"] [data-card-id]')"


def kept_focus(*, now: list[Any], wanted: Any) -> rx.Component:
    """Keep the focus on the card that had it, wherever that is by now, or else on the one in its place.

    While a drawer is open it gets the focus. Whoever has pressed elsewhere with a mouse or a finger, or went
    on to another part of the page, is left alone.

    Args:
        now: Vars of which one changes whenever cards come, go or move, or a layer closes.
        wanted: The id of a card that gets the focus once, as soon as it is there; empty for none.
    """
    return _kept_focus(now=rx.Var.create(now), wanted=wanted)


@rx.memo
def _kept_focus(now: rx.Var[list[Any]], wanted: rx.Var[str]) -> rx.Component:
    note = js(
        "({id: card.dataset.cardId, list: card.closest('[data-column]').dataset.column,"
        " at: [...card.parentNode.children].indexOf(card)})"
    )
    focus = js(
        "null",
        hooks=(
            "const spot = useRef(null), given = useRef($wanted);",
            "const layer = (on) => on.target.closest?.($layers);",
            "const note = (card, other) => (card ? $note : other);",
            "useWindowEvent('pointerdown', (on) => {layer(on) || (spot.current = null);});",
            "const over = (on) => on.target.closest?.('[data-card-id]');",
            "const came = (on) => note(over(on), layer(on) ? spot.current : null);",
            "useWindowEvent('focusin', (on) => {spot.current = came(on);});",
            f"const fresh = () => given.current === $wanted ? null : {_CARD.format('$wanted')};",
            "const take = (card) => (given.current = $wanted, document.activeElement.form ? null : card);",
            f"const near = () => [...{_IN_LIST}].slice(0, spot.current.at + 1).at(-1);",
            f"const same = () => {_CARD.format('spot.current.id')} ?? near();",
            "const kept = () => document.querySelector('.v-drawer') ?? same();",
            "const lost = () => document.activeElement === document.body && spot.current;",
            "const next = (card) => card ? take(card) : lost() ? kept() : null;",
            # Once dialogs have given back what they had, which they do in a moment of their own.
            "const look = () => setTimeout(() => next(fresh())?.focus());",
            "useEffect(() => void requestAnimationFrame(look), $now);",
        ),
        now=now,
        wanted=wanted,
        layers=_LAYERS,
        note=note,
    )
    return Hooked.create(runs=focus)
