"""The list of keys."""

from __future__ import annotations

import reflex as rx

_KEYS = [
    ("Ctrl K", "Go anywhere, or have something done"),
    ("n", "New task"),
    ("/", "Search"),
    ("← ↑ ↓ →", "Go between cards"),
    ("Enter", "Open the card"),
    ("e", "Execute the card"),
    ("s", "Stop its run"),
    ("m", "Move the card, or all that are selected, to a column"),
    ("x", "Select the card; a click with Shift selects to there"),
    ("l", "Label the card, or all that are selected"),
    ("a", "Archive the card, or all that are selected"),
    ("Delete", "Delete the card, or all that are selected"),
    ("z", "Take back what was moved, archived or deleted"),
    ("Space", "Pick up the card; the arrows move it, Space drops it"),
    ("j k", "Go through the changed lines of a card"),
    ("c", "Comment on the line"),
    ("Ctrl Enter", "Send what is being typed"),
    ("?", "Show this list"),
    ("Esc", "Close one layer"),
]


class HelpState(rx.State):
    """Whether the list is shown. A State of its own, so that nothing else is drawn anew with it."""

    helping: bool = False

    @rx.event
    def set_helping(self, helping: bool):
        """Show or hide the list."""
        self.helping = helping


def keyboard_help() -> rx.Component:
    """The dialog with the list."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Keyboard", size="4"),
            rx.dialog.description("These work wherever nothing is being typed.", size="2"),
            rx.el.dl(
                *[
                    part
                    for keys, words in _KEYS
                    for part in (rx.el.dt(rx.code(keys, size="2", color_scheme="gray")), rx.el.dd(words))
                ],
                class_name="v-keys",
            ),
            rx.el.div(rx.dialog.close(rx.button("Close", variant="soft")), class_name="v-row v-end"),
            max_width="480px",
        ),
        open=HelpState.helping,
        on_open_change=HelpState.set_helping,
    )
