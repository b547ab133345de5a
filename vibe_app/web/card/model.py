"""What a card says about its task and its run: pure words, no look (that is `card_face`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from vibe_app.board.lifecycle import LIVE, OPEN_CHANGE, SessionStatus, TaskStatus
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.spending.wording import spent_words
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.web.card.fields import marks_of

RUNNING = "Running"
"""The run line of a session that runs and waits for nothing."""


@dataclass
class Card:
    """What a card shows: small, since a column travels whole when it changes.

    `marks` is what its fields say on its face. `run` is the status of its latest session,
    `stopping` while that one is asked to stop, or empty. `words` is the run line; `line` the
    last line of output.
    `spent` is what it has spent of what it may, in words; `steps` how far it is on its own list.
    `change` tells that it has an open change, with `additions` and `deletions`; `behind` by how many
    commits the base branch has moved on since. `request` is the number of the pull request of an accepted
    one, with its address and state; 0 where there is none.
    `quiet` is since when nothing was heard of it, 0 where that is not worth a word.
    """

    id: str
    title: str
    priority: str
    labels: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    todo: bool = False
    locked: bool = False
    run: str = ""
    words: str = ""
    line: str = ""
    spent: str = ""
    steps: str = ""
    number: int = 0
    change: bool = False
    additions: int = 0
    deletions: int = 0
    conflicts: bool = False
    behind: int = 0
    request: int = 0
    request_url: str = ""
    request_state: str = ""
    since: int = 0
    quiet: int = 0


def card_of(task: TaskCard) -> Card:
    """Make the card of a task."""
    session = task.session
    card = Card(
        id=str(task.id),
        title=task.title,
        priority=task.priority.value,
        labels=task.labels[:6],
        marks=marks_of(task),
        todo=task.status is TaskStatus.TODO,
        locked=task.status is TaskStatus.IN_PROGRESS,
        number=task.number or 0,
    )
    if task.change is not None and task.change.state in OPEN_CHANGE and task.change.files:
        card.change, card.conflicts, card.behind = True, task.change.conflicts, task.change.behind
        card.additions, card.deletions = task.change.additions, task.change.deletions
    if task.change is not None and (request := task.change.request) is not None:
        card.request, card.request_url, card.request_state = request.number, request.url, request.state
    if session is None:
        return card
    card.run = "stopping" if session.stop_requested and is_live(session) else session.status.value
    card.words = run_words(session)
    card.spent = spent_words(session)
    if session.status is SessionStatus.RUNNING:
        card.line = session.last_line
        card.steps = steps_words(session)
        card.since = epoch_ms(session.started_at)
        card.quiet = epoch_ms(session.quiet_since)
    return card


def steps_words(session: SessionCard) -> str:
    """Say how far a run is on the agent's own list of things to do: `3 of 5: writes tests`."""
    steps = session.steps
    if steps is None or not steps.total:
        return ""
    words = f"{min(steps.done + bool(steps.current), steps.total)} of {steps.total}"
    return f"{words}: {steps.current}" if steps.current else words


def is_live(session: SessionCard) -> bool:
    """Tell whether the session waits or runs."""
    return session.status in LIVE


def run_words(session: SessionCard) -> str:
    """Say how a session is, in a few words."""
    if session.stop_requested and is_live(session):
        return "Stopping"
    match session.status:
        case SessionStatus.PENDING:
            return waiting_words(session.queue_position, session.waiting_for)
        case SessionStatus.RUNNING:
            # A run that was lost waits to be taken up again, and says for how long.
            return (
                waiting_words(session.queue_position, session.waiting_for) if session.waiting_for else RUNNING
            )
        case SessionStatus.COMPLETED:
            took = spent(session.duration_ms)
            return f"Asks you something, finished in {took}" if session.asking else f"Finished in {took}"
        case SessionStatus.FAILED:
            return f"Failed: {_first_line(session.error or 'no reason given')}"
        case SessionStatus.CANCELLED:
            return "Cancelled"
        case _:
            assert_never(session.status)


def waiting_words(position: int | None, reason: str | None) -> str:
    """Say what a session waits for.

    Args:
        position: Its place in line from 1, if it is in line.
        reason: `waiting_for` of its view.
    """
    reasons = {
        "project limit": "waits for this project's limit",
        "installation limit": "waits for this installation's limit",
        "workspace limit": "waits until fewer workspaces run",
    }
    if position is not None and reason in reasons:
        return f"Queued, {_ordinal(position)}: {reasons[reason]}"
    if reason == "workspace starting":
        return "Starting the workspace"
    if reason and reason.startswith("the provider"):
        return f"Waits for {reason}"
    if reason and reason.startswith("retry in"):
        return f"Trying again in {reason.removeprefix('retry in ')}"
    return "Starting"


def spent(duration_ms: int | None) -> str:
    """Write a duration as people say it: `2 min 31 s`."""
    if duration_ms is None:
        return "–"
    seconds = round(duration_ms / 1000)
    if seconds < 60:
        return f"{seconds} s" if duration_ms >= 950 else f"{duration_ms / 1000:.1f} s"
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"


def epoch_ms(moment: object) -> int:
    """Return a moment in milliseconds since 1970, as browsers count; 0 for none."""
    stamp = getattr(moment, "timestamp", None)
    return round(stamp() * 1000) if stamp else 0


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else ""
