"""One mapping from a status to its colour, word and icon; every badge, mark and chip comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import Priority, SessionStatus, TaskStatus
from vibe_app.workspaces.states import WorkspaceStatus


@dataclass(frozen=True)
class Look:
    """How a status looks: a Radix colour, a word, and a Lucide icon."""

    color: str
    word: str
    icon: str


SESSION_LOOKS: dict[str, Look] = {
    SessionStatus.PENDING: Look("amber", "Queued", "hourglass"),
    SessionStatus.RUNNING: Look("blue", "Running", "loader-circle"),
    SessionStatus.COMPLETED: Look("green", "Completed", "circle-check"),
    SessionStatus.FAILED: Look("red", "Failed", "circle-x"),
    SessionStatus.CANCELLED: Look("gray", "Cancelled", "circle-slash"),
}
STOPPING = Look("amber", "Stopping", "loader-circle")

WORKSPACE_LOOKS: dict[WorkspaceStatus, Look] = {
    WorkspaceStatus.STOPPED: Look("gray", "Workspace asleep", "moon"),
    WorkspaceStatus.STARTING: Look("amber", "Workspace starting", "loader-circle"),
    WorkspaceStatus.READY: Look("green", "Workspace ready", "circle-check"),
    WorkspaceStatus.FAILED: Look("red", "Workspace failed", "circle-x"),
}

PRIORITY_LOOKS: dict[str, Look] = {
    Priority.LOW: Look("gray", "Low", "chevron-down"),
    Priority.NORMAL: Look("gray", "Normal", "minus"),
    Priority.HIGH: Look("amber", "High", "chevron-up"),
    Priority.URGENT: Look("red", "Urgent", "chevrons-up"),
}

COLUMNS: list[dict[str, str]] = [
    {
        "status": TaskStatus.TODO.value,
        "name": TaskStatus.TODO.column,
        "hint": "Write a card, then press Execute on it.",
    },
    {
        "status": TaskStatus.IN_PROGRESS.value,
        "name": TaskStatus.IN_PROGRESS.column,
        "hint": "Cards the agent is working on. Drop one from To do here to execute it.",
        "by_hand": "no",
    },
    {
        "status": TaskStatus.AI_REVIEW.value,
        "name": TaskStatus.AI_REVIEW.column,
        "hint": "What the agent has finished arrives here.",
    },
    {
        "status": TaskStatus.HUMAN_REVIEW.value,
        "name": TaskStatus.HUMAN_REVIEW.column,
        "hint": "Move a card here when a person should look at it.",
    },
    {"status": TaskStatus.DONE.value, "name": TaskStatus.DONE.column, "hint": "Accepted work ends here."},
]
COLUMN_NAMES = {column["status"]: column["name"] for column in COLUMNS}


def _chip(look: Look, word: str | None = None, **props: Any) -> rx.Component:
    spins = " v-spin" if look.icon == "loader-circle" else ""
    return rx.el.span(
        rx.icon(look.icon, size=14, class_name="v-icon" + spins, aria_hidden="true"),
        word or look.word,
        class_name=f"v-chip v-{look.color}",
        **props,
    )


def _choose(value: Any, looks: dict[str, Look], fallback: str) -> rx.Component:
    return rx.match(value, *[(key, _chip(look)) for key, look in looks.items()], _chip(looks[fallback]))  # pyright: ignore[reportReturnType]  # a match of components is a component


def session_badge(status: Any, stopping: Any = False) -> rx.Component:
    """Show a session's status; one that is asked to stop says so."""
    shown = _choose(status, SESSION_LOOKS, SessionStatus.CANCELLED)
    return rx.cond(stopping, _chip(STOPPING), shown)


def telling(look: Look, *content: rx.Component) -> rx.Component:
    """Show a chip that says more when it is pressed."""
    spins = " v-spin" if look.icon == "loader-circle" else ""
    return rx.popover.root(
        rx.popover.trigger(
            rx.el.button(
                rx.icon(look.icon, size=14, class_name="v-icon" + spins, aria_hidden="true"),
                look.word,
                type="button",
                class_name=f"v-chip v-{look.color}",
            )
        ),
        rx.popover.content(*content, max_width="min(440px, calc(100vw - 24px))"),
    )


def missing_chip(notices: Any) -> rx.Component:
    """Tell what of a workspace is not as people would expect; nothing where all is."""
    sentences = rx.el.ul(rx.foreach(notices, lambda sentence: rx.el.li(sentence)))
    return rx.cond(
        notices.length() > 0,
        telling(Look("amber", "Files are missing", "triangle-alert"), sentences),
    )


def priority_mark(priority: Any) -> rx.Component:
    """Show a priority by shape and colour; the word is there for hover and screen readers."""
    marks = {
        key: rx.el.span(
            rx.icon(look.icon, size=16, aria_hidden="true"),
            title=f"{look.word} priority",
            aria_label=f"{look.word} priority",
            role="img",
            class_name=f"v-priority v-{look.color}",
        )
        for key, look in PRIORITY_LOOKS.items()
        if key != Priority.NORMAL  # the rule needs no mark, only its exceptions
    }
    return rx.match(priority, *marks.items(), rx.fragment())  # pyright: ignore[reportReturnType]
