"""How a card's Overview looks: what it says, what came of it, what it waits for, and its form."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.board.face import request_chip
from vibe_app.web.card.activity_view import activity_list
from vibe_app.web.card.drawer import DrawerState, draft_name
from vibe_app.web.card.fields import FIELDS, CardField, controls
from vibe_app.web.card.needs import needs_list
from vibe_app.web.card.shelf import leave_buttons
from vibe_app.web.kit.draft import draft, typed
from vibe_app.web.kit.markdown import markdown
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.parts import foldable

LABELS = 6
"""Labels that stand there at once."""


def _fact(field: CardField) -> rx.Component:
    words = DrawerState.facts[field.name]
    return rx.el.div(rx.el.dt(field.label), rx.el.dd(rx.cond(words != "", words, "–")))


def _labels() -> rx.Component:
    """Its labels, of many the first; the others open below."""
    shown: Any = DrawerState.labels

    def chip(label: Any) -> rx.Component:
        return rx.el.span(label, class_name="v-label", title=label, dir="auto")

    rest = rx.el.details(
        rx.el.summary(
            rx.el.span(f"+{shown.length() - LABELS}", class_name="v-when-shut v-digits"),
            rx.el.span("Show fewer", class_name="v-when-open"),
            aria_label=f"{shown.length() - LABELS} more labels",
        ),
        rx.foreach(shown[LABELS:], chip),
        class_name="v-more-labels",
    )
    return rx.el.div(
        rx.el.dt("Labels"),
        rx.el.dd(
            rx.cond(shown.length() > 0, rx.foreach(shown[:LABELS], chip), "–"),
            rx.cond(shown.length() > LABELS, rest),
            class_name="v-labels",
        ),
        class_name="v-fact-wide",
    )


def _last_run() -> rx.Component:
    """What came of the newest run, in the agent's own words."""
    return rx.cond(
        DrawerState.ran_at > 0,
        rx.el.section(
            rx.el.h3("Last run"),
            rx.el.p(
                rx.cond(DrawerState.ran_by != "", rx.fragment(DrawerState.ran_by, ", "), rx.fragment()),
                ago(DrawerState.ran_at),
                rx.cond(DrawerState.words != "", rx.fragment(" · ", DrawerState.words)),
                class_name=rx.cond(DrawerState.run == "failed", "v-error", "v-quiet"),
            ),
            rx.cond(DrawerState.summary != "", markdown(DrawerState.summary)),
            aria_label="Last run",
            class_name="v-part-of-card",
        ),
    )


def _about() -> rx.Component:
    """What the card says, and what came of it."""
    edit = rx.cond(
        DrawerState.can_edit, rx.button("Edit", variant="soft", size="1", on_click=DrawerState.edit(True))
    )
    archived = rx.cond(
        DrawerState.archived,
        rx.el.p("This card is in the archive.", role="status", class_name="v-sentence v-gray"),
    )
    return rx.fragment(
        archived,
        _discarded(),
        rx.el.section(
            rx.el.div(rx.el.h3("Description"), edit, class_name="v-row"),
            rx.cond(
                DrawerState.description != "",
                foldable(markdown(DrawerState.description), DrawerState.long),
                rx.el.p("No description.", class_name="v-quiet", style={"margin": "0"}),
            ),
            class_name="v-part-of-card",
        ),
        _last_run(),
        rx.el.dl(
            *(_fact(each) for each in FIELDS if not each.wide and each.name != "labels"),
            rx.cond(
                DrawerState.request > 0,
                rx.el.div(
                    rx.el.dt("Delivery"),
                    rx.el.dd(
                        request_chip(DrawerState.request, DrawerState.request_url, DrawerState.request_state)
                    ),
                ),
            ),
            rx.el.div(
                rx.el.dt("Created"),
                rx.el.dd(
                    ago(DrawerState.created),
                    rx.cond(DrawerState.author != "", rx.fragment(" by ", DrawerState.author)),
                ),
            ),
            _labels(),
            class_name="v-facts",
        ),
        needs_list(DrawerState.needs, DrawerState.board, DrawerState.can_edit),
        activity_list(DrawerState.base),
        rx.cond(
            DrawerState.can_edit, leave_buttons(DrawerState.task_id, DrawerState.archived, DrawerState.locked)
        ),
    )


def _discarded() -> rx.Component:
    """Say of a card whose change was thrown away that it can be had back."""
    return rx.cond(
        DrawerState.discarded,
        rx.el.div(
            rx.icon("trash-2", size=16, aria_hidden="true"),
            rx.el.span("Its change was discarded.", class_name="v-grow"),
            rx.el.a("Look at it, or restore it", href=f"{DrawerState.base}/changes", class_name="v-link"),
            role="status",
            class_name="v-sentence v-gray",
        ),
    )


def overview() -> rx.Component:
    """The tab: what the card says and what came of it, or the form that changes it."""
    name = draft_name(DrawerState.task_id)
    form = rx.el.form(
        rx.el.input(type="hidden", name="seen", default_value=typed(name, "seen", DrawerState.seen)),
        rx.el.div(
            *controls(
                lambda field: typed(name, field, DrawerState.texts[field]), {"read_only": DrawerState.locked}
            ),
            rx.el.div(
                rx.button("Save", type="submit"),
                rx.button(
                    "Cancel",
                    type="reset",
                    variant="soft",
                    color_scheme="gray",
                    on_click=DrawerState.edit(False),
                ),
                class_name="v-row",
            ),
            class_name="v-fields",
        ),
        on_submit=DrawerState.save_details,
    )
    editing = (DrawerState.editing != "") & (DrawerState.editing == DrawerState.task_id)
    return rx.el.div(rx.cond(editing, draft(name, form), _about()), class_name="v-drawer-body")
