"""One mapping from a status to its colour, word and icon; every badge, mark and chip comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import reflex as rx

from vibe_app.board.lifecycle import Priority, SessionStatus, TaskStatus, WorkspaceStatus


@dataclass(frozen=True)
class Look:
    """How a status looks: a Radix colour, a word, and a Lucide icon."""

    color: str
    word: str
    icon: str


STOPPING = Look("amber", "Stopping", "loader-circle")


def session_look(status: SessionStatus) -> Look:
    """Return how a session's status looks."""
    match status:
        case SessionStatus.PENDING:
            return Look("amber", "Queued", "hourglass")
        case SessionStatus.RUNNING:
            return Look("blue", "Running", "loader-circle")
        case SessionStatus.COMPLETED:
            return Look("green", "Completed", "circle-check")
        case SessionStatus.FAILED:
            return Look("red", "Failed", "circle-x")
        case SessionStatus.CANCELLED:
            return Look("gray", "Cancelled", "circle-slash")
        case _:
            assert_never(status)


def workspace_look(status: WorkspaceStatus) -> Look:
    """Return how a workspace's status looks."""
    match status:
        case WorkspaceStatus.STOPPED:
            return Look("gray", "Workspace asleep", "moon")
        case WorkspaceStatus.STARTING:
            return Look("amber", "Workspace starting", "loader-circle")
        case WorkspaceStatus.READY:
            return Look("green", "Workspace ready", "circle-check")
        case WorkspaceStatus.FAILED:
            return Look("red", "Workspace failed", "circle-x")
        case _:
            assert_never(status)


def priority_look(priority: Priority) -> Look:
    """Return how a priority looks."""
    match priority:
        case Priority.LOW:
            return Look("gray", "Low", "chevron-down")
        case Priority.NORMAL:
            return Look("gray", "Normal", "minus")
        case Priority.HIGH:
            return Look("amber", "High", "chevron-up")
        case Priority.URGENT:
            return Look("red", "Urgent", "chevrons-up")
        case _:
            assert_never(priority)


def column_hint(status: TaskStatus) -> str:
    """Say what an empty column is for."""
    match status:
        case TaskStatus.TODO:
            return "Write a card, then press Execute on it."
        case TaskStatus.IN_PROGRESS:
            return "Cards the agent is working on. Drop one from To do here to execute it."
        case TaskStatus.AI_REVIEW:
            return "What the agent has finished arrives here."
        case TaskStatus.HUMAN_REVIEW:
            return "Move a card here when a person should look at it."
        case TaskStatus.DONE:
            return "Accepted work ends here."
        case _:
            assert_never(status)


WORKSPACE_LOOKS: dict[WorkspaceStatus, Look] = {status: workspace_look(status) for status in WorkspaceStatus}
PRIORITY_LOOKS: dict[str, Look] = {priority.value: priority_look(priority) for priority in Priority}
COLUMNS: list[dict[str, str]] = [
    {"status": status.value, "name": status.column, "hint": column_hint(status)}
    | ({"by_hand": "no"} if status is TaskStatus.IN_PROGRESS else {})
    for status in TaskStatus
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


def session_badge(status: Any, stopping: Any = False) -> rx.Component:
    """Show a session's status; one that is asked to stop says so."""
    chips = {each.value: _chip(session_look(each)) for each in SessionStatus}
    shown: Any = rx.match(status, *chips.items(), chips["cancelled"])
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
        rx.popover.content(*content, max_width="min(440px, calc(100vw - 24px))", aria_label=look.word),
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
