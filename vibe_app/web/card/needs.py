"""What has to be done before a card: the list on its Overview, and the picker that adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.tasks.schemas import NeedView, TaskPatch
from vibe_app.web.auth import acts
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.place import card_here, known
from vibe_app.wire import plain_text
from vibe_app.wiring import services

OFFERED = 8
"""Cards that the picker shows at once."""


@dataclass
class Needed:
    """A card that has to be done before this one, or could have to."""

    id: str
    ref: str
    title: str
    done: bool = False


def needed(need: NeedView) -> Needed:
    """Make the row of a card that has to be done first."""
    return Needed(str(need.id), need.ref, need.title, need.done)


class NeedsState(rx.State):
    """What the picker offers."""

    picking: bool = False
    found: list[Needed] = []
    sought: str = ""

    @rx.event
    def pick(self, opened: bool):
        """Open the picker, or close it."""
        self.picking, self.found, self.sought = opened, [], ""

    @acts
    async def seek(self, actor: Actor, text: str):
        """Find cards that this one could wait for, by name or words."""
        project_id, task_id = card_here(self)
        self.sought, found = text.strip()[:200], list[Needed]()
        if self.sought:
            words = plain_text(self.sought)
            page = await services().tasks.page(actor, project_id, None, words, 1, OFFERED + 1)
            found = [Needed(str(each.id), each.ref, each.title) for each in page.items if each.id != task_id]
        self.found = found[:OFFERED]

    @acts
    async def add(self, actor: Actor, need: str):
        """Have the card wait for another one."""
        await _change(self, actor, need, True)
        self.picking, self.found, self.sought = False, [], ""

    @acts
    async def drop(self, actor: Actor, need: str):
        """Have the card wait for another one no longer."""
        await _change(self, actor, need, False)


async def _change(state: NeedsState, actor: Actor, need: str, wanted: bool) -> None:
    """Write what the card waits for, on top of what it waits for by now."""
    project_id, task_id = card_here(state)
    task, other = await services().tasks.read(actor, project_id, task_id), known(need)
    needs = [each.id for each in task.needs if each.id != other] + [other] * wanted
    patch = TaskPatch(needs=needs)
    await services().tasks.change(actor, project_id, task_id, task.version, patch)


def _row(need: Any, board: Any, can_edit: Any) -> rx.Component:
    return rx.el.li(
        rx.cond(
            need.done,
            rx.icon("circle-check", size=16, class_name="v-green v-icon", aria_label="Done"),
            rx.icon("circle-dashed", size=16, class_name="v-amber v-icon", aria_label="Not done"),
        ),
        rx.el.a(
            rx.el.span(need.ref, class_name="v-quiet v-digits"),
            rx.el.bdi(need.title),
            href=f"{board}/t/{need.id}",
            class_name="v-need",
        ),
        rx.cond(
            can_edit,
            rx.el.button(
                rx.icon("x", size=16, aria_hidden="true"),
                type="button",
                aria_label=f"Do not wait for {need.ref}",
                title="Do not wait for it",
                on_click=NeedsState.drop(need.id),
                class_name="v-icon-button",
            ),
        ),
    )


def _offer(card: Any) -> rx.Component:
    return rx.el.li(
        rx.el.button(
            rx.el.span(card.ref, class_name="v-quiet v-digits"),
            rx.el.bdi(card.title),
            type="button",
            on_click=NeedsState.add(card.id),
            class_name="v-offer",
        )
    )


def _picker() -> rx.Component:
    found: Any = NeedsState.found
    return rx.popover.root(
        rx.popover.trigger(
            rx.button(
                "Add",
                variant="soft",
                size="1",
                aria_label="Wait for another card",
                custom_attrs={OPENS: rx.cond(NeedsState.picking, rx.Var("undefined"), "")},
            )
        ),
        rx.popover.content(
            rx.el.input(
                type="search",
                placeholder="A card's name or words of it",
                aria_label="Find a card",
                auto_focus=True,
                on_change=NeedsState.seek.debounce(200),
                class_name="v-input",
            ),
            rx.cond(
                found.length() > 0,
                rx.el.ul(rx.foreach(found, _offer), class_name="v-offers"),
                rx.cond(NeedsState.sought != "", rx.el.p("No card is like that.", class_name="v-quiet")),
            ),
            width="min(360px, calc(100vw - 24px))",
            aria_label="Cards to wait for",
        ),
        open=NeedsState.picking,
        on_open_change=NeedsState.pick,
    )


def needs_list(needs: Any, board: Any, can_edit: Any) -> rx.Component:
    """What has to be done before the card that the address names.

    Args:
        needs: The var with the list of `Needed`.
        board: The address of the project.
        can_edit: Whether the reader may change it.
    """
    rows = rx.foreach(needs, lambda need: _row(need, board, can_edit))
    return rx.cond(
        (needs.length() > 0) | can_edit,
        rx.el.section(
            rx.el.div(rx.el.h3("Blocked by"), rx.cond(can_edit, _picker()), class_name="v-row"),
            rx.cond(
                needs.length() > 0,
                rx.el.ul(rows, class_name="v-needs-list"),
                rx.el.p("Nothing.", class_name="v-quiet"),
            ),
            aria_label="Blocked by",
            class_name="v-part-of-card",
        ),
    )
