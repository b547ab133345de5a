"""Tells what happened to a card, in order: of what was noted, and of what other rows say of it anyway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import CompoundSelect, String, Text, Uuid, cast, func, literal, null, select, union_all
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require, task_of
from vibe_app.board.changes.models import Change, Comment
from vibe_app.board.pages import Page
from vibe_app.board.people import People, PersonView
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.activity import Kind
from vibe_app.board.tasks.models import Task, TaskActivity
from vibe_app.db import Database
from vibe_app.schema import Moment, View

_BEGINNING = 300
"""Characters of a comment, or of why a run failed, that are shown."""
_COLUMNS = ("at", "id", "kind", "actor_id", "word", "words", "details")
_NONE: Any = cast(null(), Text)


class ActivityView(View):
    """One thing that happened to a card."""

    id: str = Field(json_schema_extra={"example": "executed-6f9619ff-8b86-d011-b42d-00c04fc964ff"})
    kind: Kind
    at: Moment
    actor: PersonView | None = Field(description="Who did it; null for nobody, or whose account is gone")
    details: dict[str, Any] = Field(
        description="`moved`: from, to. `edited`: fields. `assigned`: assignee. `executed`: session_id, "
        "kind. `stopped`: session_id. `finished`: session_id, status, error. `commented`: comment_id, place, "
        "body. `accepted`, `discarded`: change_id. `restored`: what, the `card` or its `change`"
    )


class ActivityList(View):
    """A page of what happened to a card, the newest first."""

    activity: list[ActivityView]
    total_count: int


class Activity:
    """Tells what happened to cards.

    Args:
        database: Where that is kept.
        people: Who there is.
    """

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people

    async def read(
        self, actor: Actor, project_id: UUID, task_id: UUID, page: int = 1, page_size: int = 20
    ) -> Page[ActivityView]:
        """Return a page of what happened to a card, the newest first. For viewers.

        Raises:
            NotFound: The project has no such card.
        """
        everything = _everything(task_id).subquery()
        newest = (everything.c.at.desc(), everything.c.kind, everything.c.id)
        cut = select(everything).order_by(*newest).offset((page - 1) * page_size).limit(page_size)
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            total = await db.scalar(select(func.count()).select_from(everything))
            rows: list[Any] = list((await db.execute(cut)).all())
            details = [_details(row) for row in rows]
            people: set[UUID | None] = {row.actor_id for row in rows}
            people |= {_assignee(each) for each in details}
            names = await self._people.names(db, {each for each in people if each is not None})
        return Page([_view(row, each, names) for row, each in zip(rows, details, strict=True)], total or 0)


def _everything(task_id: UUID) -> CompoundSelect[Any]:
    """What other rows say of a card beside what was noted: its making, its sessions, comments and changes."""

    def part(at: Any, row_id: Any, kind: Any, actor_id: Any, *words: Any) -> Any:
        padded = [*words, *[cast(null(), Text)] * (3 - len(words))]
        said = (padded[0].label("word"), padded[1].label("words"), padded[2].label("details"))
        return select(
            at.label("at"), row_id.label("id"), kind.label("kind"), actor_id.label("actor_id"), *said
        )

    def called(kind: Kind) -> Any:
        return literal(kind.value, String(16))

    nobody: Any = cast(null(), Uuid)
    noted: Any = TaskActivity
    task: Any = Task
    session: Any = Session
    comment: Any = Comment
    change: Any = Change
    place = comment.path + ":" + cast(comment.line, Text)
    return union_all(
        part(noted.at, noted.id, noted.kind, noted.actor_id, _NONE, _NONE, cast(noted.details, Text)).where(
            col(noted.task_id) == task_id
        ),
        part(task.created_at, task.id, called(Kind.MADE), task.created_by).where(col(task.id) == task_id),
        part(
            session.created_at,
            session.id,
            called(Kind.EXECUTED),
            session.created_by,
            cast(session.kind, Text),
        ).where(col(session.task_id) == task_id, col(session.deleted_at).is_(None)),
        part(
            session.completed_at,
            session.id,
            called(Kind.FINISHED),
            nobody,
            cast(session.status, Text),
            func.substr(session.error, 1, _BEGINNING),
        ).where(
            col(session.task_id) == task_id,
            col(session.deleted_at).is_(None),
            col(session.completed_at).is_not(None),
        ),
        part(
            comment.created_at,
            comment.id,
            called(Kind.COMMENTED),
            comment.author_id,
            place,
            func.substr(comment.body, 1, _BEGINNING),
        ).where(col(comment.task_id) == task_id),
        part(change.decided_at, change.id, cast(change.state, String(16)), change.decided_by).where(
            col(change.task_id) == task_id, col(change.decided_at).is_not(None)
        ),
    )


def _details(row: Any) -> dict[str, Any]:
    match row.kind:
        case Kind.EXECUTED:
            return {"session_id": str(row.id), "kind": row.word}
        case Kind.FINISHED:
            return {"session_id": str(row.id), "status": row.word, "error": row.words}
        case Kind.COMMENTED:
            return {"comment_id": str(row.id), "place": row.word, "body": row.words}
        case Kind.ACCEPTED | Kind.DISCARDED if row.details is None:
            return {"change_id": str(row.id)}
        case _:
            return json.loads(row.details) if row.details else {}


def _assignee(details: Mapping[str, Any]) -> UUID | None:
    return UUID(details["assignee_id"]) if details.get("assignee_id") else None


def _view(row: Any, details: dict[str, Any], names: Mapping[UUID, str]) -> ActivityView:
    def person(user_id: UUID | None) -> PersonView | None:
        return PersonView(id=user_id, name=names[user_id]) if user_id and user_id in names else None

    if row.kind == Kind.ASSIGNED:
        found = person(_assignee(details))
        details = {"assignee": found.model_dump(mode="json") if found else None}
    return ActivityView(
        id=f"{row.kind}-{row.id}", kind=row.kind, at=row.at, actor=person(row.actor_id), details=details
    )
