"""The frame of the pages for whoever is not signed in."""

from __future__ import annotations

from typing import Any

import reflex as rx


def entrance(title: str, lead: Any, *body: rx.Component) -> rx.Component:
    """A page for whoever is not signed in: a mark, a heading, a sentence, and what belongs to them."""
    return rx.el.main(
        rx.el.div(
            rx.el.div(rx.icon("zap", size=20, aria_hidden="true"), "Vibe", class_name="v-brand"),
            rx.el.h1(title, class_name="v-title"),
            rx.el.p(lead, class_name="v-lead"),
            *body,
            class_name="v-entrance-form",
        ),
        rx.el.aside(
            rx.el.div(
                rx.el.p("What happens here", class_name="v-entrance-head"),
                rx.el.ol(*[_step(icon, words) for icon, words in _STEPS], class_name="v-entrance-steps"),
            ),
            class_name="v-entrance-aside",
        ),
        class_name="v-entrance",
    )


_STEPS = (
    ("square-pen", "Write a card: what is to be done, in your own words."),
    ("play", "Execute it. An agent works in the project's own workspace; watch it or do not."),
    ("file-diff", "Read what it changed, say what to do differently, accept it."),
)


def _step(icon: str, words: str) -> rx.Component:
    return rx.el.li(rx.icon(icon, size=20, aria_hidden="true"), rx.el.span(words))
