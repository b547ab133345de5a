"""What people write on a card beside its title: one entry a field, from which all forms and lists are made.

The dialog of a new card, the form and the list in a card's drawer, the two sides of a conflict and the
line of marks on the card's face follow these entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.board.lifecycle import Priority
from vibe_app.board.rules import parse_priority
from vibe_app.errors import InvalidRequest
from vibe_app.web.card.people import SHOWN, PeopleState
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
        get: Takes the value from a card; the attribute of its name where it is not given.
        fact: Says of a whole card what people read in the drawer, where the value alone does not.
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
    get: Callable[[Any], Any] | None = None
    fact: Callable[[Any], str] | None = None

    def value(self, task: Any) -> Any:
        """Return the value that a card has."""
        return self.get(task) if self.get is not None else getattr(task, self.name)

    def say(self, value: Any) -> str:
        """Say the value to people."""
        return (self.told or self.write)(value)


def _description(**props: Any) -> rx.Component:
    return rx.text_area(rows="8", resize="vertical", dir="auto", **props)


def _priority(**props: Any) -> rx.Component:
    return choice("Priority", {key: look.word for key, look in reversed(PRIORITY_LOOKS.items())}, **props)


def _labels(**props: Any) -> rx.Component:
    return rx.input(placeholder="docs, api", auto_complete="off", **props)


def _assignee(**props: Any) -> rx.Component:
    begin = props.pop("default_value")
    people = rx.foreach(PeopleState.people, lambda person: rx.el.option(person.name, value=person.id))
    many = PeopleState.total > SHOWN
    find = rx.el.input(
        type="search",
        placeholder="Find a person",
        aria_label="Find a person",
        on_change=PeopleState.find.debounce(150),  # pyright: ignore[reportFunctionMemberAccess]
        class_name="v-input",
    )
    chosen = rx.el.select(
        rx.el.option("Nobody", value=""),
        # Of many, who was chosen before may not be among those who are offered.
        rx.cond(many & (begin != ""), rx.el.option("The same person as before", value=begin)),
        people,
        name=props["name"],
        # Its options come after it; only then can it show which of them is meant.
        key=rx.cond(PeopleState.loaded, "there", "to come"),
        default_value=begin,
        aria_label="Assignee",
        on_change=PeopleState.choose,
        class_name="v-input",
    )
    return rx.fragment(rx.cond(many, find), chosen)


def _due(**props: Any) -> rx.Component:
    return rx.el.input(
        type="date", name=props["name"], default_value=props["default_value"], class_name="v-input"
    )


def _person(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidRequest("Choose one of the people of this project.") from None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidRequest("Write the date as year, month and day: 2026-12-24.") from None


def _assigned(task: Any) -> Any:
    person = getattr(task, "assignee", None)
    return person.id if person is not None else getattr(task, "assignee_id", None)


def _name(task: Any) -> str:
    return task.assignee.name if task.assignee is not None else ""


def day_words(value: date | None) -> str:
    """Write a day as people say it: `24 Dec 2026`; empty for none."""
    return f"{value.day} {value:%b %Y}" if value else ""


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
    CardField(
        "assignee_id",
        "Assignee",
        _assignee,
        read=_person,
        write=lambda value: str(value or ""),
        get=_assigned,
        fact=_name,
    ),
    CardField(
        "due_on",
        "Due",
        _due,
        read=_day,
        write=lambda value: value.isoformat() if value else "",
        told=day_words,
    ),
)
LABELS: Mapping[str, str] = {"title": "Title", **{each.name: each.label for each in FIELDS}}


def values_of(task: Any) -> dict[str, Any]:
    """Return the values of a card's fields."""
    return {each.name: each.value(task) for each in FIELDS}


def value_of(name: str, task: Any) -> Any:
    """Return the value of one of a card's fields, or its title."""
    field = next((each for each in FIELDS if each.name == name), None)
    return field.value(task) if field is not None else getattr(task, name)


def texts_of(task: Any) -> dict[str, str]:
    """Return the texts with which the controls of a form begin."""
    return {each.name: each.write(each.value(task)) for each in FIELDS}


def facts_of(task: Any) -> dict[str, str]:
    """Return what is said to people of each field that has no line for itself."""
    return {
        each.name: each.fact(task) if each.fact is not None else each.say(each.value(task))
        for each in FIELDS
        if not each.wide
    }


def marks_of(task: Any) -> list[str]:
    """Return what the face of a card says of its fields; of the long ones it knows nothing."""
    marks = (each.on_face(each.value(task)) for each in FIELDS if each.on_face is not None)
    return [mark for mark in marks if mark]


def said(name: str, value: Any, names: Mapping[str, str]) -> str:
    """Say the value of a field, or of the title; `names` has those of people by their id."""
    if isinstance(value, UUID):
        return names.get(str(value), "somebody who is not of this project any more")
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
