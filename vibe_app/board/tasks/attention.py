"""What needs a person: of which cards, and why. The same rule twice, for a row and for a query."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_
from sqlmodel import col

from vibe_app.board.changes.models import Change
from vibe_app.board.changes.queries import is_open
from vibe_app.board.changes.schemas import ChangeCard
from vibe_app.board.lifecycle import OPEN_CHANGE, ChangeState, SessionStatus, TaskStatus
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.board.tasks.models import Task, shown

REVIEW = (TaskStatus.AI_REVIEW, TaskStatus.HUMAN_REVIEW)


class Attention(StrEnum):
    """Why a card needs a person."""

    FAILED = "failed"
    """It is to be done, and its latest run has failed."""
    ANSWER = "answer"
    """It is in review, and its latest run ended with a question."""
    REVIEW = "review"
    """It is in review, and nobody has decided about its change."""


def attention_of(
    status: TaskStatus, session: SessionCard | None, change: ChangeCard | None
) -> Attention | None:
    """Return why a card needs a person; None where it does not."""
    if status is TaskStatus.TODO:
        failed = session is not None and session.status is SessionStatus.FAILED
        return Attention.FAILED if failed else None
    if status not in REVIEW:
        return None
    if session is not None and session.asking:
        return Attention.ANSWER
    undecided = change is not None and ChangeState(change.state) in OPEN_CHANGE and change.revision
    return Attention.REVIEW if undecided else None


def needs(user_id: UUID) -> ColumnElement[bool]:
    """Return whether a card stands on a board and needs a person, who may be this one.

    One that has an assignee needs nobody else.
    """
    latest = (col(Session.id) == col(Task.last_session_id)) & col(Session.deleted_at).is_(None)
    failed = exists().where(latest, col(Session.status) == str(SessionStatus.FAILED)).correlate(Task)
    asks = exists().where(latest, col(Session.asking).is_(True)).correlate(Task)
    its_change = (col(Change.id) == col(Task.change_id)) & is_open & col(Change.revision).is_not(None)
    undecided = exists().where(its_change).correlate(Task)
    in_review = col(Task.status).in_(sorted(map(str, REVIEW)))
    worked_on = col(Task.last_session_id).is_not(None) | col(Task.change_id).is_not(None)
    return (
        shown
        & (col(Task.status).in_([str(TaskStatus.TODO), *map(str, REVIEW)]))
        & worked_on
        & (col(Task.assignee_id).is_(None) | (col(Task.assignee_id) == user_id))
        & or_((col(Task.status) == str(TaskStatus.TODO)) & failed, in_review & (asks | undecided))
    )
