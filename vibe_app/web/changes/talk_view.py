"""How the box looks in which the agent is told what to change."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.changes.decide import DecideState, box_name
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.changes.review_view import box
from vibe_app.web.kit.draft import draft, typed
from vibe_app.web.kit.numbers import counted
from vibe_app.web.layout import RailState


def follow_up_box(task_id: Any, talks: Any, can_edit: Any, waits: Any) -> rx.Component:
    """The box in which the agent is told what to change.

    Args:
        task_id: The card.
        talks: Whether there is something to go on with.
        can_edit: Whether the reader may.
        waits: Whether Accept stands beside it.
    """
    name = box_name(task_id)
    comments = counted(ReviewState.sending, "comment", "comments")
    send = rx.cond(ReviewState.sending > 0, f"{comments} · Send to agent", "Send to agent")
    # One accent stands below a change: Send where there is something to send, else Accept.
    look = rx.cond(waits & (ReviewState.sending == 0), "soft", "solid")
    form = draft(
        name,
        rx.el.form(
            box(
                "message",
                "Tell the agent what to change",
                default_value=typed(name, "message", ""),
                placeholder="Tell the agent what to change",
                rows="1",
                required=ReviewState.sending == 0,
            ),
            rx.button(send, type="submit", title="Ctrl+Enter", variant=look),
            on_submit=DecideState.send,
            class_name="v-follow-form",
        ),
    )
    return rx.cond(
        talks & can_edit,
        rx.el.section(
            rx.cond(RailState.may_execute, form, rx.el.p(RailState.no_execution, class_name="v-quiet")),
            aria_label="Go on with the agent",
            class_name="v-follow",
        ),
    )
