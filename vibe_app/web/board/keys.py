"""What a key means on a board: on a card that has the focus, and anywhere else."""

from __future__ import annotations

import reflex as rx

from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.access import NEEDS
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.composer import ComposerState
from vibe_app.web.board.moving import LOCKED, MoveState
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.board.undo import UndoState
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.keyboard import HelpState
from vibe_app.web.place import place_of

KEYS = ["e", "s", "m", "x", "l", "a", "Delete", " "]
"""Keys of a card; Space comes here only from one that has to stay where it is."""


SHELVED = "A card of the archive stays where it is. Bring it back first."


class KeysState(rx.State):
    """Turns keys into what they mean."""

    @rx.event
    async def on_card(self, key: str, card_id: str):
        """Do what a key asks for that was pressed on a card."""
        board = await self.get_state(BoardState)
        if not board.can_edit:
            words = NEEDS[ProjectRole.EDITOR]
            return rx.toast.error(words, id=words)
        actions = {
            "e": BoardState.execute,
            "s": BoardState.stop,
            "m": MoveState.ask,
            "x": SelectionState.choose,
            "l": SelectionState.label_at,
            "a": SelectionState.archive_at,
            "Delete": SelectionState.delete_at,
            "shift": SelectionState.choose_to,
        }
        if key in actions:
            return actions[key](card_id)
        return rx.toast.error(SHELVED if board.archived else LOCKED)

    @rx.event
    async def anywhere(self, key: str):
        """Do what a key asks for that was pressed elsewhere."""
        if key == "?":
            return HelpState.set_helping(True)
        if key == "n":
            can_edit = (await self.get_state(BoardState)).can_edit
            return ComposerState.set_opened(True) if can_edit else None
        if key in ("z", "Escape"):
            return UndoState.undo if key == "z" else SelectionState.clear
        if key in ("j", "k", "c"):
            steps = {"j": ReviewState.step(1), "k": ReviewState.step(-1), "c": ReviewState.comment_here}
            return steps[key]
        task = place_of(self).task
        actions = {"e": BoardState.execute, "s": BoardState.stop, "m": MoveState.ask}
        return actions[key](str(task)) if task and key in actions else None
