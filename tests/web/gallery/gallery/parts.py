"""A page of small parts: times, a field in place, a form that loses nothing, buttons, keys."""

from __future__ import annotations

import reflex as rx

from vibe_app.web.kit.buttons import OnceButton
from vibe_app.web.kit.connection import connected, connection_notice
from vibe_app.web.kit.draft import draft, forget_sent, typed
from vibe_app.web.kit.frame import Frame, RailLink, Shortcuts
from vibe_app.web.kit.inplace import InPlace
from vibe_app.web.kit.moment import ago, due, elapsed, on

NOON = 1_767_355_200_000
"""2 January 2026, 12:00 UTC, in epoch milliseconds."""
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
AGES = (0, 20 * SECOND, MINUTE, 26 * MINUTE, 3 * HOUR, 13 * DAY, 20 * DAY)
DAYS = ("2025-12-24", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-09")
SPENT = (31 * SECOND, 2 * MINUTE + 31 * SECOND, 61 * MINUTE)


class PartsState(rx.State):
    title: str = "A title"
    version: int = 1
    settled: int = 0
    told: list[str] = []

    @rx.event
    def tell(self, what: str):
        self.told = [*self.told, what]

    @rx.event
    def save(self, text: str, version: int):
        self.told = [*self.told, f"save:{text}:{version}"]
        if text != "refused":
            self.title, self.version = text, self.version + 1

    @rx.event
    def settle(self):
        self.settled += 1

    @rx.event
    def send(self, form: dict[str, str]):
        self.told = [*self.told, f"sent:{form['words']}"]
        return forget_sent("form")


def _form() -> rx.Component:
    return rx.el.form(
        rx.el.textarea(name="words", default_value=typed("form", "words", ""), aria_label="Words"),
        rx.el.button("Cancel", type="reset"),
        rx.el.button("Send", type="submit"),
        on_submit=PartsState.send,
    )


def _title() -> rx.Component:
    return InPlace.create(
        name="title",
        value=PartsState.title,
        version=PartsState.version,
        settled=PartsState.settled,
        label="Title",
        disabled=False,
        on_save=PartsState.save,
        key="title",
    )


def parts() -> rx.Component:
    main = rx.el.main(
        rx.el.h1("Parts"),
        rx.el.ul(*[rx.el.li(ago(NOON - each)) for each in AGES], rx.el.li(ago(0)), id="ages"),
        rx.el.ul(
            *[rx.el.li(elapsed(NOON - each)) for each in SPENT],
            rx.el.li(elapsed(NOON - SPENT[1], coarse=True)),
            id="spent",
        ),
        rx.el.ul(*[rx.el.li(due(day)) for day in DAYS], id="due"),
        rx.el.div(on(NOON + 8 * HOUR), id="on"),
        rx.el.div(rx.cond(connected, "live", "lost"), id="connected"),
        rx.cond(rx.State.is_hydrated, _title()),
        rx.el.button("Settle", on_click=PartsState.settle),
        rx.cond(rx.State.is_hydrated, draft("form", _form())),
        rx.el.input(aria_label="Search", custom_attrs={"data-search": ""}),
        OnceButton.create("First", on_press=PartsState.tell("first"), label="First"),
        OnceButton.create("Second", on_press=PartsState.tell("second"), label="Second"),
        rx.el.button("A card", custom_attrs={"data-card-id": "c1"}, tab_index=0),
        rx.el.ol(rx.foreach(PartsState.told, rx.el.li), id="told"),
        id="main",
        tab_index=-1,
    )
    rail = rx.el.nav(RailLink.create("Parts", to="/parts"), RailLink.create("Board", to="/board"))
    keys = Shortcuts.create(keys="n ?", up="/markdown", on_key=PartsState.tell)
    return Frame.create(rail, main, keys, connection_notice())
