"""The lists and tiles of the home page."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import MAY_NOT_CREATE
from vibe_app.web.home.work import DAY_PIXELS
from vibe_app.web.kit.attention import live_dot, needs_count, needs_mark
from vibe_app.web.kit.moment import ago, elapsed
from vibe_app.web.kit.parts import empty_state, icon_button
from vibe_app.web.kit.status import session_badge


def lists(state: Any) -> rx.Component:
    """What needs the person, what runs, and what has ended; `state` is the page's State."""
    needs: Any = state.needs
    running: Any = state.running
    finished: Any = state.finished
    return rx.fragment(
        rx.cond(
            needs.length() > 0,
            _list("Needs you", needs, _needing, state.more_needs),
            rx.el.section(
                rx.el.h2("Needs you", class_name="v-home-head"),
                rx.el.p("Nothing needs you.", class_name="v-quiet v-home-none"),
            ),
        ),
        rx.cond(
            running.length() > 0,
            _list("Running now", running, lambda row: _running(row, state), state.more_running),
        ),
        rx.cond(
            finished.length() > 0, _list("Recently finished", finished, _finished, 0, "v-work v-work-quiet")
        ),
    )


def _list(title: str, rows: Any, row: Any, more: Any, look: str = "v-work") -> rx.Component:
    return rx.el.section(
        rx.el.h2(title, class_name="v-home-head"),
        rx.el.ul(rx.foreach(rows, row), class_name=look),
        rx.cond(more > 0, rx.el.p(f"and {more} more", class_name="v-quiet v-home-none")),
        aria_label=title,
    )


def _line(row: Any, mark: rx.Component, words: rx.Component, *end: rx.Component) -> rx.Component:
    return rx.el.li(
        rx.el.span(mark, class_name="v-work-mark"),
        rx.el.span(row.ref, class_name="v-quiet v-digits v-work-ref"),
        rx.link(
            row.title,
            href=f"/p/{row.project_id}/t/{row.task_id}",
            class_name="v-work-title",
            title=row.title,
            custom_attrs={"dir": "auto"},
        ),
        rx.el.span(words, class_name="v-quiet v-work-words", title=row.words, dir="auto"),
        rx.el.span(row.project, class_name="v-quiet v-work-project", title=row.project, dir="auto"),
        rx.el.span(*end, class_name="v-quiet v-work-end"),
        class_name="v-work-row",
    )


def _needing(row: Any) -> rx.Component:
    return _line(row, needs_mark(row.needs), row.words, rx.cond(row.since > 0, ago(row.since)))


def _running(row: Any, state: Any) -> rx.Component:
    stop = icon_button("square", f"Stop “{row.title}”", on_click=state.stop(row.project_id, row.task_id))
    # In the terminal's letters is what the agent says, not what is said of the run.
    words = rx.el.span(row.words, class_name=rx.cond(row.since > 0, "v-work-line", ""))
    return _line(
        row,
        session_badge(row.run, row.run == "stopping"),
        words,
        rx.cond(row.since > 0, elapsed(row.since)),
        rx.cond(row.stops, stop),
    )


def _finished(row: Any) -> rx.Component:
    return _line(
        row,
        session_badge(row.run),
        row.words,
        rx.cond(row.who != "", rx.el.span(row.who, class_name="v-work-who")),
        rx.cond(row.cost != "", rx.el.span(row.cost, class_name="v-digits")),
        ago(row.since),
    )


def tiles(rows: Any) -> rx.Component:
    """Every project, with what is live, what needs the person, and its week."""
    return rx.el.section(
        rx.el.h2("Projects", class_name="v-home-head"),
        rx.el.ul(rx.foreach(rows, _tile), class_name="v-projects"),
        aria_label="All projects",
    )


def _tile(tile: Any) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.h3(rx.link(tile.name, href=f"/p/{tile.id}"), custom_attrs={"dir": "auto"}),
            rx.el.span(tile.key, class_name="v-quiet"),
            rx.el.span(live_dot(tile.live), needs_count(tile.needs), class_name="v-tile-marks"),
            class_name="v-tile-head",
        ),
        rx.el.div(
            rx.el.span(tile.runs, class_name="v-quiet"),
            rx.el.div(
                rx.foreach(tile.week, _day),
                role="img",
                aria_label=f"Runs of each day: {tile.runs}",
                class_name="v-week",
                style={"height": f"{DAY_PIXELS}px"},
            ),
            class_name="v-tile-week",
        ),
        class_name="v-project",
    )


def _day(day: Any) -> rx.Component:
    return rx.el.span(
        rx.el.span(class_name="v-day-failed", style={"height": f"{day.failed}px"}),
        rx.el.span(class_name="v-day-ended", style={"height": f"{day.ended}px"}),
        title=day.words,
        class_name="v-day",
    )


def first_steps(may_create: Any, sample: Any, make: Any) -> rx.Component:
    """What stands on the page until there is a project."""
    steps = rx.el.ol(
        rx.el.li("Make a project: a board, and a workspace in which the agent works."),
        rx.el.li("Write a card that says what is to be done."),
        rx.el.li("Press Execute, read what came of it, accept it or send it back."),
        class_name="v-steps",
    )
    begin = empty_state(
        "square-kanban",
        "Start with a project",
        "The sample comes with two small cards, to see the whole path once.",
        rx.button("Try the sample project", on_click=sample),
        rx.button("New project", variant="soft", on_click=make),
    )
    return rx.cond(
        may_create,
        rx.fragment(begin, steps),
        empty_state(
            "square-kanban", "No project yet", MAY_NOT_CREATE + " Or ask a project's owner to add you."
        ),
    )
