"""The queries of sessions. A guarded update is the rule; nobody can win twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.lifecycle import LIVE, SessionStatus, session_sources
from vibe_app.board.sessions.archive import BEGINNING
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.board.tasks.models import Task, kept
from vibe_app.db import Transaction, db_clock, octets, rows_changed
from vibe_app.errors import IllegalMove
from vibe_app.wire import now

_DELETED = select(col(Task.id)).where(~kept)
of_cards_that_are_there: ColumnElement[bool] = col(Session.task_id).not_in(_DELETED)
"""Of sessions whose card is not deleted."""

live: ColumnElement[bool] = col(Session.status).in_([str(status) for status in sorted(LIVE)]) & col(
    Session.deleted_at
).is_(None)


# A session holds one of its project's places while it is claimed or has once been accepted, but not while
# it only waits for its model's provider.
holds_place: ColumnElement[bool] = live & (
    col(Session.owner).is_not(None)
    | ((col(Session.status) == str(SessionStatus.RUNNING)) & col(Session.wait_from).is_(None))
)


PREVIEW_CHARS = BEGINNING
"""Characters of prompt and output that a list shows: what a compressed session still has in its row."""

_LONG = frozenset({"prompt", "output", "output_size", "message", "summary", "idempotency_key", "deleted_at"})
SUMMARY_CHARS = 4000
"""Characters of a summary that a list shows."""

# The three projections: what a card shows of its session, what a list does, and the whole. The long texts
# of the first two stay in the database. `silence` is for how many seconds nothing was heard of it: the
# database has written when, and only its own clock is compared with that.
CARD_FIELDS = [
    *(getattr(Session, name) for name in Session.model_fields if name not in _LONG),
    (db_clock() - col(Session.heard_at)).label("silence"),
]
PREVIEW_FIELDS = [
    *CARD_FIELDS,
    func.substr(col(Session.prompt), 1, PREVIEW_CHARS).label("prompt"),
    octets(col(Session.prompt)).label("prompt_size"),
    func.substr(col(Session.output), 1, PREVIEW_CHARS).label("output"),
    func.substr(col(Session.message), 1, PREVIEW_CHARS).label("message"),
    func.substr(col(Session.summary), 1, SUMMARY_CHARS).label("summary"),
    # What an earlier version has compressed is of unknown size; what is live has not come yet.
    case(
        (col(Session.output_size).is_not(None), col(Session.output_size)),
        (col(Session.archived_at).is_(None) & ~live, octets(col(Session.output))),
    ).label("output_size"),
]
WHOLE_FIELDS = [
    *CARD_FIELDS,
    *(col(field) for field in (Session.prompt, Session.output, Session.message, Session.summary)),
]


async def move_session(
    db: AsyncSession, session_id: UUID, target: SessionStatus, *extra: ColumnElement[bool], **values: Any
) -> None:
    """Move a session, or raise. `extra` conditions (a fence, say) are part of the rule.

    Raises:
        IllegalMove: No row is in a status that allows it.
    """
    if target is SessionStatus.RUNNING:
        values["heard_at"] = db_clock()
    done = await db.execute(
        update(Session)
        .where(
            col(Session.id) == session_id,
            col(Session.status).in_([str(status) for status in session_sources(target)]),
            col(Session.deleted_at).is_(None),
            *extra,
        )
        .values(status=str(target), updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != 1:
        raise IllegalMove(f"The session cannot become {target} any more.")


async def show_the_newest_left(db: AsyncSession, task_id: UUID, deleted: UUID) -> None:
    """Have a card show the newest of its sessions that are left, where it showed the deleted one."""
    newest = (
        select(col(Session.id))
        .where(col(Session.task_id) == task_id, col(Session.deleted_at).is_(None))
        .order_by(col(Session.created_at).desc(), col(Session.id))
        .limit(1)
    )
    await db.execute(
        update(Task)
        .where(col(Task.id) == task_id, col(Task.last_session_id) == deleted)
        .values(last_session_id=newest.scalar_subquery())
        .execution_options(synchronize_session=False)
    )


async def live_counts(db: AsyncSession, project_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many live sessions each project has."""
    rows = await db.execute(
        select(col(Session.project_id), func.count())
        .where(live, col(Session.project_id).in_(list(project_ids)))
        .group_by(col(Session.project_id))
    )
    return dict(rows.all())


