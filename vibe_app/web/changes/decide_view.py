"""How it looks what can be decided about a change: the bar below it, its questions, what stands before it."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.changes.decide import DecideState
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.changes.state import ChangesState
from vibe_app.web.changes.talk_view import follow_up_box
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.numbers import counted, thousands
from vibe_app.web.kit.parts import ask
from vibe_app.web.layout import RailState


def _strategy(value: str, words: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="radio",
            name="strategy",
            value=value,
            checked=DecideState.strategy == value,
            on_change=DecideState.choose(value),
        ),
        rx.el.span(words),
        class_name="v-seen",
    )


def _lost() -> rx.Component:
    return rx.cond(
        ChangesState.problem_code == "would_be_lost",
        rx.el.p(ChangesState.problem, class_name="v-error", role="alert"),
    )


def accept_words() -> Any:
    """Say exactly what accepting does."""
    runs, branch = ChangesState.runs, ChangesState.branch
    squash = rx.cond(
        runs > 1,
        f"Squash {thousands(runs)} runs into one commit on “{branch}”.",
        f"Make it one commit on “{branch}”.",
    )
    merge = f"Merge the history of the runs into “{branch}”, with a merge commit."
    request = rx.cond(
        DecideState.strategy == "merge",
        f"Push the history of the runs as a branch, and open a pull request into “{branch}”.",
        rx.cond(
            runs > 1,
            f"Squash {thousands(runs)} runs into one commit on a branch, and open a pull request "
            f"into “{branch}”.",
            f"Make it one commit on a branch, and open a pull request into “{branch}”.",
        ),
    )
    joined = rx.cond(DecideState.strategy == "merge", merge, squash)
    return rx.cond(ChangesState.by_request, request, joined)


def _accept_dialog() -> rx.Component:
    conflicts: Any = ChangesState.conflicts
    behind = rx.cond(
        conflicts.length() > 0,
        " It conflicted when that was last looked at. That is looked at again, and if it still does, nothing"
        " is changed.",
        rx.cond(
            ChangesState.behind > 0,
            f" What has come to “{ChangesState.branch}” meanwhile stays: the two are joined.",
            "",
        ),
    )
    return rx.alert_dialog.root(
        rx.alert_dialog.content(
            rx.alert_dialog.title("Accept this change?", size="4"),
            rx.alert_dialog.description(
                accept_words(), " You are its author. The card goes to Done.", behind, size="2"
            ),
            rx.el.fieldset(
                rx.el.legend("How", class_name="v-unseen"),
                _strategy("squash", "One commit (squash)"),
                _strategy("merge", "Keep the history (merge)"),
                class_name="v-plain v-fields v-tight",
            ),
            _lost(),
            rx.el.div(
                rx.alert_dialog.cancel(rx.button("Cancel", variant="soft", color_scheme="gray")),
                rx.alert_dialog.action(rx.button("Accept", on_click=DecideState.accept)),
                class_name="v-row v-end",
            ),
            max_width="440px",
        ),
        open=DecideState.asking == "accept",
        on_open_change=DecideState.set_open,
    )


def _discard_dialog() -> rx.Component:
    return ask(
        "Discard this change?",
        rx.fragment(
            "The card goes back to To do, and the agent's files go. The change can be restored for 30 days.",
            _lost(),
        ),
        "Discard",
        DecideState.discard,
        open=DecideState.asking == "discard",
        on_open_change=DecideState.set_open,
    )


def decision_bar(task_id: Any, talks: Any, can_edit: Any) -> rx.Component:
    """What stands below a change: the box to talk, Accept and Discard.

    Args:
        task_id: The card.
        talks: Whether there is something to go on with.
        can_edit: Whether the reader decides.
    """
    open_change = (ChangesState.state == "open") & ~ChangesState.live & (ChangesState.intent == "")
    decidable = can_edit & open_change & (ChangesState.revision != "")
    decisions = rx.el.div(
        rx.button("Discard", variant="soft", color_scheme="red", on_click=DecideState.ask("discard")),
        rx.button(
            rx.icon("check", size=16, aria_hidden="true"),
            "Accept",
            variant=rx.cond(ReviewState.sending > 0, "soft", "solid"),
            on_click=DecideState.ask("accept"),
        ),
        class_name="v-row v-end v-decisions",
    )
    return rx.fragment(
        rx.el.footer(
            follow_up_box(task_id, talks & open_change, can_edit, decidable),
            rx.cond(decidable, decisions),
            class_name="v-decide",
        ),
        _accept_dialog(),
        _discard_dialog(),
    )


def _sentence(color: str, icon: str, words: Any, *buttons: Any) -> rx.Component:
    return rx.el.div(
        rx.icon(icon, size=16, aria_hidden="true"),
        rx.el.span(words, class_name="v-grow"),
        *buttons,
        role="status",
        class_name=f"v-sentence v-{color}",
    )


def _button(words: Any, on_click: Any) -> rx.Component:
    return rx.button(words, size="1", variant="surface", color_scheme="gray", on_click=on_click)


def _fit(can_edit: Any) -> rx.Component:
    """Say how the change stands to the base branch."""
    state, branch = ChangesState.state, ChangesState.branch
    conflicts: Any = ChangesState.conflicts
    conflicting = conflicts.length() > 0
    return rx.cond(
        conflicting & (state == "open"),
        _sentence(
            "amber",
            "git-merge",
            rx.fragment(
                f"It conflicts with “{branch}” in ",
                conflicts.join(", "),
                ".",
            ),
            rx.cond(
                can_edit & ~ChangesState.live & RailState.may_execute,
                _button("Let the agent solve it", DecideState.solve),
            ),
        ),
        rx.cond(
            (ChangesState.behind > 0) & (state == "open") & ((ChangesState.count > 0) | ChangesState.since),
            _sentence(
                "gray",
                "git-branch",
                f"“{branch}” has moved on by {counted(ChangesState.behind, 'commit', 'commits')} since. "
                "Accept joins the two, if they fit.",
            ),
        ),
    )


def _problem(can_edit: Any) -> rx.Component:
    """Say why the last decision was not carried out; what conflicts is said above, as it is now."""
    again: Any = rx.match(
        ChangesState.tried,
        ("accept", _button("Accept anyway", DecideState.again)),
        ("discard", _button("Discard anyway", DecideState.again)),
        rx.fragment(),
    )
    return rx.cond(
        (ChangesState.problem != "") & (ChangesState.problem_code != "conflicts"),
        _sentence(
            "red",
            "circle-x",
            ChangesState.problem,
            rx.cond(
                can_edit & (ChangesState.problem_code == "would_be_lost"),
                again,
            ),
        ),
    )


def what_stands_before(base: Any, can_edit: Any) -> rx.Component:
    """One sentence for each thing that a reader should know before they decide, with its one button.

    Args:
        base: The address of the card.
        can_edit: Whether the reader decides.
    """
    intents: Any = rx.match(
        ChangesState.intent,
        ("accept", "It is being accepted."),
        ("discard", "It is being discarded."),
        ("restore", "It is being restored."),
        "It is being decided about.",
    )
    return rx.fragment(
        rx.cond(
            ChangesState.live,
            _sentence(
                "blue",
                "loader-circle",
                "A run is under way: what you see is from before it.",
                rx.el.a("Watch it", href=f"{base}/output", class_name="v-link"),
            ),
        ),
        rx.cond(
            (ChangesState.newest != ChangesState.revision) & (ChangesState.revision != ""),
            _sentence(
                "amber",
                "refresh-cw",
                "The change has moved on since you looked.",
                _button("Show what is new", [ChangesState.show_new, ReviewState.load]),
            ),
        ),
        rx.cond(ChangesState.intent != "", _sentence("blue", "loader-circle", intents)),
        rx.cond(
            (ChangesState.brings > 0) & (ChangesState.state == "open"),
            _sentence(
                "gray",
                "git-merge",
                f"It also brings in {counted(ChangesState.brings, 'commit', 'commits')} of the repository, "
                "joined with yours by the agent.",
            ),
        ),
        _fit(can_edit),
        _problem(can_edit),
        rx.foreach(ChangesState.left_out, lambda words: _sentence("amber", "file-x", words)),
        _outcome(can_edit),
    )


def _delivery(can_edit: Any) -> rx.Component:
    """Say how what was accepted stands with the repository, and offer to deliver it again."""
    again = rx.cond(can_edit, _button(ChangesState.redo, DecideState.deliver))
    link = rx.cond(
        ChangesState.request != "",
        rx.el.a(
            "Look at it there",
            href=ChangesState.request,
            target="_blank",
            rel="noopener noreferrer",
            class_name="v-link",
        ),
    )
    return rx.cond(
        ChangesState.redo != "",
        _sentence("red", "circle-x", ChangesState.delivery, link, again),
        rx.cond(ChangesState.delivery != "", _sentence("gray", "upload", ChangesState.delivery, link)),
    )


def _outcome(can_edit: Any) -> Any:
    by = rx.fragment(" by ", ChangesState.decided, ", ", ago(ChangesState.decided_at))
    return rx.match(
        ChangesState.state,
        (
            "accepted",
            rx.fragment(
                _sentence(
                    "green",
                    "circle-check",
                    rx.fragment(
                        "Accepted",
                        by,
                        rx.cond(
                            ChangesState.commit != "", rx.fragment(" as ", rx.el.code(ChangesState.commit))
                        ),
                    ),
                ),
                _delivery(can_edit),
            ),
        ),
        (
            "discarded",
            _sentence(
                "gray",
                "trash-2",
                rx.fragment(
                    "Discarded",
                    by,
                    rx.cond(
                        ChangesState.restorable,
                        ". It is kept for 30 days.",
                        ". It was kept for 30 days and cannot be restored any more.",
                    ),
                ),
                rx.cond(
                    can_edit & ~ChangesState.live & ChangesState.restorable,
                    _button("Restore", DecideState.restore),
                ),
            ),
        ),
        rx.fragment(),
    )


def dropped_dialog(project_path: Any) -> rx.Component:
    """The question about a card that was to be called done though nobody has decided about its change."""
    return rx.alert_dialog.root(
        rx.alert_dialog.content(
            rx.alert_dialog.title("What is to become of the change?", size="4"),
            rx.alert_dialog.description(
                "“",
                DecideState.dropped_title,
                "” has a change that nobody has decided about. Accept it as one commit, and the card is "
                "done; or discard it, and the card goes to To do.",
                size="2",
            ),
            rx.el.div(
                rx.alert_dialog.cancel(rx.button("Leave it there", variant="soft", color_scheme="gray")),
                rx.alert_dialog.action(
                    rx.button(
                        "Discard",
                        variant="soft",
                        color_scheme="red",
                        on_click=DecideState.decide_dropped("discard"),
                    )
                ),
                rx.alert_dialog.action(
                    rx.button(
                        "Look at it",
                        variant="soft",
                        on_click=[
                            DecideState.keep(False),
                            rx.redirect(f"{project_path}/t/{DecideState.dropped}/changes"),
                        ],
                    )
                ),
                rx.alert_dialog.action(rx.button("Accept", on_click=DecideState.decide_dropped("accept"))),
                class_name="v-row v-end",
            ),
            max_width="480px",
        ),
        open=DecideState.dropped != "",
        on_open_change=DecideState.keep,
    )
