"""What people decide about a card's change: go on with it, accept it, discard it, have it back.

A decision is noted and carried out by itself; what became of it shows as everything else that happens to the
card. It names the revision that was on the screen: where there is another by now, nothing is done.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.changes.schemas import AcceptChange, FollowUp, NameRevision
from vibe_app.errors import Conflict, RevisionChanged, VibeError
from vibe_app.web.auth import acts
from vibe_app.web.changes.review import ReviewState, chosen
from vibe_app.web.changes.state import ChangesState
from vibe_app.web.forms import words
from vibe_app.web.kit.draft import forget
from vibe_app.web.place import card_here, known, project_here
from vibe_app.wiring import services

NONE = "0" * 40
"""A revision that no change has."""


class DecideState(rx.State):
    """What is about to be decided in this tab."""

    strategy: str = "squash"
    asking: str = ""
    """The dialog that is open: `accept` or `discard`."""
    dropped: str = ""
    """A card that was to be called done though nobody has decided about its change."""
    dropped_title: str = ""
    _dropped_revision: str = ""
    _told: tuple[str, ...] = ()
    """What the agent was told last: the card, the revision, the words. A second press tells nothing new."""

    @rx.event
    def ask(self, what: str):
        """Open a dialog, or close it with an empty word."""
        self.asking = what

    @rx.event
    def set_open(self, opened: bool):
        """Close the dialog that is open."""
        if not opened:
            self.asking = ""

    @rx.event
    def choose(self, strategy: str):
        """Say how the change comes to the base branch."""
        self.strategy = "merge" if strategy == "merge" else "squash"

    @acts
    async def accept(self, actor: Actor):
        """Have the change that is shown joined into the base branch."""
        self.asking = ""
        return await self._decide(actor, "accept")

    @acts
    async def discard(self, actor: Actor):
        """Have the change that is shown thrown away."""
        self.asking = ""
        return await self._decide(actor, "discard")

    @acts
    async def again(self, actor: Actor):
        """Do what was decided last, though something is lost by it."""
        tried = (await self.get_state(ChangesState)).tried
        return await self._decide(actor, tried) if tried in ("accept", "discard") else None

    async def _decide(self, actor: Actor, what: str) -> Any:
        project_id, task_id = card_here(self)
        changes = await self.get_state(ChangesState)
        # Whoever has read what would be lost and decides again means it.
        anyway = changes.problem_code == "would_be_lost"
        verbs, revision = services().changes, changes.revision or None
        try:
            if what == "accept":
                asked = AcceptChange.model_validate(
                    {"revision": revision or NONE, "strategy": self.strategy, "anyway": anyway}
                )
                await verbs.accept(actor, project_id, task_id, asked)
            else:
                await verbs.discard(
                    actor, project_id, task_id, NameRevision(revision=revision, anyway=anyway)
                )
        except RevisionChanged as error:
            changes.newest = error.present.revision or ""
            return rx.toast.error(error.message)
        changes.tried, changes.intent, changes.problem, changes.problem_code = what, what, "", ""
        return None

    @acts
    async def restore(self, actor: Actor):
        """Have a discarded change back."""
        project_id, task_id = card_here(self)
        await services().changes.restore(actor, project_id, task_id)
        (await self.get_state(ChangesState)).intent = "restore"

    @acts
    async def deliver(self, actor: Actor):
        """Have what was accepted brought to the repository again."""
        project_id, task_id = card_here(self)
        await services().changes.deliver(actor, project_id, task_id)
        (await self.get_state(ChangesState)).redo = ""

    @acts
    async def solve(self, actor: Actor):
        """Have the agent solve what conflicts."""
        project_id, task_id = card_here(self)
        revision = (await self.get_state(ChangesState)).revision or None
        told = (str(task_id), revision or "")
        try:
            await services().starts.solve(actor, project_id, task_id, revision)
        except Conflict as error:
            if error.code != "session_live" or self._told != told:
                raise
        self._told = told
        return rx.redirect(f"/p/{project_id}/t/{task_id}/output")

    @acts
    async def send(self, actor: Actor, form: dict[str, Any]):
        """Tell the agent what to change, with the comments that were chosen."""
        project_id, task_id = card_here(self)
        changes, review = await self.get_state(ChangesState), await self.get_state(ReviewState)
        revision = changes.revision or None
        asked = FollowUp(message=words(form, "message"), comment_ids=chosen(review), revision=revision)
        told = (str(task_id), revision or "", asked.message)
        try:
            await services().starts.follow_up(actor, project_id, task_id, asked)
        except VibeError as error:
            # Comments went with the first press, so that the second may have none.
            if error.code in ("session_live", "nothing_to_say") and self._told == told:
                return None
            if error.code != "revision_changed":
                raise
            view = await services().changes.read(actor, project_id, task_id)
            changes.newest = view.revision or ""
            return rx.toast.error(error.message)
        review.held, self._told = [], told
        return [forget(box_name(task_id)), rx.redirect(f"/p/{project_id}/t/{task_id}/output")]

    @acts
    async def drop(self, actor: Actor, task_id: str):
        """Ask what is to become of the change of a card that was to be called done."""
        task = await services().tasks.read(actor, project_here(self), known(task_id))
        revision = task.change.revision if task.change else None
        self.dropped, self.dropped_title = str(task.id), task.title
        self._dropped_revision = revision or ""

    @rx.event
    def keep(self, opened: bool):
        """Leave the card that was dropped where it is."""
        if not opened:
            self.dropped = ""

    @acts
    async def decide_dropped(self, actor: Actor, what: str):
        """Accept or discard the change of the card that was to be called done."""
        if not self.dropped:
            return
        project_id, task_id = project_here(self), known(self.dropped)
        asked = {"revision": self._dropped_revision or NONE}
        self.dropped = ""
        if what == "accept":
            await services().changes.accept(actor, project_id, task_id, AcceptChange.model_validate(asked))
        elif what == "discard":
            await services().changes.discard(actor, project_id, task_id, NameRevision.model_validate(asked))


def box_name(task_id: Any) -> Any:
    """Return the name under which the browser keeps what is typed for the agent."""
    return f"follow:{task_id}"
