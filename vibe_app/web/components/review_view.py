"""How comments look that stand between the lines of a change, and what is said of a file without lines."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.components.change_rows import CommentRow, Note
from vibe_app.web.components.markdown import markdown
from vibe_app.web.components.moment import ago
from vibe_app.web.components.review import ReviewState


def _comment(row: Any) -> rx.Component:
    return rx.el.article(
        rx.el.div(
            rx.el.strong(rx.cond(row.author != "", row.author, "Somebody")),
            rx.el.span(row.where, class_name="v-quiet"),
            ago(row.created),
            class_name="v-row",
        ),
        markdown(row.body),
        class_name="v-comment",
    )


@rx.memo
def comment_list(comments: rx.Var[list[CommentRow]]) -> rx.Component:
    """Comments below each other."""
    return rx.fragment(rx.foreach(comments, _comment))


# A picture sends no header: its address has what is shown beside the login cookie.
_WITH_KEY = rx.vars.FunctionStringVar.create("window.vibeDoor.address")


def _picture(address: Any, words: str) -> rx.Component:
    return rx.cond(
        address != "",
        rx.el.figure(
            rx.el.figcaption(words), rx.el.img(src=_WITH_KEY.call(address), alt=words), class_name="v-picture"
        ),
    )


@rx.memo
def note_view(note: rx.Var[Note]) -> rx.Component:
    """What stands below a line."""
    here: Any = note
    return rx.el.div(
        rx.cond(here.comments.length() > 0, comment_list(comments=here.comments)),
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


def outdated_list() -> rx.Component:
    """Comments whose lines are not there any more, each with what they were on."""
    return rx.cond(
        ReviewState.outdated.length() > 0,  # pyright: ignore
        rx.el.section(
            rx.el.h3("On lines that are gone"),
            rx.foreach(
                ReviewState.outdated,
                lambda row: rx.el.div(
                    rx.el.code(row.path), rx.el.pre(row.quote, class_name="v-pre"), _comment(row)
                ),
            ),
            aria_label="Outdated comments",
        ),
    )
