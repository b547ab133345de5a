"""What happened to a card: noted by the verb itself, where no row of a session or change says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from vibe_app.board.tasks.models import TaskActivity
from vibe_app.db import Transaction
from vibe_app.wire import now


class Kind(StrEnum):
    """What somebody did with a card, and what else happened to it."""

    MADE = "made"
    MOVED = "moved"
    EDITED = "edited"
    ASSIGNED = "assigned"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    DELETED = "deleted"
    RESTORED = "restored"
    STOPPED = "stopped"
    EXECUTED = "executed"
    """A session of it began; read from the sessions, as is the next."""
    FINISHED = "finished"
    COMMENTED = "commented"
    """Read from the comments on its change."""
    ACCEPTED = "accepted"
    """Read from its changes, as is the next."""
    DISCARDED = "discarded"


def note(
    db: Transaction,
    task_id: UUID,
    kind: Kind,
    user_id: UUID | None,
    details: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Note what somebody does with a card, in the transaction that does it.

    Args:
        db: The transaction.
        task_id: The card.
        kind: What it is.
        user_id: Who does it; None where nobody is known.
        details: Words and ids that say more, as JSON has them.
        at: When; now where nothing is said.
    """
    said = dict(details or {})
    db.add(TaskActivity(task_id=task_id, kind=kind.value, actor_id=user_id, at=at or now(), details=said))
