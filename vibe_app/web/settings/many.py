"""Lists of people that may be long: the first of them, and a field that finds the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import reflex as rx

from vibe_app.web.kit.numbers import thousands

SHOWN = 100
"""People that a list shows at once."""


class Somebody(Protocol):
    """A person as a list shows one."""

    @property
    def name(self) -> str:
        """What they are called."""
        ...

    @property
    def email(self) -> str:
        """Their address."""
        ...


Row = TypeVar("Row", bound=Somebody)


def fitting(people: Iterable[Row], text: str) -> list[Row]:
    """Return the people whose name or address contains a text, in small letters or capitals."""
    letters = text.strip().casefold()
    return [each for each in people if letters in each.name.casefold() or letters in each.email.casefold()]


def finder(label: str, total: Any, shown: Any, on_find: Any) -> rx.Component:
    """What finds the people of a list that shows not all of them; nothing where it does.

    Args:
        label: What the field is called.
        total: How many there are.
        shown: How many the list shows.
        on_find: Is given what is typed.
    """
    return rx.cond(
        total > SHOWN,
        rx.el.div(
            rx.input(type="search", placeholder=label, aria_label=label, on_change=on_find.debounce(150)),
            rx.el.p(
                thousands(shown),
                " of ",
                thousands(total),
                " are listed. Write a name to find others.",
                role="status",
                class_name="v-hint",
            ),
            class_name="v-stack",
        ),
    )
