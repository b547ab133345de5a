"""How a task's history looks: a conversation of rounds, each a card that opens."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.board.face import counts, quiet_words
from vibe_app.web.card.history import PAGE_SIZE, HistoryState
from vibe_app.web.kit.markdown import markdown
from vibe_app.web.kit.moment import ago, elapsed
from vibe_app.web.kit.numbers import counted, thousands
from vibe_app.web.kit.parts import ask, empty_state, skeleton
from vibe_app.web.kit.status import session_badge


def _fact(name: str, *value: Any, **props: Any) -> rx.Component:
    return rx.el.div(rx.el.dt(name), rx.el.dd(*value), **props)


def _delete_button(row: Any) -> rx.Component:
    return ask(
        "Delete this run?",
        "Its output goes with it. The task, its other runs and the files in the workspace stay. "
        "It cannot be undone.",
        "Delete run",
        HistoryState.delete(row.id),
        trigger=rx.button("Delete", variant="soft", color_scheme="red"),
    )


def _body(row: Any, run_path: Any, can_edit: Any) -> rx.Component:
    over = (row.status != "pending") & (row.status != "running")
    return rx.el.div(
        rx.el.div(rx.el.h3("Prompt"), rx.el.pre(HistoryState.prompt, class_name="v-pre", tab_index=0)),
        rx.cond(
            HistoryState.error != "",
            rx.el.div(
                rx.el.h3("Error"), rx.el.pre(HistoryState.error, class_name="v-pre v-error", tab_index=0)
            ),
        ),
        rx.el.div(
            rx.el.h3("Output"),
            rx.cond(
                HistoryState.output != "",
                rx.el.pre(HistoryState.output, class_name="v-pre v-pre-dark", tab_index=0),
                rx.el.p("It wrote nothing.", class_name="v-quiet"),
            ),
        ),
        rx.el.dl(
            _fact("Started", ago(row.started)),
            _fact("Completed", ago(row.completed)),
            _fact("Duration", row.duration),
            _fact("Model", row.model),
            rx.cond(row.tokens != "", _fact("Tokens", row.tokens, class_name="v-fact-wide")),
            rx.cond(row.cost != "", _fact("Cost", row.cost)),
            rx.cond(row.limits != "", _fact("At most", row.limits)),
            rx.cond(row.attempt > 1, _fact("Attempts", row.attempt.to_string())),
            class_name="v-facts",
        ),
        rx.el.div(
            rx.el.div(
                rx.el.a("Show it in the terminal", href=f"{run_path}/run/{row.id}", class_name="v-execute"),
                class_name="v-row",
            ),
            rx.cond(can_edit & over, _delete_button(row)),
            class_name="v-row v-between",
        ),
        class_name="v-session-body",
    )


def _round(row: Any) -> rx.Component:
    """What was said in a round of the conversation, and what it changed."""
    talked = (row.message != "") | (row.comments > 0)
    files = counted(row.files, "file", "files")
    return rx.cond(
        talked | (row.summary != "") | (row.files > 0) | row.nothing,
        rx.el.div(
            rx.cond(
                talked,
                rx.el.blockquote(
                    row.message,
                    rx.cond(
                        row.comments > 0,
                        rx.el.span(
                            "with ",
                            counted(row.comments, "comment", "comments"),
                            class_name="v-quiet",
                        ),
                    ),
                    dir="auto",
                    class_name="v-said",
                ),
            ),
            rx.cond(row.summary != "", markdown(row.summary)),
            rx.cond(
                row.files > 0,
                rx.el.p(counts(row.additions, row.deletions), " in ", files, class_name="v-quiet"),
                rx.cond(row.nothing, rx.el.p("It changed nothing.", class_name="v-quiet")),
            ),
            class_name="v-round",
        ),
    )


def _session(row: Any, run_path: Any, can_edit: Any) -> rx.Component:
    opened = HistoryState.open_id == row.id
    return rx.el.li(
        rx.el.button(
            rx.el.span(
                session_badge(row.status, row.stopping),
                rx.el.span(row.kind, rx.cond(row.person != "", rx.fragment(" by ", row.person))),
                rx.el.code(row.short),
                rx.el.span(ago(row.created), class_name="v-quiet"),
                rx.match(
                    row.status,
                    (
                        "running",
                        rx.el.span(
                            rx.cond(
                                row.quiet > 0,
                                quiet_words(row.quiet),
                                rx.cond(row.waiting != "", row.waiting, elapsed(row.started)),
                            ),
                            class_name="v-quiet",
                        ),
                    ),
                    ("pending", rx.el.span(row.waiting, class_name="v-quiet")),
                    rx.el.span(row.duration, class_name="v-quiet v-digits"),
                ),
                rx.cond(row.asking, rx.el.span("Asks you something", class_name="v-quiet")),
                rx.cond(row.tokens != "", rx.el.span(row.tokens, class_name="v-quiet v-digits")),
                rx.cond(row.cost != "", rx.el.span(row.cost, class_name="v-quiet v-digits")),
                class_name="v-row",
            ),
            rx.cond(
                ~opened & (row.summary == "") & (row.preview != ""),
                rx.el.span(row.preview, class_name="v-preview"),
            ),
            type="button",
            aria_expanded=rx.cond(opened, "true", "false"),
            on_click=HistoryState.toggle(row.id),
            class_name="v-session-head",
        ),
        _round(row),
        rx.cond(opened, _body(row, run_path, can_edit)),
        class_name="v-session",
    )


def history_list(run_path: Any, can_edit: Any) -> rx.Component:
    """The list.

    Args:
        run_path: The address of the task, below which each session has its own.
        can_edit: Whether the reader may delete.
    """
    pager = rx.el.nav(
        rx.button(
            "Newer",
            variant="soft",
            color_scheme="gray",
            disabled=HistoryState.page <= 1,
            on_click=HistoryState.turn(-1),
        ),
        rx.el.span(
            f"Page {thousands(HistoryState.page)} of {thousands(HistoryState.pages)}",
            class_name="v-quiet v-digits",
        ),
        rx.button(
            "Older",
            variant="soft",
            color_scheme="gray",
            disabled=HistoryState.page >= HistoryState.pages,
            on_click=HistoryState.turn(1),
        ),
        aria_label="Pages of the history",
        class_name="v-row v-between",
    )
    return rx.cond(
        HistoryState.loaded,
        rx.cond(
            HistoryState.total > 0,
            rx.fragment(
                rx.el.ol(
                    rx.foreach(HistoryState.rows, lambda row: _session(row, run_path, can_edit)),
                    class_name="v-history",
                ),
                rx.cond(HistoryState.total > PAGE_SIZE, pager),
            ),
            empty_state("history", "No runs yet", "Every run of this task is kept here with its output."),
        ),
        skeleton(3, height=64),
    )
