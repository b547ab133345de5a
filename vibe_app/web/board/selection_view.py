"""The bar of the selected cards, and what it asks."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.moving import MoveState
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.parts import field, icon_button


def _button(label: str, icon: str, on_click: Any, **props: Any) -> rx.Component:
    return rx.button(
        rx.icon(icon, size=15, aria_hidden="true"),
        rx.el.span(label, class_name="v-wide"),
        aria_label=label,
        variant="soft",
        color_scheme="gray",
        on_click=on_click,
        **props,
    )


def _label_dialog() -> rx.Component:
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Label the selected cards", size="4"),
            rx.dialog.description("They keep the labels that they have.", size="2"),
            rx.el.form(
                field(
                    "Labels", rx.input(name="labels", placeholder="docs, api", auto_focus=True, required=True)
                ),
                rx.el.div(
                    rx.dialog.close(rx.button("Cancel", type="button", variant="soft", color_scheme="gray")),
                    rx.button("Label", type="submit"),
                    class_name="v-row v-end",
                ),
                on_submit=SelectionState.put_label,
            ),
            max_width="400px",
        ),
        open=SelectionState.labelling,
        on_open_change=SelectionState.ask_label,
    )


def selection_bar() -> rx.Component:
    """What can be done with the selected cards; nothing while none is selected."""
    chosen: Any = SelectionState.chosen
    count = chosen.length()
    return rx.cond(
        count > 0,
        rx.el.div(
            _label_dialog(),
            rx.el.span(count, " selected", class_name="v-digits", role="status"),
            rx.cond(~BoardState.archived, _button("Move to…", "arrow-right-left", MoveState.ask(chosen[0]))),
            rx.cond(
                ~BoardState.archived,
                _button("Label…", "tag", SelectionState.ask_label(True), custom_attrs={OPENS: ""}),
            ),
            rx.cond(
                BoardState.archived,
                _button("Bring back", "archive-restore", SelectionState.archive),
                _button("Archive", "archive", SelectionState.archive),
            ),
            _button("Delete", "trash-2", SelectionState.delete),
            icon_button("x", "Select nothing", on_click=SelectionState.clear),
            role="toolbar",
            aria_label="Selected cards",
            class_name="v-selection",
        ),
    )
