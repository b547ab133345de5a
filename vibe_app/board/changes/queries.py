"""The queries of changes and of comments on them. A guarded update is the rule; nobody can win twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.changes.models import Change, Comment
from vibe_app.board.changes.schemas import ChangeCard, RequestView
from vibe_app.board.lifecycle import LIVE, OPEN_CHANGE, CommentState
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.models import Task
from vibe_app.db import Transaction, rows_changed
from vibe_app.wire import now

CHANGES = "changes"
"""Is announced where somebody has said what is to be done with a change."""
BASES = "bases"
"""Is announced where a base branch has moved on while changes are open."""
REQUESTS = "requests"
"""Is announced where a host is to be asked at once how a pull request is."""
FRESH = timedelta(minutes=1)
"""For how long what was looked up of a pull request is good enough for whoever asks."""

# Files with comments whose texts come before others.
_COMMENTED = 200

is_open: ColumnElement[bool] = col(Change.state).in_(sorted(map(str, OPEN_CHANGE)))

_OF_CARDS = (
    *("state", "revision", "file_count", "additions", "deletions", "conflicts", "intent", "behind"),
    "delivery",
)
# What a card shows of its change, by names that no column of its session has.
CARD_FIELDS = [getattr(Change, name).label(f"change_{name}") for name in _OF_CARDS]


def card_of(row: Any) -> ChangeCard | None:
    """Make what a card shows of a selection of `CARD_FIELDS`; None where the card has no change."""
    if row.change_state is None:
        return None
    return ChangeCard(
        state=row.change_state,
        revision=row.change_revision,
        files=row.change_file_count,
        additions=row.change_additions,
        deletions=row.change_deletions,
        conflicts=bool(row.change_conflicts),
        request=request_of(row.change_delivery),
        busy=row.change_intent,
        behind=row.change_behind,
    )


def request_of(delivery: dict[str, Any] | None) -> RequestView | None:
    """Return the pull request that stands in what is kept of a delivery, None where there is none."""
    request = (delivery or {}).get("request")
    return RequestView.model_validate(request) if request else None


async def open_change(db: AsyncSession, task_id: UUID, *, lock: bool = False) -> Change | None:
    """Return the card's open change. With `lock` nobody else decides about it until the transaction ends."""
    query = select(Change).where(col(Change.task_id) == task_id, is_open)
    if lock:
        # As it is now, and not as this transaction may have read it before.
        query = query.with_for_update().execution_options(populate_existing=True)
    return await db.scalar(query)


async def newest_change(db: AsyncSession, task_id: UUID) -> Change | None:
    """Return the card's open change, else the newest one that was decided about."""
    found = await db.scalar(
        select(Change).join(Task, col(Task.change_id) == col(Change.id)).where(col(Task.id) == task_id)
    )
    return found


