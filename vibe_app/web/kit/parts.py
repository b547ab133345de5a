"""Small parts that many pages are made of: buttons, fields, empty states, skeletons, questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx


def icon_button(icon: str, label: str, **props: Any) -> rx.Component:
    """A square button that shows an icon and says `label` on hover and to screen readers."""
    return rx.el.button(
        rx.icon(icon, size=18, aria_hidden="true"),
        type="button",
        aria_label=label,
        title=label,
        class_name="v-icon-button",
        **props,
    )


def field(label: str, control: rx.Component, hint: str = "") -> rx.Component:
    """A control under its label, with a line of help if any."""
    return rx.el.label(
        rx.el.span(label, class_name="v-label-text"),
        control,
        rx.el.span(hint, class_name="v-hint") if hint else rx.fragment(),
        class_name="v-field",
    )


def choice(label: str, values: Mapping[str, str], **props: Any) -> rx.Component:
    """A select with a name for screen readers, which `rx.select` itself gives its button no way to have.

    Args:
        label: What is chosen.
        values: The words shown, by value.
        props: For the select.
    """
    return rx.select.root(
        rx.select.trigger(aria_label=label),
        rx.select.content(*[rx.select.item(words, value=value) for value, words in values.items()]),
        **props,
    )


def native_choice(label: str, values: Mapping[str, str], **props: Any) -> rx.Component:
    """A select of the browser itself: a form holds it like any field, and CSS can tell what is chosen."""
    options = [rx.el.option(words, value=value) for value, words in values.items()]
    return rx.el.select(*options, aria_label=label, class_name="v-input", **props)


def empty_state(icon: str, title: str, text: str, *actions: rx.Component) -> rx.Component:
    """What a page says while there is nothing on it: the next step, and a button for it."""
    return rx.el.div(
        rx.icon(icon, size=32, aria_hidden="true", class_name="v-empty-icon"),
        rx.el.h2(title),
        rx.el.p(text),
        rx.el.div(*actions, class_name="v-row"),
        class_name="v-empty",
    )


def foldable(text: rx.Component, long: Any) -> rx.Component:
    """A text; of a long one the beginning, until it is opened."""
    return rx.cond(
        long,
        rx.el.details(
            rx.el.summary(
                rx.el.span("Show all of it", class_name="v-when-shut"),
                rx.el.span("Show less", class_name="v-when-open"),
            ),
            text,
            class_name="v-long",
        ),
        text,
    )


def skeleton(lines: int, height: int = 20) -> rx.Component:
    """Grey lines where text will be."""
    return rx.el.div(
        *[
            rx.el.div(
                class_name="v-skeleton", style={"height": f"{height}px", "width": f"{(95, 80, 88)[i % 3]}%"}
            )
            for i in range(lines)
        ],
        class_name="v-skeletons",
        aria_hidden="true",
    )


def ask(
    title: rx.Var[str] | str,
    text: rx.Component | rx.Var[str] | str,
    verb: str,
    on_confirm: Any,
    *,
    trigger: rx.Component | None = None,
    **props: Any,
) -> rx.Component:
    """A question before something is lost.

    Args:
        title: The question, short.
        text: What will be lost.
        verb: What the confirming button says.
        on_confirm: The event that does it.
        trigger: What opens it; without one, give `open` and `on_open_change`.
        props: For the dialog.
    """
    return rx.alert_dialog.root(
        rx.alert_dialog.trigger(trigger) if trigger is not None else rx.fragment(),
        rx.alert_dialog.content(
            rx.alert_dialog.title(title, size="4"),
            rx.alert_dialog.description(text, size="2"),
            rx.el.div(
                rx.alert_dialog.cancel(rx.button("Cancel", variant="soft", color_scheme="gray")),
                rx.alert_dialog.action(rx.button(verb, color_scheme="red", on_click=on_confirm)),
                class_name="v-row v-end",
            ),
            max_width="440px",
        ),
        **props,
    )
