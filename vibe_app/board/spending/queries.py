"""The queries of what was spent. A request is a fact that is written once, whoever writes it; sums follow.

What a session has spent is always the sum of its rows, never an addition: so it does not matter who
copied a row, how often, or what broke off in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.spending.models import ModelRequest, ModelTotal
from vibe_app.db import Transaction, rows_changed

TOKENS = ("tokens_input", "tokens_output", "tokens_reasoning", "tokens_cache_read", "tokens_cache_write")
_SUMS = ("model_requests", "unpriced_requests", "cost_nano", *TOKENS)
MODELS = 500
"""Models of which `/metrics` tells apart at the most; each would be a time series."""
OTHERS = "other"
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Copied:
    """How far a project's requests were copied.

    Args:
        journal: The gateway's journal, empty where nothing was copied yet.
        number: The last request of it that is here.
    """

    journal: str = ""
    number: int = 0


async def copied(db: AsyncSession, project_id: UUID) -> Copied:
    """Return how far the requests of a project were copied, of the journal that was copied last."""
    journal = await db.scalar(
        select(col(ModelRequest.journal))
        .where(col(ModelRequest.project_id) == project_id)
        .order_by(col(ModelRequest.at).desc())
        .limit(1)
    )
    if journal is None:
        return Copied()
    number = await db.scalar(
        select(func.max(col(ModelRequest.number))).where(
            col(ModelRequest.project_id) == project_id, col(ModelRequest.journal) == journal
        )
    )
    return Copied(journal, number or 0)


async def known_sessions(db: AsyncSession, project_id: UUID, session_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the sessions that are there and the project's; they stay to the transaction's end."""
    if not session_ids:
        return set()
    rows = await db.scalars(
        select(col(Session.id)).where(col(Session.project_id) == project_id, col(Session.id).in_(session_ids))
    )
    return set(rows)


async def insert(db: Transaction, rows: Sequence[dict[str, Any]]) -> set[UUID]:
    """Write requests that are not there yet, and count them into the sums by model.

    Args:
        db: The transaction to do it in.
        rows: Columns of `ModelRequest`, in the order of their numbers.

    Returns:
        The sessions of which something is new.
    """
    if not rows:
        return set()
    statement = (
        _inserting(db, ModelRequest)
        .values(list(rows))
        .on_conflict_do_nothing()
        .returning(
            col(ModelRequest.session_id),
            col(ModelRequest.provider),
            col(ModelRequest.model),
            col(ModelRequest.cost_nano),
            *(getattr(ModelRequest, name) for name in TOKENS),
        )
    )
    new: list[Any] = list(await db.execute(statement))
    if new:
        await _add(db, new)
    return {row.session_id for row in new if row.session_id is not None}


def _inserting(db: AsyncSession, table: type[SQLModel]) -> Any:
    on_postgresql = db.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if on_postgresql else sqlite.insert(table)


async def _add(db: Transaction, new: Sequence[Any]) -> None:
    known = {
        (row.provider, row.model)
        for row in await db.execute(select(col(ModelTotal.provider), col(ModelTotal.model)))
    }
    sums: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in new:
        key = (row.provider, row.model)
        if key not in known and len(known) >= MODELS:
            key = (OTHERS, OTHERS)
        known.add(key)
        one, tokens = sums[key], sum(getattr(row, name) for name in TOKENS)
        one["requests"] += 1
        one["unpriced_requests"] += row.cost_nano is None
        one["unpriced_tokens"] += tokens if row.cost_nano is None else 0
        one["cost_nano"] += row.cost_nano or 0
        for name in TOKENS:
            one[name] += getattr(row, name)
    names = [name for name in ModelTotal.model_fields if name not in ("provider", "model")]
    # In one order, so that nobody waits for somebody who waits for him.
    statement = _inserting(db, ModelTotal).values(
        [
            {"provider": provider, "model": model} | {name: found[name] for name in names}
            for (provider, model), found in sorted(sums.items())
        ]
    )
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["provider", "model"],
            set_={name: getattr(ModelTotal, name) + statement.excluded[name] for name in names},
        )
    )


async def sums(db: AsyncSession, session_id: UUID) -> dict[str, int]:
    """Return what a session has spent, as columns of its row; nothing where nobody has counted."""
    found = await sums_of(db, col(ModelRequest.session_id) == session_id)
    # Two of the columns are older than the others, and narrower.
    return found | {name: min(found[name], _LARGEST) for name in ("tokens_input", "tokens_output") if found}


async def sums_of(db: AsyncSession, *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Return what requests have spent, as columns of a session's row; nothing where there is none."""
    row = (
        await db.execute(
            select(
                func.count().label("model_requests"),
                func.sum(case((col(ModelRequest.cost_nano).is_(None), 1), else_=0)).label(
                    "unpriced_requests"
                ),
                func.sum(col(ModelRequest.cost_nano)).label("cost_nano"),
                *(func.sum(getattr(ModelRequest, name)).label(name) for name in TOKENS),
            ).where(*conditions)
        )
    ).one()
    return (
        {name: int(value or 0) for name, value in zip(_SUMS, row, strict=True)} if row.model_requests else {}
    )


async def cut_off(db: AsyncSession, *conditions: ColumnElement[bool]) -> tuple[int, int]:
    """Return how many requests were broken off before all usage was told, and of how many no cost."""
    row = (
        await db.execute(
            select(func.count(), func.count() - func.count(col(ModelRequest.cost_nano))).where(
                col(ModelRequest.usage) == "part", *conditions
            )
        )
    ).one()
    return row[0], row[1]


async def settle(db: Transaction, session_id: UUID, *conditions: ColumnElement[bool]) -> bool:
    """Write what a session has spent into its row, where `conditions` hold; tell whether they did."""
    values = await sums(db, session_id)
    done = await db.execute(
        update(Session)
        .where(col(Session.id) == session_id, *conditions)
        .values(**values or {"model_requests": col(Session.model_requests)})
        .execution_options(synchronize_session=False)
    )
    return rows_changed(done) == 1


async def settle_over(db: Transaction, session_ids: Collection[UUID]) -> list[UUID]:
    """Write what sessions that are over have spent into their rows; return those that are."""
    return [each for each in sorted(session_ids) if await settle(db, each, ~session_queries.live)]


async def totals(db: AsyncSession) -> Sequence[ModelTotal]:
    """Return the sums by model."""
    return (
        await db.scalars(select(ModelTotal).order_by(col(ModelTotal.provider), col(ModelTotal.model)))
    ).all()
