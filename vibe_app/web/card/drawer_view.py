"""How a card's drawer looks: head, tabs, and what is under each."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import TaskStatus
from vibe_app.web.board.face import execute_button, quiet_words, stop_button
from vibe_app.web.card.conflict import conflict_view
from vibe_app.web.card.drawer import NARROWEST, STEP, WIDEST, DrawerState
from vibe_app.web.card.history_view import history_list
from vibe_app.web.card.model import RUNNING
from vibe_app.web.card.output import output_panel
from vibe_app.web.card.overview_view import overview
from vibe_app.web.card.shelf import not_here
from vibe_app.web.changes.decide_view import decision_bar, what_stands_before
from vibe_app.web.changes.talk_view import follow_up_box
from vibe_app.web.changes.view import changes_tab
from vibe_app.web.kit.connection import connected
from vibe_app.web.kit.frame import CardDrawer
from vibe_app.web.kit.hooks import js
from vibe_app.web.kit.inplace import InPlace
from vibe_app.web.kit.moment import elapsed
from vibe_app.web.kit.parts import empty_state, icon_button, skeleton
from vibe_app.web.kit.status import COLUMN_NAMES, session_badge
from vibe_app.web.layout import RailState

_HALF = js(
    "Math.max($least, Math.round(globalThis.innerWidth / 2 / $step) * $step)", int, least=NARROWEST, step=STEP
)
_WIDTH = rx.cond(DrawerState.width != "", js("Number($width)", int, width=DrawerState.width), _HALF)
"""Pixels that the drawer has, as far as the window has them: half of these, unless somebody wants others."""
SIDE_BY_SIDE = 960
"""Pixels of the drawer from which on two texts stand beside each other."""


def _room() -> Any:
    """Tell whether there is room for two texts beside each other, as wide as window and drawer are now."""
    have = js(
        "view.width",
        int,
        ("const view = useViewportSize();",),
    )
    return js(
        "(Math.min($wide ? Infinity : $width, $have - ($have < 768 ? 0 : 240)) >= $enough)",
        bool,
        wide=DrawerState.wide != "",
        width=_WIDTH,
        have=have,
        enough=SIDE_BY_SIDE,
    )


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
        rx.el.span(rx.match(DrawerState.status, *COLUMN_NAMES.items(), ""), class_name="v-chip"),
        rx.cond(DrawerState.run != "", badge),
        rx.cond(
            (DrawerState.run == "running") & connected,
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
                # The badge has said already that it is queued.
                rx.el.span(DrawerState.words.replace("Queued, ", ""), class_name="v-quiet"),
            ),
        ),
        rx.cond(DrawerState.spent != "", rx.el.span(DrawerState.spent, class_name="v-quiet v-digits")),
    )


def _execute(on_execute: Any) -> rx.Component:
    """Execute or Retry; why not where it cannot be."""
    blocked = rx.el.span(
        rx.icon("lock", size=14, aria_hidden="true"),
        f"Blocked by {DrawerState.blocked}",
        class_name="v-chip v-amber",
    )
    return rx.cond(
        ~RailState.may_execute,
        rx.el.span(RailState.no_execution, class_name="v-quiet"),
        rx.cond(
            DrawerState.blocked != "",
            blocked,
            rx.cond(
                DrawerState.run == "failed",
                execute_button("Retry", on_execute, again=True, big=True),
                execute_button("Execute", on_execute, big=True),
            ),
        ),
    )


def _action(on_execute: Any, on_stop: Any, on_move: Any) -> rx.Component:
    """The one thing that makes sense now, and the way to another column."""
    executable = (DrawerState.status == TaskStatus.TODO) & ~DrawerState.archived
    reviewed = (DrawerState.status == TaskStatus.AI_REVIEW) | (DrawerState.status == TaskStatus.HUMAN_REVIEW)
    review = rx.el.a(
        rx.icon("eye", size=15, aria_hidden="true"),
        "Review",
        href=f"{DrawerState.base}/changes",
        class_name="v-execute v-execute-big",
    )
    return rx.cond(
        DrawerState.can_edit,
        rx.fragment(
            rx.cond(executable, _execute(on_execute)),
            rx.cond(reviewed & DrawerState.has_change & (DrawerState.tab != "changes"), review),
            rx.cond(DrawerState.locked & (DrawerState.run != "stopping"), stop_button(on_stop)),
            rx.cond(~DrawerState.locked, icon_button("move-right", "Move to…", on_click=on_move)),
        ),
    )


def _edge() -> rx.Component:
    """What makes the drawer wider: a slider whose thumb lies over its left edge, by mouse and by keys."""
    return rx.fragment(
        rx.el.style(f".v-drawer{{--drawer:{_WIDTH}px}}"),
        rx.el.input(
            type="range",
            min=NARROWEST,
            max=WIDEST,
            step=STEP,
            default_value=_WIDTH.to_string(),
            on_change=DrawerState.set_width.throttle(40),  # pyright: ignore[reportArgumentType] # a number
            aria_label="Width of the card",
            title="Drag to make it wider",
            class_name="v-edge",
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
        class_name="v-drawer-width",
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
        disabled=rx.cond(DrawerState.can_edit & ~DrawerState.locked, False, True),
        on_save=DrawerState.save_title,
    )
    return rx.el.header(
        rx.el.h2(DrawerState.title, class_name="v-unseen"),
        rx.el.div(
            rx.cond(DrawerState.ref != "", rx.el.span(DrawerState.ref, class_name="v-ref v-digits")),
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
    waits = (DrawerState.run == "pending") & (DrawerState.since == 0) & ~DrawerState.older
    panel = rx.el.div(
        rehearsal,
        older,
        output_panel(
            DrawerState.session_id,
            DrawerState.title,
            DrawerState.session_live & (DrawerState.run == "running"),
            rx.cond(waits, "Not begun yet: what the agent does is shown here, line by line.", ""),
        ),
        follow_up_box(
            DrawerState.task_id, DrawerState.talks & ~DrawerState.older, DrawerState.can_edit, False
        ),
        class_name="v-drawer-body v-output",
    )
    nothing = rx.el.div(
        empty_state(
            "terminal",
            "Nothing has run yet",
            "Press Execute and the agent works on this task in a folder of its own. "
            "You see here what it does, line by line.",
        ),
        class_name="v-drawer-body",
    )
    return rx.cond(DrawerState.session_id != "", panel, nothing)


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
                _room(),
            ),
        ),
        overview(),
    )
    conflict = rx.el.div(
        conflict_view(DrawerState.both, DrawerState.choose, DrawerState.decide_later),
        class_name="v-drawer-body",
    )
    missing = rx.el.div(
        not_here(DrawerState.missing, DrawerState.task_id, close, DrawerState.can_edit),
        class_name="v-drawer-body",
    )
    return rx.cond(
        DrawerState.task_id != "",
        rx.fragment(
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
            rx.cond(DrawerState.loaded, _edge()),
        ),
    )
