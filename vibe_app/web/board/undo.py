"""What can be taken back: a move between columns, and what was archived or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.errors import InvalidRequest, NotFound, VibeError
from vibe_app.web.auth import acts
from vibe_app.wiring import services

STEPS = 20
"""How many steps back a tab remembers."""
SHOWN_MS = 6000
"""Milliseconds for which a page offers to take something back; the key does so afterwards as well."""


@dataclass(frozen=True)
class Was:
    """Where a card was: its column, and the card that stood below it, if any."""

    task_id: UUID
    column: TaskStatus
    above: UUID | None = None


@dataclass(frozen=True)
class Step:
    """What was done with cards of a project: `moved` into the column `to`, `archived` or `deleted`."""

    kind: str
    project_id: UUID
    cards: tuple[Was, ...]
    to: TaskStatus | None = None


class UndoState(rx.State):
    """What this tab has done. Only the server keeps it."""

    _steps: list[Step] = []

    @acts
    async def undo(self, actor: Actor):
        """Take the last step back."""
        if not self._steps:
            return rx.toast.info("There is nothing to take back.")
        *self._steps, step = self._steps
        # From below, so that a card is there again before the one above it.
        answers = [await _take_back(actor, step, was) for was in reversed(step.cards)]
        refused = [words for words in answers if words]
        if not refused:
            return [rx.toast.dismiss("undo"), rx.toast.info("Taken back.", duration=2500)]
        rest = " What else was done with it is taken back." if len(refused) < len(answers) else ""
        return [rx.toast.dismiss("undo"), rx.toast.error(refused[0] + rest, duration=8000)]


async def _take_back(actor: Actor, step: Step, was: Was) -> str:
    """Bring a card back to where it was; return why not, if it cannot be."""
    tasks = services().tasks
    try:
        if step.kind == "archived":
            await tasks.unarchive(actor, step.project_id, was.task_id)
        elif step.kind == "deleted":
            await tasks.restore(actor, step.project_id, was.task_id)
        else:
            task = await tasks.read(actor, step.project_id, was.task_id)
            if task.status is not step.to:
                return f"“{task.title}” was moved again since, to {task.status.column}: it stays there."
            try:
                await tasks.move(actor, step.project_id, was.task_id, was.column, was.above)
            except (InvalidRequest, NotFound):  # the card below it is somewhere else by now
                await tasks.move(actor, step.project_id, was.task_id, was.column)
    except VibeError as error:
        return error.message
    return ""


def remember(state: UndoState, step: Step) -> None:
    """Keep what was done, so that it can be taken back."""
    state._steps = [*state._steps, step][-STEPS:]


def offer(words: str) -> Any:
    """Say what was done, with a button that takes it back; one at a time, as it takes back the last."""
    undo = {"label": "Undo", "on_click": UndoState.undo}
    return rx.toast.success(words, id="undo", action=undo, duration=SHOWN_MS)


def cards_in_words(ids: Sequence[object]) -> str:
    """Say how many cards there are."""
    return "1 card" if len(ids) == 1 else f"{len(ids):,} cards"
