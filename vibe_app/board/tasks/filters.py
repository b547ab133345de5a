"""Which cards of a board somebody wants to see."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_
from sqlmodel import col

from vibe_app.board.lifecycle import Priority
from vibe_app.board.tasks import attention
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.db import each_text
from vibe_app.wire import plain_text


@dataclass(frozen=True)
class Filter:
    """Which cards of a board are to be seen. What is empty leaves none out.

    Args:
        text: In their title or description; or their name, such as `CAL-14`.
        priorities: One of these.
        labels: One of these at least.
        assignees: One of these people.
        unassigned: Those of nobody, beside those of `assignees`.
        needs: Those that need this person.
        archived: Those of the archive, in place of those on the board; `conditions` leave that to who asks.
    """

    text: str = ""
    priorities: frozenset[Priority] = frozenset()
    labels: frozenset[str] = frozenset()
    assignees: frozenset[UUID] = frozenset()
    unassigned: bool = False
    needs: UUID | None = None
    archived: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return it for a query."""
        found: list[ColumnElement[bool]] = []
        if text := plain_text(self.text).strip():
            found.append(task_queries.containing(text))
        if self.priorities:
            found.append(col(Task.priority).in_(sorted(map(str, self.priorities))))
        if self.labels:
            label = each_text(col(Task.labels)).table_valued("value")
            found.append(exists().select_from(label).where(label.c.value.in_(sorted(self.labels))))
        if self.assignees or self.unassigned:
            theirs = col(Task.assignee_id).in_(sorted(self.assignees))
            found.append(or_(theirs, col(Task.assignee_id).is_(None)) if self.unassigned else theirs)
        if self.needs is not None:
            found.append(attention.needs(self.needs))
        return found


EVERYTHING = Filter()
