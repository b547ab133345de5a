"""How a card leaves the board and comes back: deleted or archived, with a toast that undoes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.tasks.schemas import TaskView
from vibe_app.errors import NotFound
from vibe_app.web.auth import acts
from vibe_app.web.board.undo import Step, UndoState, Was, offer, remember
from vibe_app.web.kit.parts import empty_state
from vibe_app.web.place import card_here, known, project_here
from vibe_app.wiring import services


class ShelfState(rx.State):
    """Takes the card that the address names from the board, and brings it back."""

    @acts
    async def delete(self, actor: Actor):
        """Delete the card and go back to the board."""
        project_id, task_id = card_here(self)
        try:
            task = await services().tasks.read(actor, project_id, task_id)
            await services().tasks.delete(actor, project_id, task_id)
        except NotFound:  # gone already, as for the second half of a double click
            return rx.redirect(f"/p/{project_id}")
        return await self._left("deleted", task)

    @acts
    async def archive(self, actor: Actor):
        """Put the card into the archive and go back to the board."""
        return await self._left("archived", await services().tasks.archive(actor, *card_here(self)))

    async def _left(self, kind: str, task: TaskView) -> list[Any]:
        """Go back to the board, where the toast and `z` take it back as they do what was done there."""
        step = Step(kind, task.project_id, (Was(task.id, task.status),))
        remember(await self.get_state(UndoState), step)
        return [rx.redirect(f"/p/{task.project_id}"), offer(f"“{task.title}” is {kind}.")]

    @acts
    async def restore(self, actor: Actor, task_id: str):
        """Have a deleted card back."""
        project_id = project_here(self)
        return _back(project_id, await services().tasks.restore(actor, project_id, known(task_id)))

    @acts
    async def unarchive(self, actor: Actor, task_id: str):
        """Take a card out of the archive."""
        project_id = project_here(self)
        return _back(project_id, await services().tasks.unarchive(actor, project_id, known(task_id)))


def _back(project_id: UUID, task: TaskView) -> list[Any]:
    return [
        rx.redirect(f"/p/{project_id}/t/{task.id}/overview"),
        rx.toast.success(f"“{task.title}” is back in {task.status.column}.", duration=2500),
    ]


def leave_buttons(task_id: Any, archived: Any, locked: Any) -> rx.Component:
    """What takes a card from the board, or an archived one back to it."""
    return rx.el.div(
        rx.cond(
            archived,
            rx.button("Take it out of the archive", variant="soft", on_click=ShelfState.unarchive(task_id)),
            rx.button(
                "Archive",
                variant="soft",
                color_scheme="gray",
                disabled=locked,
                on_click=ShelfState.archive,
            ),
        ),
        rx.button("Delete", variant="soft", color_scheme="red", disabled=locked, on_click=ShelfState.delete),
        class_name="v-row v-leave",
    )


def not_here(words: Any, task_id: Any, close: Any, can_edit: Any) -> rx.Component:
    """What an address says whose card is not there: that it can be had back, if it was deleted.

    Args:
        words: Why there is none.
        task_id: The card that the address names.
        close: The address of the board.
        can_edit: Whether the reader may have it back.
    """
    return empty_state(
        "search-x",
        "Not here",
        words,
        rx.cond(can_edit, rx.button("Restore it", variant="soft", on_click=ShelfState.restore(task_id))),
        rx.link("Back to the board", href=close),
    )
