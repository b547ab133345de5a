"""What is said of a card's run, on its face and in its drawer: pure words, no look."""

from __future__ import annotations

from typing import assert_never

from vibe_app.board.lifecycle import LIVE, SessionStatus
from vibe_app.board.sessions.schemas import SessionCard

RUNNING = "Running"
"""The run line of a session that runs and waits for nothing."""


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
