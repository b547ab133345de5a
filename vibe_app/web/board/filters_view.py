"""The row above the columns that chooses which cards are shown."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.filters import ANY
from vibe_app.web.board.reading import read_labels
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.attention import thousands
from vibe_app.web.kit.hooks import Hooked, js
from vibe_app.web.kit.status import PRIORITY_LOOKS
from vibe_app.web.place import project_here

SHOWN_LABELS = 50
"""Labels that are listed at once; the search finds the others."""


class LabelsState(rx.State):
    """The labels that are listed, and whether the list is open."""

    labels: list[dict[str, str | int]] = []
    opened: bool = False

    @acts
    async def set_opened(self, actor: Actor, opened: bool):
        """Open or close the list, which is read as it opens."""
        self.opened = opened
        if opened:
            self.labels = await read_labels(actor, project_here(self), "", SHOWN_LABELS)

    @acts
    async def find(self, actor: Actor, text: str):
        """List only the labels that contain a text."""
        self.labels = await read_labels(actor, project_here(self), text[:200], SHOWN_LABELS)

    @rx.event
    def choose(self, label: str):
        """Show only the cards with a label."""
        self.opened = False
        return BoardState.choose("label", label)


def _labels() -> rx.Component:
    option = rx.foreach(
        LabelsState.labels,
        lambda each: rx.el.button(
            rx.el.span(each["name"], class_name="v-grow", dir="auto"),
            rx.el.span(thousands(each["count"]), class_name="v-quiet"),
            type="button",
            role="option",
            aria_selected=BoardState.label == each["name"],
            on_click=LabelsState.choose(each["name"]),
            class_name="v-menu-item",
        ),
    )
    return rx.popover.root(
        rx.popover.trigger(
            rx.el.button(
                rx.cond(BoardState.label == ANY, "Any label", BoardState.label),
                rx.icon("chevron-down", size=14, aria_hidden="true"),
                type="button",
                role="combobox",
                aria_label="Label",
                aria_expanded=LabelsState.opened,
                class_name="v-choice",
                custom_attrs={
                    "data-set": rx.cond(BoardState.label == ANY, "false", "true"),
                    OPENS: rx.cond(LabelsState.opened, rx.Var("undefined"), ""),
                },
            )
        ),
        rx.popover.content(
            rx.el.input(
                type="search",
                placeholder="Find a label",
                aria_label="Find a label",
                auto_focus=True,
                on_change=LabelsState.find.debounce(120),  # pyright: ignore[reportFunctionMemberAccess]
                class_name="v-menu-search",
            ),
            rx.el.div(
                rx.el.button(
                    "Any label",
                    type="button",
                    role="option",
                    aria_selected=BoardState.label == ANY,
                    on_click=LabelsState.choose(ANY),
                    class_name="v-menu-item",
                ),
                option,
                role="listbox",
                aria_label="Labels",
                class_name="v-menu v-menu-long",
            ),
            width="280px",
            padding="8px",
            aria_label="Labels to choose from",
        ),
        open=LabelsState.opened,
        on_open_change=LabelsState.set_opened,
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
        "const field = () => document.querySelector('[data-search]') ?? {};",
        "const asked = () => new URLSearchParams(location.search).get('q') ?? '';",
        "useWindowEvent('popstate', () => {field().value = asked();});",
    )
    return Hooked.create(runs=js("null", hooks=hooks))


def filters_bar() -> rx.Component:
    """The row."""
    people: Any = BoardState.people
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
        rx.cond(
            people.length() > 0,
            _choice(
                "Person",
                "Anybody",
                "person",
                BoardState.person,
                rx.foreach(people, lambda each: rx.select.item(each["name"], value=each["id"])),
            ),
        ),
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