async def write(db: AsyncSession, change_id: UUID, *where: ColumnElement[bool], **values: Any) -> bool:
    """Write columns of a change that fulfils some conditions; tell whether it did."""
    done = await db.execute(
        update(Change)
        .where(col(Change.id) == change_id, *where)
        .values(updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
    return rows_changed(done) == 1


async def base_moved(db: Transaction, project_id: UUID, commits: int, but: UUID | None = None) -> None:
    """Note that a project's base branch has moved on: its open changes are behind by so much more.

    What conflicted with it may fit by now, or the other way round: `changes.standing` asks for that.

    Args:
        db: The transaction.
        project_id: Whose.
        commits: By how many.
        but: A change that is not meant.
    """
    others = [col(Change.project_id) == project_id, is_open]
    if but is not None:
        others.append(col(Change.id) != but)
    moved = await db.execute(
        update(Change)
        .where(*others)
        .values(behind=col(Change.behind) + commits, conflicts=[])
        .execution_options(synchronize_session=False)
    )
    if rows_changed(moved):
        db.announce(BASES)


async def ask_now(db: Transaction, *where: ColumnElement[bool]) -> None:
    """Have hosts asked at once how the open pull requests of some changes are, unless that is `FRESH`."""
    done = await db.execute(
        update(Change)
        .where(col(Change.asks_at) > now(), col(Change.updated_at) < now() - FRESH, *where)
        .values(asks_at=now())
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done):
        db.announce(REQUESTS)


async def attach_comments(
    db: AsyncSession, change_id: UUID, comment_ids: Sequence[UUID], session_id: UUID
) -> list[Comment] | None:
    """Have a follow-up take open comments along; return them, oldest first, or None where one is not free."""
    if not comment_ids:
        return []
    wanted = list(dict.fromkeys(comment_ids))
    done = await db.execute(
        update(Comment)
        .where(
            col(Comment.id).in_(wanted),
            col(Comment.change_id) == change_id,
            col(Comment.state) == str(CommentState.OPEN),
            col(Comment.session_id).is_(None),
        )
        .values(session_id=session_id, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if rows_changed(done) != len(wanted):
        return None
    rows = await db.scalars(
        select(Comment)
        .where(col(Comment.session_id) == session_id)
        .order_by(col(Comment.path), col(Comment.line), col(Comment.created_at))
    )
    return list(rows)


async def commented(db: AsyncSession, change_id: UUID) -> list[str]:
    """Return the files of a change that have comments which are not resolved, most recent ones first."""
    rows = await db.execute(
        select(col(Comment.path))
        .where(col(Comment.change_id) == change_id, col(Comment.state) != str(CommentState.RESOLVED))
        .group_by(col(Comment.path))
        .order_by(func.max(col(Comment.created_at)).desc())
        .limit(_COMMENTED)
    )
    return list(rows.scalars())


async def is_checkpoint(db: AsyncSession, change: Change, revision: str) -> bool:
    """Whether a change has, or had before or after one of its runs, this checkpoint."""
    if revision == change.revision:
        return True
    rounds = or_(col(Session.revision_before) == revision, col(Session.revision_after) == revision)
    query = select(col(Session.id)).where(col(Session.change_id) == change.id, rounds)
    return await db.scalar(query.limit(1)) is not None


async def comments_sent(db: AsyncSession, session_id: UUID) -> None:
    """Note that the agent has the comments that a follow-up took along."""
    await _move_comments(db, session_id, state=str(CommentState.SENT))


async def release_comments(db: AsyncSession, session_id: UUID) -> None:
    """Give back the comments of a follow-up that the agent has never had."""
    await _move_comments(db, session_id, session_id=None)


async def unsettled(db: AsyncSession, project_id: UUID) -> list[Session]:
    """Sessions of a project that are over, and it is not known whether the agent has their comments."""
    rows = await db.scalars(
        select(Session).where(
            col(Session.project_id) == project_id,
            col(Session.status).not_in(sorted(map(str, LIVE))),
            col(Session.id).in_(
                select(col(Comment.session_id)).where(
                    col(Comment.project_id) == project_id,
                    col(Comment.state) == str(CommentState.OPEN),
                    col(Comment.session_id).is_not(None),
                )
            ),
        )
    )
    return list(rows)


class Told(NamedTuple):
    """What is known of a session's message once nothing is at work on it any more.

    Args:
        heard: Whether a conversation has it.
        conversation: Which, or which it was meant for; empty for none.
    """

    heard: bool
    conversation: str


async def settle(db: Transaction, session_id: UUID, told: Told) -> None:
    """Note of a session that is over whether the agent had what it was to say.

    If so its comments are sent, what it did in its card's tree meanwhile is kept, and the next follow-up goes
    on with that conversation, unless another session of the card has begun; else they are free.
    """
    if not told.heard:
        await release_comments(db, session_id)
    else:
        await comments_sent(db, session_id)
        if told.conversation:
            known = {"conversation_id": told.conversation}
            await db.execute(update(Session).where(col(Session.id) == session_id).values(known))
            await db.execute(update(Task).where(col(Task.last_session_id) == session_id).values(known))
        change_id = await db.scalar(select(col(Session.change_id)).where(col(Session.id) == session_id))
        if change_id is not None:
            undecided = col(Change.intent).is_(None)
            await write(db, change_id, is_open, undecided, intent="keep", intent_at=now())
    db.announce(CHANGES)


async def _move_comments(db: AsyncSession, taken_by: UUID, **values: Any) -> None:
    await db.execute(
        update(Comment)
        .where(col(Comment.session_id) == taken_by, col(Comment.state) == str(CommentState.OPEN))
        .values(updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
