"""What people write on a card beside its title: one entry a field, from which all forms and lists are made.

The dialog of a new card, the form and the list in a card's drawer, the two sides of a conflict and the
line of marks on the card's face follow these entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import Priority
from vibe_app.board.rules import parse_priority
from vibe_app.web.forms import split_labels, words
from vibe_app.web.kit.parts import choice, field
from vibe_app.web.kit.status import PRIORITY_LOOKS


@dataclass(frozen=True)
class CardField:
    """A field of a card.

    Args:
        name: As the card's models have it.
        label: As people see it.
        control: Makes the control of a form, given `name`, `default_value` and `size`.
        read: Makes the value of what the control sends; may raise `InvalidRequest`.
        write: Makes the text with which the control begins.
        told: Says the value to people; the same text where it is not given.
        hint: A line of help below the control.
        wide: Has a line of the form for itself, and of the drawer.
        on_face: Says of the value what the face of the card shows, empty for nothing.
    """

    name: str
    label: str
    control: Callable[..., rx.Component]
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str
    told: Callable[[Any], str] | None = None
    hint: str = ""
    wide: bool = False
    on_face: Callable[[Any], str] | None = None

    def say(self, value: Any) -> str:
        """Say the value to people."""
        return (self.told or self.write)(value)


def _description(**props: Any) -> rx.Component:
    return rx.text_area(rows="8", resize="vertical", **props)


def _priority(**props: Any) -> rx.Component:
    return choice("Priority", {key: look.word for key, look in reversed(PRIORITY_LOOKS.items())}, **props)


def _labels(**props: Any) -> rx.Component:
    return rx.input(placeholder="docs, api", auto_complete="off", **props)


FIELDS = (
    CardField(
        "description",
        "Description",
        _description,
        hint="Markdown. What should be there when it is done?",
        wide=True,
    ),
    CardField(
        "priority",
        "Priority",
        _priority,
        read=lambda text: parse_priority(text or Priority.NORMAL),
        told=lambda value: PRIORITY_LOOKS[value].word,
    ),
    CardField("labels", "Labels", _labels, read=split_labels, write=", ".join),
)
LABELS: Mapping[str, str] = {"title": "Title", **{each.name: each.label for each in FIELDS}}


def values_of(task: Any) -> dict[str, Any]:
    """Return the values of a card's fields."""
    return {each.name: getattr(task, each.name) for each in FIELDS}


def texts_of(task: Any) -> dict[str, str]:
    """Return the texts with which the controls of a form begin."""
    return {each.name: each.write(getattr(task, each.name)) for each in FIELDS}


def facts_of(task: Any) -> dict[str, str]:
    """Return what is said to people of each field that has no line for itself."""
    return {each.name: each.say(getattr(task, each.name)) for each in FIELDS if not each.wide}


def marks_of(task: Any) -> list[str]:
    """Return what the face of a card says of its fields; of the long ones it knows nothing."""
    marks = (each.on_face(getattr(task, each.name)) for each in FIELDS if each.on_face is not None)
    return [mark for mark in marks if mark]


def said(name: str, value: Any) -> str:
    """Say the value of a field, or of the title."""
    return next((each.say(value) for each in FIELDS if each.name == name), str(value))


def read_form(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the fields that a form has.

    Raises:
        InvalidRequest: One of them cannot be accepted.
    """
    return {each.name: each.read(words(form, each.name)) for each in FIELDS if each.name in form}


def controls(begin: Callable[[str], Any], wide: Mapping[str, Any] | None = None) -> list[rx.Component]:
    """Make the controls of a form: what has a line for itself, then the others side by side.

    Args:
        begin: Returns with what the control of a field begins.
        wide: More properties of those that have a line for themselves.
    """

    def control(each: CardField, **more: Any) -> rx.Component:
        made = each.control(name=each.name, default_value=begin(each.name), size="3", **more)
        return field(each.label, made, each.hint)

    return [
        *(control(each, **(wide or {})) for each in FIELDS if each.wide),
        rx.el.div(*(control(each) for each in FIELDS if not each.wide), class_name="v-two"),
    ]
