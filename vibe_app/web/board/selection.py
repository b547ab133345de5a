"""Several cards at once: which are selected, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.rules import parse_status
from vibe_app.board.tasks.bulk import MOST, Action, BulkTasks
from vibe_app.web.auth import acts
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.showing import columns_of, places, reread
from vibe_app.web.board.undo import Step, UndoState, Was, cards_in_words, offer, remember
from vibe_app.web.forms import split_labels, words
from vibe_app.web.place import known, project_here
from vibe_app.wiring import services

NAMED = 5
"""Cards that a refusal names; of the others it says how many they are."""


class SelectionState(rx.State):
    """The cards that are selected, in the order in which they were."""

    chosen: list[str] = []
    labelling: bool = False

    @rx.event
    async def choose(self, card_id: str):
        """Select a card that the board shows, or no longer."""
        if card_id in self.chosen:
            self.chosen = [each for each in self.chosen if each != card_id]
        elif card_id in _names(await self.get_state(BoardState)):
            self.chosen = [*self.chosen, card_id][-MOST:]

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
        if self.chosen:
            self.chosen = []

    @acts
    async def move(self, actor: Actor, column: str):
        """Move the selected cards to the end of a column."""
        target = parse_status(column)
        asked = {"action": Action.MOVE, "status": target}
        return await _all(self, actor, "moved", f"moved to {target.column}", [asked])

    @acts
    async def archive(self, actor: Actor):
        """Put the selected cards into the archive, or those of it back on the board."""
        return await _archive(self, actor, self.chosen)

    @acts
    async def delete(self, actor: Actor):
        """Delete the selected cards; they can be restored for 30 days."""
        return await _all(self, actor, "deleted", "deleted", [{"action": Action.DELETE}])

    @acts
    async def archive_at(self, actor: Actor, card_id: str):
        """Archive a card, with all that are selected where it is one of these; or bring it back."""
        return await _archive(self, actor, _with(self, card_id))

    @acts
    async def delete_at(self, actor: Actor, card_id: str):
        """Delete a card, with all that are selected where it is one of these."""
        ids = _with(self, card_id)
        return await _all(self, actor, "deleted", "deleted", [{"action": Action.DELETE}], ids)

    @acts
    async def put_label(self, actor: Actor, form: dict[str, Any]):
        """Give the selected cards labels, beside those that they have."""
        labels = split_labels(words(form, "labels"))
        self.labelling = False
        asked = [{"action": Action.ADD_LABEL, "label": each} for each in labels]
        return await _all(self, actor, "", f"labelled {', '.join(labels)}", asked) if labels else None

    @rx.event
    async def label_at(self, card_id: str):
        """Ask for labels of a card that is shown, with all that are selected where it is one of these."""
        if card_id in _names(await self.get_state(BoardState)):
            self.chosen = _with(self, card_id)
            self.labelling = True

    @rx.event
    def ask_label(self, opened: bool):
        """Ask for labels, or no longer."""
        self.labelling = opened


def _with(state: SelectionState, card_id: str) -> list[str]:
    """Return the cards that a key on one of them means."""
    return list(state.chosen) if card_id in state.chosen else [card_id]


async def _archive(state: SelectionState, actor: Actor, ids: Sequence[str]) -> list[Any]:
    if (await state.get_state(BoardState)).archived:
        return await _all(state, actor, "", "back on the board", [{"action": Action.UNARCHIVE}], ids)
    return await _all(state, actor, "archived", "archived", [{"action": Action.ARCHIVE}], ids)


async def _all(
    state: SelectionState,
    actor: Actor,
    kind: str,
    said: str,
    asked: Sequence[dict[str, Any]],
    ids: Sequence[str] | None = None,
) -> list[Any]:
    """Do the same with some cards, say of how many that was so, and which refused and why.

    Args:
        state: Where they are selected; those that refuse stay so.
        actor: Who asks.
        kind: Of the step that can be taken back; empty where it cannot be.
        said: What has become of those with which it was done.
        asked: What to do, as `BulkTasks` takes it, one after the other.
        ids: The cards; None for those that are selected.
    """
    board, project_id = await state.get_state(BoardState), project_here(state)
    ids = list(state.chosen if ids is None else ids)
    if not ids:
        return []
    before, names = places(board), _names(board)
    refused, gone = dict[str, str](), set[str]()
    for each in asked:
        bulk = BulkTasks(ids=[known(card_id) for card_id in ids], **each)
        for outcome in await services().bulk.run(actor, project_id, bulk):
            if kind == "deleted" and outcome.code == "task_not_found":
                gone.add(str(outcome.id))  # as was asked for, by a press before this one or by somebody else
            elif outcome.error:
                refused[str(outcome.id)] = outcome.error
    await reread(board, actor)
    done = [card_id for card_id in ids if card_id not in refused and card_id not in gone]
    left = [each for each in state.chosen if each in refused or each not in ids]
    if state.chosen != left:
        state.chosen = left
    told = [rx.toast.error(words, duration=8000) for words in refused_words(refused, names)]
    if not done:
        return told
    sentence = f"{cards_in_words(done)} {said}."
    if not kind:
        return [rx.toast.success(sentence, duration=2500), *told]
    to = next((each["status"] for each in asked if "status" in each), None)
    remember(await state.get_state(UndoState), Step(kind, project_id, _where(before, done), to))
    return [offer(sentence), *told]


def _names(board: BoardState) -> dict[str, str]:
    """Return what people call the cards that are shown, by id."""
    return {card.id: card.ref or card.title for cards in columns_of(board).values() for card in cards}


def refused_words(refused: dict[str, str], names: dict[str, str]) -> list[str]:
    """Return a sentence for each reason, with the cards for which it is one.

    Args:
        refused: The reason for each card, by id.
        names: What cards are called, by id; one that nobody sees any more has no name.
    """
    reasons: dict[str, list[str]] = {}
    for card_id, reason in refused.items():
        reasons.setdefault(reason, []).append(names.get(card_id, "1 card"))
    return [f"{_listed(cards)}: {reason}" for reason, cards in reasons.items()]


def _listed(names: list[str]) -> str:
    shown, more = names[:NAMED], len(names) - NAMED
    return f"{', '.join(shown)} and {more} more" if more > 0 else ", ".join(shown)


def _where(before: dict[str, Was], moved: list[str]) -> tuple[Was, ...]:
    """Return where the cards that were moved stood, in the board's order."""
    return tuple(was for card_id, was in before.items() if card_id in moved)