async def stop_all(db: Transaction, project_id: UUID) -> None:
    """Ask every live session of a project to stop."""
    done = await db.execute(
        update(Session)
        .where(live, col(Session.project_id) == project_id)
        .values(stop_requested=True, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done):
        db.announce("stops", "queue")


async def at_work(db: AsyncSession, project_id: UUID) -> bool:
    """Tell whether some process works at a live session of a project."""
    query = select(col(Session.id)).where(
        live, col(Session.project_id) == project_id, col(Session.owner).is_not(None)
    )
    return await db.scalar(query.limit(1)) is not None


async def hold_all(db: AsyncSession, project_id: UUID) -> None:
    """Lock the live sessions of a project until the transaction ends, where the database has row locks."""
    query = select(col(Session.id)).where(live, col(Session.project_id) == project_id)
    await db.execute(query.order_by(col(Session.id)).with_for_update())


async def previews(
    db: AsyncSession, where: Sequence[ColumnElement[bool]], page: int, page_size: int
) -> tuple[Sequence[Any], int]:
    """Return one page of sessions' `PREVIEW_FIELDS`, newest first, and how many there are."""
    conditions = [col(Session.deleted_at).is_(None), *where]
    total = await db.scalar(select(func.count()).select_from(Session).where(*conditions))
    rows = await db.execute(
        select(*PREVIEW_FIELDS)
        .where(*conditions)
        .order_by(col(Session.created_at).desc(), col(Session.id))
        .offset((page - 1) * page_size)
        .limit(page_size)
    )
    return rows.all(), total or 0


async def session_row(db: AsyncSession, task_id: UUID, session_id: UUID, fields: Sequence[Any]) -> Any:
    """Return the `fields` of one session of a task, None where it has no such session."""
    return (
        await db.execute(
            select(*fields).where(
                col(Session.id) == session_id,
                col(Session.task_id) == task_id,
                col(Session.deleted_at).is_(None),
            )
        )
    ).one_or_none()


async def newest_session(db: AsyncSession, project_id: UUID) -> Any | None:
    """Return the `CARD_FIELDS` of the project's session that began last."""
    return (
        await db.execute(
            select(*CARD_FIELDS)
            .where(
                col(Session.project_id) == project_id,
                col(Session.deleted_at).is_(None),
                col(Session.started_at).is_not(None),
                of_cards_that_are_there,
            )
            .order_by(col(Session.started_at).desc(), col(Session.id))
            .limit(1)
        )
    ).one_or_none()


async def output_tail(db: AsyncSession, session_id: UUID, chars: int | None = None) -> str:
    """Return the last stretch of a live session's plain output, oldest first.

    Args:
        db: Where to look.
        session_id: Which session.
        chars: How much of it at most; None for its last 20 chunks whole.
    """
    text: Any = col(SessionEvent.text)
    if chars is not None:
        text = case((func.length(text) > chars, func.substr(text, func.length(text) - chars + 1)), else_=text)
    rows = await db.scalars(
        select(text)
        .where(col(SessionEvent.session_id) == session_id, col(SessionEvent.type) == "output")
        .order_by(col(SessionEvent.seq).desc())
        .limit(20)
    )
    tail = "".join(reversed(list(rows)))
    return tail if chars is None else tail[-chars:]


async def over_before_they_started(db: AsyncSession, session_ids: Sequence[UUID]) -> list[Session]:
    """Return those sessions that were over before it was known here that their agent had begun."""
    query = select(Session).where(
        col(Session.id).in_(session_ids),
        col(Session.started_at).is_(None),
        col(Session.status).not_in(sorted(map(str, LIVE))),
    )
    return list(await db.scalars(query))
