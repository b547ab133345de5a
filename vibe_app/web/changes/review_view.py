"""How comments look that stand between the lines of a change, and what is said of a file without lines."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.card.conflict import conflict_view
from vibe_app.web.card.drawer import DrawerState
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.changes.rows import CommentRow, Note
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.draft import draft, typed
from vibe_app.web.kit.markdown import markdown
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.parts import foldable
from vibe_app.web.layout import RailState

# A picture sends no header: its address has what is shown beside the login cookie.
_WITH_KEY = rx.vars.FunctionStringVar.create("window.vibeDoor.address")


_BROKEN = "If you read this, the picture cannot be shown: it may be damaged."
"""Stands in the place of a picture that a browser cannot draw."""


def box(name: str, label: str, **props: Any) -> rx.Component:
    """A box for words that Ctrl+Enter sends.

    Args:
        name: Of the field in its form.
        label: What screen readers say.
        props: For the box.
    """
    return rx.el.textarea(
        name=name,
        aria_label=label,
        dir="auto",
        class_name="v-box",
        **props,
    )


def _form(name: Any, words: Any, verb: str, on_submit: Any, label: str) -> rx.Component:
    return draft(
        name,
        rx.el.form(
            # What is changed is founded on it; see `card.conflict`.
            rx.el.input(type="hidden", name="was", default_value=typed(name, "was", words)),
            box(
                "body",
                label,
                default_value=typed(name, "body", words),
                placeholder="What should be otherwise?",
                rows="3",
                auto_focus=True,
                required=True,
            ),
            rx.el.div(
                rx.button(verb, type="submit", size="2"),
                rx.button(
                    "Cancel",
                    type="reset",
                    size="2",
                    variant="soft",
                    color_scheme="gray",
                    on_click=ReviewState.leave,
                ),
                rx.el.span("Ctrl+Enter", class_name="v-hint v-wide"),
                class_name="v-row",
            ),
            on_submit=on_submit,
            class_name="v-fields v-tight",
        ),
    )


def _plain_button(words: str, on_click: Any, **props: Any) -> rx.Component:
    return rx.el.button(words, type="button", on_click=on_click, class_name="v-plain-button", **props)


def _state(row: Any) -> rx.Component:
    return rx.cond(
        row.saving,
        rx.el.span("Saving", class_name="v-chip"),
        rx.match(
            row.state,
            ("sent", rx.el.span("The agent has it", class_name="v-chip v-blue")),
            ("resolved", rx.el.span("Resolved", class_name="v-chip v-green")),
            rx.cond(row.taken, rx.el.span("Goes to the agent", class_name="v-chip v-blue")),
        ),
    )


def _actions(row: Any) -> rx.Component:
    own = (row.state == "open") & ~row.taken
    may_send = DrawerState.can_edit & RailState.may_execute
    held = ReviewState.held.contains(row.id)  # pyright: ignore
    return rx.el.div(
        rx.cond(
            own & may_send,
            rx.el.label(
                rx.el.input(type="checkbox", checked=~held, on_change=ReviewState.hold(row.id, ~held)),
                "Goes with the next message",
                class_name="v-seen",
            ),
        ),
        rx.cond(own & row.mine, _plain_button("Edit", ReviewState.edit(row.id), custom_attrs={OPENS: ""})),
        rx.cond(own & row.mine, _plain_button("Delete", ReviewState.delete(row.id))),
        rx.cond(
            row.state == "resolved",
            _plain_button("Open again", ReviewState.resolve(row.id, False)),
            rx.cond((row.state == "sent") | own, _plain_button("Resolve", ReviewState.resolve(row.id, True))),
        ),
        class_name="v-row",
    )


def _comment(row: Any) -> rx.Component:
    return rx.el.article(
        rx.el.div(
            rx.el.strong(rx.cond(row.author != "", row.author, "Somebody")),
            rx.el.span(row.where, class_name="v-quiet"),
            rx.el.span(ago(row.created), class_name="v-quiet"),
            rx.cond(row.edited, rx.el.span("edited", class_name="v-quiet")),
            _state(row),
            class_name="v-row",
        ),
        rx.cond(
            ReviewState.editing == row.id,
            rx.cond(
                ReviewState.both.length() > 0,  # pyright: ignore
                conflict_view(ReviewState.both, ReviewState.settle, ReviewState.settle_later, "comment"),
                _form(f"comment:{row.id}", row.body, "Save", ReviewState.save, "Comment"),
            ),
            rx.fragment(
                foldable(markdown(row.body), row.long), rx.cond(row.saving, rx.fragment(), _actions(row))
            ),
        ),
        class_name="v-comment",
        custom_attrs={"data-state": row.state},
    )


@rx.memo
def comment_list(comments: rx.Var[list[CommentRow]]) -> rx.Component:
    """Comments below each other."""
    return rx.fragment(rx.foreach(comments, _comment))


def _picture(address: Any, words: str) -> rx.Component:
    return rx.cond(
        address != "",
        rx.el.figure(
            rx.el.figcaption(words),
            # What cannot be drawn is said by these words in its place.
            rx.el.img(
                src=_WITH_KEY.call(address), alt=f"{words}: this picture cannot be shown. It may be damaged."
            ),
            class_name="v-picture",
        ),
    )


@rx.memo
def note_view(note: rx.Var[Note]) -> rx.Component:
    """What stands below a line."""
    here: Any = note
    name = f"comment:{ReviewState.task_id}:{here.item}:{here.side}:{here.line}"
    return rx.el.div(
        rx.cond(here.comments.length() > 0, comment_list(comments=here.comments)),
        rx.cond(here.writing, _form(name, "", "Comment", ReviewState.add, "Comment on these lines")),
        rx.cond(here.words != "", rx.el.p(here.words, class_name="v-quiet")),
        rx.cond(
            (here.old_picture != "") | (here.new_picture != ""),
            rx.el.div(
                _picture(here.old_picture, "Before"),
                _picture(here.new_picture, "After"),
                class_name="v-pictures",
            ),
        ),
        rx.cond(
            here.more,
            rx.button(
                "Show more", variant="soft", color_scheme="gray", on_click=ReviewState.show_more(here.item)
            ),
        ),
        class_name="v-note",
    )


def apart_list() -> rx.Component:
    """Comments that stand below no line, each with what they are on."""
    count: Any = ReviewState.apart.length()  # pyright: ignore
    return rx.cond(
        count > 0,
        rx.el.details(
            rx.el.summary("Comments on lines that are not in the change: ", count),
            rx.foreach(
                ReviewState.apart,
                lambda row: rx.el.div(
                    rx.el.code(row.path),
                    rx.cond(row.quote != "", rx.el.pre(row.quote, class_name="v-pre", tab_index=0)),
                    _comment(row),
                    class_name="v-note",
                ),
            ),
            open=True,
            class_name="v-file-list v-apart",
        ),
    )
