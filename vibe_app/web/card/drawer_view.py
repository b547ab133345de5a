"""How a card's drawer looks: head, tabs, and what is under each."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import TaskStatus
from vibe_app.web.board.face import execute_button, quiet_words, request_chip, stop_button
from vibe_app.web.card.conflict import conflict_view
from vibe_app.web.card.drawer import DrawerState, draft_name
from vibe_app.web.card.fields import FIELDS, CardField, controls
from vibe_app.web.card.history_view import history_list
from vibe_app.web.card.model import RUNNING
from vibe_app.web.card.output import output_panel
from vibe_app.web.changes.decide_view import decision_bar, follow_up_box, what_stands_before
from vibe_app.web.changes.view import changes_tab
from vibe_app.web.kit.draft import draft, typed
from vibe_app.web.kit.frame import CardDrawer
from vibe_app.web.kit.inplace import InPlace
from vibe_app.web.kit.markdown import markdown
from vibe_app.web.kit.moment import ago, elapsed
from vibe_app.web.kit.parts import ask, empty_state, icon_button, skeleton
from vibe_app.web.kit.status import COLUMN_NAMES, session_badge
from vibe_app.web.layout import RailState


def _tab(name: str, words: str, path: Any) -> rx.Component:
    return rx.el.a(
        words,
        href=path,
        aria_current=rx.cond(DrawerState.tab == name, "page", "false"),
        class_name="v-tab",
    )


def _state() -> rx.Component:
    badge = session_badge(
        rx.cond(DrawerState.run == "stopping", "running", DrawerState.run), DrawerState.run == "stopping"
    )
    return rx.fragment(
        rx.cond(DrawerState.number > 0, rx.el.span(f"#{DrawerState.number}", class_name="v-quiet v-digits")),
        rx.el.span(rx.match(DrawerState.status, *COLUMN_NAMES.items(), ""), class_name="v-chip"),
        rx.cond(DrawerState.run != "", badge),
        rx.cond(
            DrawerState.run == "running",
            rx.el.span(
                rx.cond(
                    DrawerState.quiet > 0,
                    quiet_words(DrawerState.quiet),
                    rx.cond(DrawerState.words == RUNNING, elapsed(DrawerState.since), DrawerState.words),
                ),
                class_name="v-quiet",
            ),
            rx.cond(
                (DrawerState.run == "pending") | (DrawerState.run == "completed"),
                rx.el.span(DrawerState.words, class_name="v-quiet"),
            ),
        ),
        rx.cond(DrawerState.spent != "", rx.el.span(DrawerState.spent, class_name="v-quiet v-digits")),
    )


def _action(on_execute: Any, on_stop: Any, on_move: Any) -> rx.Component:
    executable = DrawerState.status == TaskStatus.TODO
    return rx.cond(
        DrawerState.can_edit,
        rx.fragment(
            rx.cond(
                executable,
                rx.cond(
                    RailState.may_execute,
                    rx.cond(
                        DrawerState.run == "failed",
                        execute_button("Retry", on_execute, again=True, big=True),
                        execute_button("Execute", on_execute, big=True),
                    ),
                    rx.el.span(RailState.no_execution, class_name="v-quiet"),
                ),
            ),
            rx.cond(DrawerState.locked & (DrawerState.run != "stopping"), stop_button(on_stop)),
            rx.cond(~DrawerState.locked, icon_button("move-right", "Move to…", on_click=on_move)),
        ),
    )


def _width() -> rx.Component:
    """The button that has the drawer take all of the page, and its mark for the style sheet."""
    wide = DrawerState.wide != ""
    return rx.el.span(
        rx.cond(
            wide,
            icon_button("minimize-2", "Leave the board in sight", on_click=DrawerState.widen),
            icon_button("maximize-2", "Use the whole page", on_click=DrawerState.widen),
        ),
        class_name="v-width",
        custom_attrs={"data-wide": rx.cond(wide, "true", "false")},
    )


def _head(close: Any, on_execute: Any, on_stop: Any, on_move: Any) -> rx.Component:
    title = InPlace.create(
        name=f"title:{DrawerState.task_id}",
        key=DrawerState.task_id,
        value=DrawerState.title,
        version=DrawerState.version,
        settled=DrawerState.settled,
        label="Title",
        max_length=200,
        disabled=rx.cond(DrawerState.can_edit & ~DrawerState.locked, False, True),
        on_save=DrawerState.save_title,
    )
    return rx.el.header(
        rx.el.h2(DrawerState.title, class_name="v-unseen"),
        rx.el.div(
            rx.el.div(title, class_name="v-drawer-title"),
            _width(),
            rx.el.a(
                rx.icon("x", size=18, aria_hidden="true"),
                href=close,
                aria_label="Close",
                title="Close",
                class_name="v-icon-button",
            ),
            class_name="v-row",
            style={"flex_wrap": "nowrap"},
        ),
        rx.el.div(
            rx.el.div(_state(), class_name="v-row v-grow"),
            _action(on_execute, on_stop, on_move),
            class_name="v-row",
        ),
        rx.el.nav(
            _tab("overview", "Overview", f"{DrawerState.base}/overview"),
            _tab("output", "Output", f"{DrawerState.base}/output"),
            _tab("changes", "Changes", f"{DrawerState.base}/changes"),
            _tab("history", "History", f"{DrawerState.base}/history"),
            aria_label="Parts of the card",
            class_name="v-tabs",
        ),
        class_name="v-drawer-head",
    )


def _output() -> rx.Component:
    rehearsal = rx.cond(
        RailState.rehearsal,
        rx.el.p(
            rx.icon("info", size=15, aria_hidden="true"),
            "The rehearsal model answers: no AI provider is configured.",
            class_name="v-run v-amber",
            style={"margin": "0"},
        ),
    )
    older = rx.cond(
        DrawerState.older,
        rx.el.p(
            "An earlier run. ",
            rx.el.a("Show the newest", href=f"{DrawerState.base}/output", class_name="v-link"),
            class_name="v-quiet",
            style={"margin": "0"},
        ),
    )
    failed = rx.cond(
        (DrawerState.run == "failed") & ~DrawerState.older,
        rx.el.p(DrawerState.words, class_name="v-error", role="status", style={"margin": "0"}),
    )
    panel = rx.el.div(
        rehearsal,
        older,
        failed,
        output_panel(
            DrawerState.session_id,
            DrawerState.title,
            DrawerState.session_live & (DrawerState.run == "running"),
        ),
        follow_up_box(DrawerState.task_id, DrawerState.talks & ~DrawerState.older, DrawerState.can_edit),
        class_name="v-drawer-body v-output",
    )
    nothing = rx.el.div(
        empty_state(
            "terminal",
            "Nothing has run yet",
            "Press Execute and the agent works on this task in the project's workspace. "
            "You see here what it does, line by line.",
        ),
        class_name="v-drawer-body",
    )
    return rx.cond(DrawerState.session_id != "", panel, nothing)


def _fact(field: CardField) -> rx.Component:
    words = DrawerState.facts[field.name]
    return rx.el.div(rx.el.dt(field.label), rx.el.dd(rx.cond(words != "", words, "–")))


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
    return rx.fragment(
        rx.el.section(
            rx.el.div(rx.el.h3("Description"), edit, class_name="v-row"),
            rx.cond(
                DrawerState.description != "",
                markdown(DrawerState.description),
                rx.el.p("No description.", class_name="v-quiet", style={"margin": "0"}),
            ),
            class_name="v-part-of-card",
        ),
        _last_run(),
        rx.el.dl(
            *(_fact(each) for each in FIELDS if not each.wide),
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
            class_name="v-facts",
        ),
        rx.cond(
            DrawerState.can_edit,
            rx.el.div(
                ask(
                    "Delete this task?",
                    "Its runs, their output and its change go with it. Files of the base branch stay. "
                    "It cannot be undone.",
                    "Delete task",
                    DrawerState.delete,
                    trigger=rx.button(
                        "Delete", variant="soft", color_scheme="red", disabled=DrawerState.locked
                    ),
                ),
                class_name="v-row",
            ),
        ),
    )


def _overview() -> rx.Component:
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


def drawer(close: Any, on_execute: Any, on_stop: Any, on_move: Any) -> rx.Component:
    """The drawer, while the address names a task.

    Args:
        close: The address of the board behind it.
        on_execute: The event of its Execute button.
        on_stop: The event of its Stop button.
        on_move: The event of its button that asks for another column.
    """
    body = rx.match(
        DrawerState.tab,
        (
            "history",
            rx.el.div(
                history_list(DrawerState.base, DrawerState.can_edit),
                class_name="v-drawer-body",
            ),
        ),
        ("output", _output()),
        (
            "changes",
            changes_tab(
                what_stands_before(DrawerState.base, DrawerState.can_edit),
                decision_bar(DrawerState.task_id, DrawerState.talks, DrawerState.can_edit),
                DrawerState.wide != "",
            ),
        ),
        _overview(),
    )
    conflict = conflict_view(DrawerState.both, DrawerState.choose, DrawerState.decide_later)
    missing = rx.el.div(
        empty_state("search-x", "Not here", DrawerState.missing, rx.link("Back to the board", href=close)),
        class_name="v-drawer-body",
    )
    return rx.cond(
        DrawerState.task_id != "",
        CardDrawer.create(
            rx.cond(
                DrawerState.missing != "",
                missing,
                rx.cond(
                    DrawerState.loaded,
                    rx.fragment(
                        _head(close, on_execute, on_stop, on_move),
                        rx.cond(DrawerState.both.length() > 0, conflict, body),  # pyright: ignore
                    ),
                    rx.el.div(skeleton(6), class_name="v-drawer-body"),
                ),
            ),
            card_id=DrawerState.task_id,
            label=rx.cond(DrawerState.title != "", DrawerState.title, "Task"),
        ),
    )
