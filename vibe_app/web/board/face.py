"""How a card looks on the board: its title, a small line of what it is, and one of what became of it.

It reads no State, so that all the others sleep while one changes.
"""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex_components_core.react_router.dom import ReactRouterLink

from vibe_app.board.lifecycle import SessionStatus
from vibe_app.web.card.model import RUNNING
from vibe_app.web.kit.attention import needs_mark
from vibe_app.web.kit.buttons import OnceButton
from vibe_app.web.kit.moment import due, elapsed
from vibe_app.web.kit.numbers import counted, thousands
from vibe_app.web.kit.parts import icon_button
from vibe_app.web.kit.status import priority_mark


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


def counts(additions: Any, deletions: Any) -> rx.Component:
    """Lines that came and lines that went: +1,120 −14."""
    came, went = thousands(additions), thousands(deletions)
    return rx.el.span(
        rx.el.span(f"+{came}", class_name="v-plus"),
        " ",
        rx.el.span(f"−{went}", class_name="v-minus"),
        class_name="v-digits v-counts",
        aria_label=counted(additions, "line", "lines") + f" added, {went} removed",
        role="img",
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


class _Link(ReactRouterLink):
    """A link that the browser itself does not drag."""

    draggable: rx.Var[bool]


def _hands(
    card: Any, chosen: Any, on_execute: Any, on_stop: Any, on_move: Any, on_choose: Any
) -> rx.Component:
    """What can be done with the card: there on hover and focus, on a selected card, and always by touch."""
    execute = OnceButton.create(
        rx.icon(tag=rx.cond(card.run == "failed", "rotate-ccw", "play"), size=16, aria_hidden="true"),
        label=rx.cond(card.run == "failed", "Retry", "Execute"),
        class_name="v-hand v-hand-execute",
        on_press=on_execute,
    )
    stop = OnceButton.create(
        rx.icon("square", size=14, aria_hidden="true"),
        label="Stop",
        class_name="v-hand v-hand-stop",
        on_press=on_stop,
    )
    choose = rx.el.button(
        rx.icon("check", size=13, aria_hidden="true"),
        type="button",
        role="checkbox",
        aria_checked=chosen,
        aria_label="Select",
        title="Select (x)",
        on_click=on_choose,
        class_name="v-choose",
    )
    move = icon_button("arrow-right-left", "Move to…", on_click=on_move)
    return rx.el.div(
        choose,
        rx.cond(card.locked, rx.cond(card.run != "stopping", stop), rx.cond(~card.archived, move)),
        rx.cond(card.todo & ~card.archived, execute),
        class_name="v-hands",
    )


def _behind(card: Any) -> rx.Component:
    """By how much its change is behind the base branch, where it is."""
    said = rx.el.span(
        f"{thousands(card.behind)} behind",
        title="Commits by which the base branch has moved on since the card began",
        class_name="v-gives",
    )
    return rx.cond(card.behind > 0, said)


def _small(card: Any) -> rx.Component:
    """The small line: what it is called, labels, whose it is; at the right how it stands."""
    live = card.since > 0
    change = rx.fragment(
        rx.cond(
            card.conflicts,
            rx.el.span("Conflicts", class_name="v-amber v-word"),
            rx.cond(card.need != "review", _behind(card)),
        ),
        rx.cond(
            (card.additions > 0) | (card.deletions > 0),
            counts(card.additions, card.deletions),
            rx.cond(card.took, rx.el.span(card.took, class_name="v-digits")),
        ),
    )
    return rx.el.div(
        rx.cond(card.ref, rx.el.span(card.ref, class_name="v-ref v-digits")),
        rx.cond(card.due, due(card.due)),
        rx.el.span(
            rx.foreach(card.marks, lambda mark: rx.el.span(mark, class_name="v-tag")),
            rx.foreach(
                card.labels, lambda label: rx.el.span(label, class_name="v-tag", title=label, dir="auto")
            ),
            rx.cond(card.more > 0, rx.el.span(f"+{card.more}", title="More labels", class_name="v-digits")),
            class_name="v-tags",
        ),
        rx.el.span(
            rx.cond(
                live,
                rx.el.span(elapsed(card.since), class_name="v-blue v-word"),
                change,
            ),
            rx.cond(card.cost, rx.el.span(card.cost, class_name="v-digits v-gives", title=card.cost)),
            rx.cond(
                card.who,
                rx.el.span(
                    card.who, title=card.whom, aria_label=card.whom, role="img", class_name="v-initials-small"
                ),
            ),
            class_name="v-stand",
        ),
        class_name="v-small",
    )


def _said(icon: str, color: str, words: Any, spin: bool = False, whole: Any = None) -> rx.Component:
    """A line of a card; `whole` is what is said on hover where that are no plain words."""
    title = words if whole is None else whole
    return rx.el.div(
        rx.icon(icon, size=14, aria_hidden="true", class_name="v-spin" if spin else ""),
        rx.el.span(words, class_name="v-run-words", title=title, dir="auto"),
        class_name=f"v-run v-{color}",
    )


def _running(card: Any) -> rx.Component:
    running = rx.el.span("Running ", class_name=rx.cond(card.line, "v-unseen", ""))
    doing = rx.cond(card.line, card.line, "")
    return rx.cond(
        card.quiet > 0,
        _said("clock", "blue", quiet_words(card.quiet), whole=""),
        rx.cond(
            card.words == RUNNING,
            _said("loader-circle", "blue", rx.fragment(running, doing), spin=True, whole=card.line),
            _said("clock", "blue", card.words),
        ),
    )


def _became(card: Any) -> rx.Component:
    """The line of what needs a person, of what is happening, or of what came of it; nothing at rest."""
    waiting = rx.match(
        card.run,
        (SessionStatus.RUNNING.value, _running(card)),
        (SessionStatus.PENDING.value, _said("hourglass", "gray", card.words)),
        ("stopping", _said("loader-circle", "gray", card.words, spin=True)),
        rx.fragment(),
    )
    outcome: Any = rx.match(
        card.need,
        ("failed", card.words),
        ("answer", "The agent asks you something"),
        card.outcome,
    )
    needed = rx.el.div(
        needs_mark(card.need),
        rx.el.span(outcome, class_name="v-run-words", title=outcome, dir="auto"),
        rx.cond((card.need == "review") & ~card.conflicts, _behind(card)),
        class_name=rx.cond(card.need == "failed", "v-run v-red", "v-run"),
    )
    request = rx.cond(
        card.request > 0,
        rx.el.div(request_chip(card.request, card.request_url, card.request_state), class_name="v-run"),
    )
    blocked = rx.cond(card.blocked, _said("lock", "amber", card.blocked))
    return rx.cond(
        card.need, needed, rx.cond(card.run, rx.fragment(waiting, request), rx.fragment(request, blocked))
    )


def card_face(
    card: Any, chosen: Any, path: Any, on_execute: Any, on_stop: Any, on_move: Any, on_choose: Any
) -> rx.Component:
    """The inside of a card.

    Args:
        card: What to show, a `Face`.
        chosen: Whether it is selected.
        path: The address of a card is this and its id.
        on_execute: The event of its Execute button, and so on.
        on_stop: Stops its run.
        on_move: Asks where it should go.
        on_choose: Selects it, or no longer.
    """
    return rx.el.div(
        rx.el.div(
            priority_mark(card.priority),
            _Link.create(
                card.title,
                to=f"{path}{card.id}",
                draggable=False,
                title=card.title,
                dir="auto",
                class_name="v-card-title",
            ),
            class_name="v-card-head",
        ),
        _small(card),
        _became(card),
        _hands(card, chosen, on_execute, on_stop, on_move, on_choose),
        class_name=rx.cond(card.need == "failed", "v-card v-card-failed", "v-card"),
    )
