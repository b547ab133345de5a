"""A project's page: top bar, filters, board, and the drawer of the card that the address names.

One route serves every address of the project (see `place`), so that opening a
card leaves the board mounted where it is.
"""

from __future__ import annotations

import reflex as rx

from vibe_app.web.board.bar import project_tabs
from vibe_app.web.board.columns import BoardState
from vibe_app.web.board.columns_view import board_columns
from vibe_app.web.board.composer import ComposerState, composer
from vibe_app.web.board.filters_view import filters_bar
from vibe_app.web.board.keys import KeysState
from vibe_app.web.board.moving import MoveState, move_dialog
from vibe_app.web.board.remote_line import remote_line
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.board.selection_view import selection_bar
from vibe_app.web.board.workspace import workspace_chip, workspace_line
from vibe_app.web.card.drawer import DrawerState
from vibe_app.web.card.drawer_view import drawer
from vibe_app.web.card.output import OutputState
from vibe_app.web.changes.decide_view import dropped_dialog
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.focus import kept_focus
from vibe_app.web.kit.frame import Shortcuts
from vibe_app.web.kit.parts import empty_state, skeleton
from vibe_app.web.kit.status import missing_chip
from vibe_app.web.layout import RailState, framed, top_bar

# The pages below `/p` must call the project alike, and no State may have a var of that name.
ROUTE = "/p/[in_project]/[[...splat]]"
TITLE = rx.cond(BoardState.name != "", f"{BoardState.name} · Vibe", "Board · Vibe")
ON_LOAD = [BoardState.arrive, DrawerState.arrive, OutputState.arrive, BoardState.watch]


def _model_chip() -> rx.Component:
    return rx.cond(
        RailState.loaded,
        rx.cond(
            RailState.rehearsal,
            rx.el.span(
                rx.icon("drama", size=14, aria_hidden="true"),
                rx.el.span("Rehearsal model", rx.el.span(": no AI provider configured", class_name="v-wide")),
                title="No AI provider is configured: a script plays the agent",
                class_name="v-chip v-plain",
            ),
            rx.el.span(
                rx.icon("sparkles", size=14, aria_hidden="true"), RailState.model, class_name="v-chip"
            ),
        ),
    )


def _wall_chip() -> rx.Component:
    return rx.cond(
        RailState.unwalled != "",
        rx.el.span(
            rx.icon("shield-off", size=14, aria_hidden="true"),
            "No wall around agents",
            role="note",
            aria_label=f"No wall around agents. {RailState.unwalled}",
            class_name="v-chip v-amber",
            title=RailState.unwalled,
        ),
    )


def _bar() -> rx.Component:
    return top_bar(
        rx.cond(BoardState.name != "", BoardState.name, "Board"),
        rx.cond(BoardState.name != "", project_tabs(BoardState.project_id, "board")),
        rx.cond(
            BoardState.name != "",
            rx.el.div(
                workspace_chip(BoardState.workspace, BoardState.workspace_reason, BoardState.can_edit),
                missing_chip(BoardState.notices),
                _model_chip(),
                _wall_chip(),
                class_name="v-top-chips",
            ),
        ),
        rx.el.div(
            rx.cond(
                BoardState.can_edit,
                rx.button(
                    rx.icon("plus", size=16, aria_hidden="true"),
                    rx.el.span("New task", class_name="v-wide"),
                    aria_label="New task",
                    on_click=ComposerState.set_opened(True),
                    custom_attrs={OPENS: "n"},
                ),
            ),
            class_name="v-top-end",
        ),
    )


def _loading() -> rx.Component:
    return rx.el.div(
        *[rx.el.div(skeleton(4, height=64), class_name="kb-column v-loading") for _ in range(5)],
        class_name="kb-columns",
        aria_busy="true",
    )


def board_page() -> rx.Component:
    """The page at `/p/<project>` and below."""
    close = f"/p/{BoardState.project_id}{BoardState.query}"
    missing = empty_state("search-x", "No board here", BoardState.missing, rx.link("All projects", href="/"))
    board = rx.fragment(
        remote_line(
            BoardState.remote,
            BoardState.remote_words,
            BoardState.project_id,
            BoardState.joining,
            BoardState.can_edit,
            RailState.may_execute,
        ),
        workspace_line(
            BoardState.workspace, BoardState.workspace_reason, BoardState.project_id, BoardState.can_edit
        ),
        filters_bar(),
        rx.cond(BoardState.loaded, board_columns(), _loading()),
        drawer(
            close,
            BoardState.execute(DrawerState.task_id),
            BoardState.stop(DrawerState.task_id),
            MoveState.ask(DrawerState.task_id),
        ),
    )
    return framed(
        _bar(),
        rx.cond(BoardState.missing != "", missing, board),
        composer(BoardState.project_id),
        dropped_dialog(close),
        move_dialog(),
        selection_bar(),
        Shortcuts.create(
            keys="n e s m z j k c ? Escape",
            up=rx.cond(DrawerState.task_id != "", close, ""),
            on_key=KeysState.anywhere,
        ),
        kept_focus(
            now=[
                BoardState.order,
                BoardState.changed,
                BoardState.counts,
                DrawerState.task_id,
                MoveState.card_id,
                SelectionState.chosen,
                ComposerState.opened,
            ],
            wanted=ComposerState.made,
        ),
        # A tab that nobody sees is not kept up to date: it reads everything when it is shown again.
        rx.window_event_listener(on_visibility_change=BoardState.watch),
    )
