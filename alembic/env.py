"""Runs the migrations against the database of the settings (or of `-x url=…`).

All of them go in one transaction, behind a lock: whoever starts second waits, and
finds nothing left to do; one that fails leaves the database as it was.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, make_url, pool, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import vibe_app.accounts.models
import vibe_app.board.changes.models
import vibe_app.board.projects.models
import vibe_app.board.sessions.models
import vibe_app.board.spending.models
import vibe_app.board.tasks.models
import vibe_app.configuration.models
import vibe_app.jobs.models
import vibe_app.workspaces.models  # noqa: F401 - they fill the metadata
from alembic import context
from vibe_app.db import MIGRATION_LOCK, UtcDateTime, Word
from vibe_app.settings import load_settings

LOCK_SECONDS = 60
"""For how long SQLite waits for whoever writes."""


def _render(kind: str, item: object, _: object) -> str | bool:
    """Write our own column types as the plain ones they stand for: migrations outlive the code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Word):
        return f"sa.String({item.length})"
    return False


def _lock(connection: Connection) -> None:
    """Begin the transaction, and wait until no other migration is under way."""
    if connection.dialect.name == "sqlite":
        # By itself the driver begins only before the first row is written, and not with the write lock.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def _migrate(connection: Connection) -> None:
    _lock(connection)
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        render_item=_render,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    url = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    url = make_url(url or load_settings().database)
    waiting = {"timeout": LOCK_SECONDS} if url.get_backend_name() == "sqlite" else {}
    engine = create_async_engine(url, poolclass=pool.NullPool, connect_args=waiting)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await engine.dispose()


asyncio.run(_run())
