"""How a board's columns travel: as windows, and what changes in one as no more than that. Pure.

What was sent last of each column is its base. Until too many cards differ from theirs, only these
travel, and of a column whose cards stand in another order only their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vibe_app.web.board.cards import Face

FEW = 12
"""Cards that may differ from what was sent, before their columns are sent whole."""

Columns = Mapping[str, list[Face]]


@dataclass(frozen=True)
class Sent:
    """What a tab has: the columns as they were, the order of those where it is another one, newer cards."""

    base: Columns
    order: Mapping[str, list[str]]
    changed: Mapping[str, Face]

    def now(self) -> dict[str, list[Face]]:
        """Return the columns that this shows."""
        known = {**_by_id(self.base), **self.changed}
        ids = {name: _ids(cards) for name, cards in self.base.items()} | dict(self.order)
        return {name: [known[each] for each in here if each in known] for name, here in ids.items()}


def sent(base: Columns, now: Columns) -> Sent:
    """Return what is to be sent so that a tab with `base` shows `now`."""
    changed = _changed(base, now)
    if len(changed) > FEW:
        whole = {name for name, cards in now.items() if any(card.id in changed for card in cards)}
        base = {name: now[name] if name in whole else cards for name, cards in base.items()}
        changed = _changed(base, now)
    order = {name: _ids(cards) for name, cards in now.items() if _ids(cards) != _ids(base[name])}
    return Sent(base, order, changed)


def _changed(base: Columns, now: Columns) -> dict[str, Face]:
    known = _by_id(base)
    return {card.id: card for cards in now.values() for card in cards if known.get(card.id) != card}


def _by_id(columns: Columns) -> dict[str, Face]:
    return {card.id: card for cards in columns.values() for card in cards}


def _ids(cards: list[Face]) -> list[str]:
    return [card.id for card in cards]
