"""How a card looks on the board: title, priority, labels and one line about its run."""

from __future__ import annotations

from typing import Any, assert_never

import reflex as rx

from vibe_app.board.lifecycle import SessionStatus
from vibe_app.web.card.model import RUNNING
from vibe_app.web.kit.buttons import OnceButton
from vibe_app.web.kit.moment import elapsed
from vibe_app.web.kit.parts import icon_button
from vibe_app.web.kit.status import STOPPING, priority_mark, session_look


def execute_button(label: str, on_press: Any, again: bool = False, big: bool = False) -> rx.Component:
    """The button that starts a session; disabled from its press on."""
    return OnceButton.create(
        rx.icon("rotate-ccw" if again else "zap", size=15, aria_hidden="true"),
        label,
        class_name="v-execute v-execute-big" if big else "v-execute",
        on_press=on_press,
    )


def stop_button(on_press: Any) -> rx.Component:
    """The button that stops a session; disabled from its press on."""
    return OnceButton.create(
        rx.icon("square", size=13, aria_hidden="true"),
        "Stop",
        class_name="v-execute v-stop",
        on_press=on_press,
    )


def quiet_words(since: Any) -> rx.Component:
    """Say of a run that nothing was heard of it since a moment, and that it is left alone."""
    return rx.fragment("Quiet for ", elapsed(since, coarse=True), ": still running")


def _line(
    icon: str, color: str, *words: Any, spin: bool = False, end: rx.Component | None = None
) -> rx.Component:
    return rx.el.div(
        rx.icon(icon, size=15, aria_hidden="true", class_name="v-spin" if spin else ""),
        *words,
        end if end is not None else rx.fragment(),
        class_name=f"v-run v-{color}",
    )


def _running(card: Any, words: rx.Component) -> rx.Component:
    return rx.fragment(
        rx.cond(
            card.quiet > 0,
            _line("clock", "blue", rx.el.span(quiet_words(card.quiet), class_name="v-run-words")),
            rx.cond(
                card.words == RUNNING,
                rx.el.div(
                    rx.icon("loader-circle", size=15, aria_hidden="true", class_name="v-spin"),
                    rx.el.span("Running ", elapsed(card.since), class_name="v-run-text"),
                    class_name="v-run v-blue",
                ),
                _line("clock", "blue", words),
            ),
        ),
        rx.cond(
            card.steps != "",
            rx.el.div(card.steps, class_name="v-run-steps", dir="auto"),
            rx.el.div(card.line, class_name="v-run-line"),
        ),
    )


def _run(card: Any, status: SessionStatus, on_execute: Any) -> rx.Component:
    """The line about a card's run that has this status."""
    look = session_look(status)
    words = rx.el.span(card.words, class_name="v-run-words")
    match status:
        case SessionStatus.RUNNING:
            return _running(card, words)
        case SessionStatus.PENDING:
            return _line(look.icon, look.color, words)
        case SessionStatus.COMPLETED | SessionStatus.CANCELLED:
            execute = rx.cond(card.todo, execute_button("Execute", on_execute))
            return _line(look.icon, look.color, words, end=execute)
        case SessionStatus.FAILED:
            retry = rx.cond(card.todo, execute_button("Retry", on_execute, again=True))
            return _line(look.icon, look.color, words, end=retry)
        case _:
            assert_never(status)


def counts(additions: Any, deletions: Any) -> rx.Component:
    """Lines that came and lines that went: +120 −14."""
    return rx.el.span(
        rx.el.span(f"+{additions}", class_name="v-plus"),
        " ",
        rx.el.span(f"−{deletions}", class_name="v-minus"),
        class_name="v-digits v-counts",
        aria_label=f"{additions} lines added, {deletions} removed",
        role="img",
    )


def _change(card: Any) -> rx.Component:
    """The line of a card's change, at the right."""
    return rx.el.span(
        rx.cond(
            card.conflicts,
            rx.el.span("Conflicts", class_name="v-chip v-amber"),
            rx.cond(
                card.behind > 0,
                rx.el.span(
                    f"{card.behind} behind",
                    title="Commits by which the base branch has moved on since the card began",
                    class_name="v-quiet v-digits",
                ),
            ),
        ),
        counts(card.additions, card.deletions),
        class_name="v-card-change",
    )


def request_chip(number: Any, url: Any, state: Any, **props: Any) -> rx.Component:
    """A link to a pull request at its host, with how it stands in a word."""
    look: Any = rx.match(
        state,
        ("merged", "v-chip v-green v-request"),
        ("closed", "v-chip v-amber v-request"),
        "v-chip v-request",
    )
    mark: Any = rx.match(
        state,
        ("merged", rx.icon("git-merge", size=13, aria_hidden="true")),
        ("closed", rx.icon("git-pull-request-closed", size=13, aria_hidden="true")),
        rx.icon("git-pull-request", size=13, aria_hidden="true"),
    )
    return rx.el.a(
        mark,
        rx.el.span("Pull request ", class_name="v-unseen"),
        f"#{number} {state}",
        href=url,
        target="_blank",
        rel="noopener noreferrer",
        class_name=look,
        **props,
    )


def card_face(card: Any, on_execute: Any) -> rx.Component:
    """The inside of a card. It reads no State, so that a thousand of them sleep while others change.

    Args:
        card: What to show.
        on_execute: The event of the Execute button.
    """
    words = rx.el.span(card.words, class_name="v-run-words")
    execute = rx.cond(card.todo, execute_button("Execute", on_execute))
    return rx.el.div(
        rx.el.div(
            priority_mark(card.priority),
            rx.el.span(card.title, class_name="v-card-title"),
            rx.cond(
                ~card.locked,
                rx.el.span(
                    icon_button("move-right", "Move to…", custom_attrs={"data-kb-move": "true"}),
                    class_name="v-card-more",
                ),
            ),
            class_name="v-card-head",
        ),
        rx.cond(
            (card.labels.length() > 0) | (card.marks.length() > 0) | (card.number > 0),
            rx.el.div(
                rx.cond(card.number > 0, rx.el.span(f"#{card.number}", class_name="v-number v-digits")),
                rx.foreach(card.marks, lambda mark: rx.el.span(mark, class_name="v-label")),
                rx.foreach(card.labels, lambda label: rx.el.span(label, class_name="v-label")),
                rx.cond(card.change, _change(card)),
                rx.cond(
                    card.request > 0,
                    # A card is one tab stop; its drawer has the link too.
                    request_chip(card.request, card.request_url, card.request_state, tab_index=-1),
                ),
                class_name="v-card-labels",
            ),
        ),
        rx.match(
            card.run,
            *[(status.value, _run(card, status, on_execute)) for status in SessionStatus],
            ("stopping", _line(STOPPING.icon, STOPPING.color, words, spin=True)),
            rx.cond(card.todo, rx.el.div(execute, class_name="v-run")),
        ),
        rx.cond(card.spent != "", rx.el.div(card.spent, class_name="v-run-spent v-digits")),
        class_name="v-card",
    )
