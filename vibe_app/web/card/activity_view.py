"""How it looks what happened to a card: a quiet list, the newest first."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.card.activity import MARKS, ActivityState, Happened
from vibe_app.web.kit.moment import ago


def _mark(row: Any) -> rx.Component:
    icons = [(mark, rx.icon(mark, size=14, aria_hidden="true")) for mark in MARKS]
    color: Any = rx.match(
        row.mark, ("circle-x", "v-red"), ("circle-check", "v-green"), ("check", "v-green"), "v-gray"
    )
    return rx.el.span(rx.match(row.mark, *icons, rx.fragment()), class_name=f"v-happened-mark {color}")


@rx.memo
def happened_row(row: rx.Var[Happened], base: rx.Var[str]) -> rx.Component:
    """One thing that happened."""
    it: Any = row
    did = rx.cond(
        it.run != "",
        rx.el.a(it.did, href=f"{base}/run/{it.run}", class_name="v-link"),
        rx.el.span(it.did),
    )
    return rx.el.li(
        _mark(it),
        rx.el.div(
            rx.el.p(
                rx.el.bdi(it.who, class_name="v-happened-who"),
                " ",
                did,
                rx.cond(it.what != "", rx.fragment(" ", rx.el.bdi(it.what))),
                rx.el.span(ago(it.at), class_name="v-quiet v-happened-at"),
            ),
            rx.cond(it.said != "", rx.el.p(it.said, dir="auto", class_name="v-happened-said")),
        ),
        class_name="v-happened",
    )


def activity_list(base: Any) -> rx.Component:
    """The list.

    Args:
        base: The address of the card.
    """
    return rx.el.section(
        rx.el.h3("Activity"),
        rx.el.ol(
            rx.foreach(ActivityState.rows, lambda row: happened_row(row=row, base=base, key=row.id)),
            class_name="v-happened-list",
        ),
        rx.cond(
            ActivityState.more > 0,
            rx.el.button(
                "Show more",
                type="button",
                on_click=ActivityState.show_more,
                class_name="v-plain-button v-happened-more",
            ),
        ),
        aria_label="Activity",
        class_name="v-part-of-card v-activity",
    )
