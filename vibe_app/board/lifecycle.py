"""Both state machines as tables of moves. Pure: no database, no clock.

The tables are read twice: to say no with a sentence, and in the `WHERE` of every
guarded update, so that a race is decided by the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class TaskStatus(StrEnum):
    """The five columns of the board."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    AI_REVIEW = "AI_REVIEW"
    HUMAN_REVIEW = "HUMAN_REVIEW"
    DONE = "DONE"

    @property
    def column(self) -> str:
        """The column's name as people see it."""
        words = self.value.replace("_", " ").capitalize()
        return words.replace("Ai ", "AI ").replace("Todo", "To do")


class SessionStatus(StrEnum):
    """How far a run has come. The last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SessionKind(StrEnum):
    """Why the agent was started."""

    EXECUTE = "execute"
    """A new conversation about the card."""
    FOLLOW_UP = "follow_up"
    """A message in the card's conversation."""
    SOLVE = "solve"
    """A follow-up of ours: the agent brings the base branch into the card's tree."""


class ChangeState(StrEnum):
    """What is decided of a card's change. The last two are final."""

    OPEN = "open"
    ACCEPTING = "accepting"
    """Its commit is made and the base branch is being moved to it."""
    ACCEPTED = "accepted"
    DISCARDED = "discarded"


class CommentState(StrEnum):
    """How far a comment on a change has come."""

    OPEN = "open"
    SENT = "sent"
    """The agent has it."""
    RESOLVED = "resolved"


class WorkspaceStatus(StrEnum):
    """How a workspace is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


class Priority(StrEnum):
    """How urgent a task is, from least to most; decides the order of waiting sessions."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """0 for the least urgent."""
        return list(Priority).index(self)


SESSION_MOVES: Mapping[SessionStatus, frozenset[SessionStatus]] = {
    SessionStatus.PENDING: frozenset({SessionStatus.RUNNING, SessionStatus.FAILED, SessionStatus.CANCELLED}),
    SessionStatus.RUNNING: frozenset(
        {SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.CANCELLED}
    ),
    SessionStatus.COMPLETED: frozenset(),
    SessionStatus.FAILED: frozenset(),
    SessionStatus.CANCELLED: frozenset(),
}

LIVE = frozenset(status for status, onward in SESSION_MOVES.items() if onward)

# Where the card goes when its session ends; while it is live, the card is IN_PROGRESS.
TASK_AFTER: Mapping[SessionStatus, TaskStatus] = {
    SessionStatus.COMPLETED: TaskStatus.AI_REVIEW,
    SessionStatus.FAILED: TaskStatus.TODO,
    SessionStatus.CANCELLED: TaskStatus.TODO,
}

# From where a follow-up starts; it returns there where it does not succeed. To do only with a change.
FOLLOW_UP_FROM = frozenset({TaskStatus.TODO, TaskStatus.AI_REVIEW, TaskStatus.HUMAN_REVIEW})

OPEN_CHANGE = frozenset({ChangeState.OPEN, ChangeState.ACCEPTING})

# Moves by hand: every one between columns, but IN_PROGRESS belongs to live sessions.
_BY_HAND = frozenset(set(TaskStatus) - {TaskStatus.IN_PROGRESS})
TASK_MOVES: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    status: _BY_HAND if status in _BY_HAND else frozenset() for status in TaskStatus
}


def session_sources(target: SessionStatus) -> frozenset[SessionStatus]:
    """Return the statuses from which a session may move to `target`."""
    return frozenset(status for status, onward in SESSION_MOVES.items() if target in onward)
