"""Saving a form of a project's settings: only what was changed, and never over what another wrote.

A form carries, as one hidden field, the texts that it was filled with. Where a field that the person
changed is another by now, nothing is saved: both texts stand above the form, which keeps what was typed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.place import known
from vibe_app.wiring import services

SEEN = "seen"
"""The hidden field."""
Texts = dict[str, str]


@dataclass(frozen=True)
class Form:
    """A form of a project's settings.

    Attributes:
        name: Which one it is.
        labels: What each field is called, by its name.
        texts: Returns what the fields hold of a project.
        patch: Returns what to write of the fields that were changed.
        kept: Is given a State of the tab, who asks and the project as it is by now; fills the form anew and
            returns the events that follow.
    """

    name: str
    labels: Mapping[str, str]
    texts: Callable[[ProjectView], Texts]
    patch: Callable[[Texts], ProjectPatch]
    kept: Callable[[Any, Actor, ProjectView], Awaitable[Any]]


FORMS: dict[str, Form] = {}
"""Every form, by its name."""


@dataclass
class BothTexts:
    """A field that two people changed."""

    name: str
    mine: str
    theirs: str


class ConflictState(rx.State):
    """What stands above a form that was not saved."""

    project_id: str = ""
    form: str = ""
    rows: list[BothTexts] = []
    _typed: Texts = {}

    @acts
    async def keep_mine(self, actor: Actor):
        """Save what this person typed over what is there."""
        form = FORMS.get(self.form)
        if form is None:  # the second half of a double click
            return None
        project_id, changed = known(self.project_id), dict(self._typed)
        self.reset()
        project = await services().projects.change(actor, project_id, form.patch(changed))
        return await form.kept(self, actor, project)

    @acts
    async def take_theirs(self, actor: Actor):
        """Fill the form with what is there."""
        form = FORMS.get(self.form)
        if form is None:
            return
        project = await services().projects.read(actor, known(self.project_id))
        self.reset()
        await form.kept(self, actor, project)


async def keep(state: rx.State, actor: Actor, form: Form, typed: Texts, sent: Mapping[str, Any]) -> Any:
    """Save what the person changed in a form, or show both texts.

    Args:
        state: The form's State, with a `project_id`.
        actor: Who asks.
        form: Which form.
        typed: The fields, by name.
        sent: What the browser sent, with the hidden field in it. It is no more trusted than the rest.

    Returns:
        The events that follow.
    """
    conflict = await state.get_state(ConflictState)
    conflict.reset()
    project_id = known(getattr(state, "project_id", ""))
    before = _seen(sent)
    changed = {name: text for name, text in typed.items() if text != before.get(name)}
    theirs = form.texts(await services().projects.read(actor, project_id))
    clash = [name for name, text in changed.items() if theirs[name] not in (before.get(name), text)]
    if clash:
        conflict.project_id, conflict.form, conflict._typed = str(project_id), form.name, changed
        conflict.rows = [BothTexts(form.labels[name], changed[name], theirs[name]) for name in clash]
        return None
    project = await services().projects.change(actor, project_id, form.patch(changed))
    return await form.kept(state, actor, project)


def field_texts(form: Mapping[str, Any], *names: str) -> Texts:
    """Return fields of a form as they are compared: with one kind of line end, without spaces around."""
    return {name: words(form, name).replace("\r\n", "\n").strip() for name in names}


def note_seen(state: Any, form: Form, project: ProjectView) -> None:
    """Note what a form is filled with, as `seen`, and have it begin anew where that is something else.

    Args:
        state: The form's State; `shown` is the key of the form, and changes when it begins anew.
        form: Which form.
        project: What fills it.
    """
    holds = json.dumps(form.texts(project))
    if holds != state.seen:
        state.seen, state.shown = holds, str(int(state.shown) + 1)


def _seen(sent: Mapping[str, Any]) -> Texts:
    try:
        told: Any = json.loads(str(sent.get(SEEN, "")))
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(text) for name, text in told.items()} if isinstance(told, dict) else {}


def seen_field(value: Any) -> rx.Component:
    """Carry what the form was filled with."""
    return rx.el.input(type="hidden", name=SEEN, value=value, read_only=True)


def conflict_banner(form: Form) -> rx.Component:
    """Show both texts of each field that somebody else changed meanwhile; nothing where there is none."""
    return rx.cond(
        ConflictState.form == form.name,
        rx.el.section(
            rx.el.h3("Somebody changed this while you were writing"),
            rx.el.p("Nothing was saved. What you typed is still in the form.", role="alert"),
            rx.foreach(ConflictState.rows, _both),
            rx.el.div(
                rx.button("Keep mine", type="button", on_click=ConflictState.keep_mine),
                rx.button(
                    "Take theirs",
                    type="button",
                    variant="soft",
                    color_scheme="gray",
                    on_click=ConflictState.take_theirs,
                ),
                class_name="v-row",
            ),
            aria_label="Two versions",
            class_name="v-both",
        ),
    )


def _both(row: Any) -> rx.Component:
    return rx.el.div(
        rx.el.h4(row.name),
        rx.el.div(
            _side("Yours", row.name, row.mine), _side("Theirs", row.name, row.theirs), class_name="v-two"
        ),
        role="group",
        aria_label=row.name,
    )


def _side(head: str, name: Any, text: Any) -> rx.Component:
    return rx.el.div(
        rx.el.span(head, class_name="v-quiet"),
        rx.el.div(
            rx.cond(text != "", text, "–"),
            tab_index=0,
            role="region",
            aria_label=f"{head}: {name}",
            class_name="v-pre",
        ),
    )
