"""The row above the columns that chooses which cards are shown."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.filters import ANY
from vibe_app.web.board.reading import read_labels, read_people
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.attention import thousands
from vibe_app.web.kit.hooks import Hooked, js
from vibe_app.web.kit.status import PRIORITY_LOOKS
from vibe_app.web.place import project_here

SHOWN = 50
"""Labels, or people, that are listed at once; the search finds the others."""


class LabelsState(rx.State):
    """The labels that are listed, and whether the list is open."""

    labels: list[dict[str, str | int]] = []
    opened: bool = False

    @acts
    async def set_opened(self, actor: Actor, opened: bool):
        """Open or close the list, which is read as it opens."""
        self.opened = opened
        if opened:
            self.labels = await read_labels(actor, project_here(self), "", SHOWN)

    @acts
    async def find(self, actor: Actor, text: str):
        """List only the labels that contain a text."""
        self.labels = await read_labels(actor, project_here(self), text[:200], SHOWN)

    @rx.event
    def choose(self, label: str):
        """Show only the cards with a label."""
        self.opened = False
        return BoardState.choose("label", label)


class PersonsState(rx.State):
    """The people who are listed, and whether the list is open."""

    people: list[dict[str, str]] = []
    opened: bool = False

    @acts
    async def set_opened(self, actor: Actor, opened: bool):
        """Open or close the list, which is read as it opens."""
        self.opened = opened
        if opened:
            self.people = await read_people(actor, project_here(self), "", SHOWN)

    @acts
    async def find(self, actor: Actor, text: str):
        """List only the people whose names contain a text."""
        self.people = await read_people(actor, project_here(self), text[:200], SHOWN)

    @rx.event
    def choose(self, person: str):
        """Show only the cards of a person."""
        self.opened = False
        return BoardState.choose("person", person)


def _option(words: Any, chosen: Any, on_click: Any, *more: rx.Component) -> rx.Component:
    return rx.el.button(
        rx.el.span(words, class_name="v-grow", dir="auto"),
        *more,
        type="button",
        role="option",
        aria_selected=chosen,
        on_click=on_click,
        class_name="v-menu-item",
    )


def _labels() -> rx.Component:
    options = rx.foreach(
        LabelsState.labels,
        lambda each: _option(
            each["name"],
            BoardState.label == each["name"],
            LabelsState.choose(each["name"]),
            rx.el.span(thousands(each["count"]), class_name="v-quiet"),
        ),
    )
    return _finding(
        "Label",
        "Labels",
        "Any label",
        "Find a label",
        BoardState.label,
        BoardState.label,
        LabelsState,
        options,
    )


def _persons() -> rx.Component:
    options = rx.foreach(
        PersonsState.people,
        lambda each: _option(each["name"], BoardState.person == each["id"], PersonsState.choose(each["id"])),
    )
    return _finding(
        "Person",
        "People",
        "Anybody",
        "Find a person",
        BoardState.person,
        BoardState.whom,
        PersonsState,
        options,
    )


def _finding(
    label: str, many: str, first: str, find: str, chosen: Any, words: Any, state: Any, options: rx.Component
) -> rx.Component:
    """A choice among more than can be listed.

    Args:
        label: What it is called.
        many: What its list is called.
        first: What it says where nothing is chosen.
        find: What the field is called that finds more.
        chosen: What is chosen.
        words: How that is called.
        state: Whether its list is open; what it lists.
        options: Those.
    """
    return rx.popover.root(
        rx.popover.trigger(
            rx.el.button(
                rx.cond(chosen == ANY, first, words),
                rx.icon("chevron-down", size=14, aria_hidden="true"),
                type="button",
                role="combobox",
                aria_label=label,
                aria_expanded=state.opened,
                class_name="v-choice",
                custom_attrs={
                    "data-set": rx.cond(chosen == ANY, "false", "true"),
                    OPENS: rx.cond(state.opened, rx.Var("undefined"), ""),
                },
            )
        ),
        rx.popover.content(
            rx.el.input(
                type="search",
                placeholder=find,
                aria_label=find,
                auto_focus=True,
                on_change=state.find.debounce(120),
                class_name="v-menu-search",
            ),
            rx.el.div(
                _option(first, chosen == ANY, state.choose(ANY)),
                options,
                role="listbox",
                aria_label=many,
                class_name="v-menu v-menu-long",
            ),
            width="280px",
            padding="8px",
            aria_label=f"{many} to choose from",
        ),
        open=state.opened,
        on_open_change=state.set_opened,
    )


def _choice(label: str, first: str, name: str, value: Any, *items: rx.Component) -> rx.Component:
    return rx.select.root(
        rx.select.trigger(aria_label=label, variant="soft", color_scheme="gray"),
        rx.select.content(rx.select.item(first, value=ANY), *items),
        value=value,
        on_change=lambda chosen: BoardState.choose(name, chosen),
    )


def _toggle(words: str, name: str, on: Any, icon: str) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=14, aria_hidden="true"),
        words,
        type="button",
        aria_pressed=rx.cond(on, "true", "false"),
        on_click=BoardState.toggle(name),
        class_name="v-choice",
        custom_attrs={"data-set": rx.cond(on, "true", "false")},
    )


def _follows_back() -> rx.Component:
    """Have the search say what the address says where the browser goes back: it is a person's to type in."""
    hooks = (
        "const asked = () => new URLSearchParams(location.search).get('q') ?? '';",
        "const follow = (field) => {field && (field.value = asked());};",
        "useWindowEvent('popstate', () => follow(document.querySelector('[data-search]')));",
    )
    return Hooked.create(runs=js("null", hooks=hooks))


def filters_bar() -> rx.Component:
    """The row."""
    return rx.el.div(
        _follows_back(),
        rx.el.div(
            rx.icon("search", size=15, aria_hidden="true"),
            rx.el.input(
                type="search",
                placeholder="Search tasks",
                aria_label="Search tasks",
                default_value=BoardState.search,
                key=f"{BoardState.project_id}{BoardState.loaded}",
                on_change=BoardState.find.debounce(150),  # pyright: ignore[reportFunctionMemberAccess]
                custom_attrs={"data-search": "true"},
            ),
            class_name="v-search",
        ),
        _choice(
            "Priority",
            "Any priority",
            "priority",
            BoardState.priority,
            *[rx.select.item(look.word, value=key) for key, look in reversed(PRIORITY_LOOKS.items())],
        ),
        _labels(),
        _persons(),
        _toggle("Needs me", "needs", BoardState.needs, "bell-dot"),
        _toggle("Archive", "archived", BoardState.archived, "archive"),
        rx.cond(
            BoardState.filtered,
            rx.el.div(
                rx.el.span(
                    thousands(BoardState.shown),
                    " of ",
                    thousands(BoardState.total),
                    " tasks",
                    class_name="v-quiet v-digits",
                    role="status",
                ),
                rx.button(
                    "Show all", variant="ghost", color_scheme="gray", on_click=BoardState.clear_filters
                ),
                class_name="v-row v-found",
            ),
        ),
        class_name="v-bar",
    )
