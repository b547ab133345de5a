"""old output is compressed; when a session was last heard"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic.util import CommandError

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What this revision knows of the tables; the models go their own way.
_SESSIONS = sa.table(
    "sessions",
    sa.column("id", sa.Uuid()),
    sa.column("status", sa.String()),
    sa.column("output", sa.Text()),
    sa.column("heard_at", sa.Float()),
    sa.column("archived_at", sa.DateTime(timezone=True)),
)
_ARCHIVES = sa.table(
    "session_archives",
    sa.column("session_id", sa.Uuid()),
    sa.column("last_seq", sa.Integer()),
    sa.column("codec", sa.String()),
    sa.column("data", sa.LargeBinary()),
)
_EVENTS = sa.table(
    "session_events",
    sa.column("session_id", sa.Uuid()),
    sa.column("seq", sa.Integer()),
    sa.column("type", sa.String()),
    sa.column("text", sa.Text()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_CLOCK = {
    "postgresql": "extract(epoch from clock_timestamp())::float8",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")


def upgrade() -> None:
    op.add_column("sessions", sa.Column("heard_at", sa.Float(), nullable=True))
    op.add_column("sessions", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "sessions_not_archived",
        "sessions",
        ["completed_at"],
        unique=False,
        sqlite_where=sa.text("archived_at IS NULL"),
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_table(
        "session_archives",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("last_seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("codec", sa.String(length=16), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("session_id", "last_seq"),
    )
    clock = sa.text(_CLOCK[op.get_bind().dialect.name])
    op.execute(sa.update(_SESSIONS).where(_SESSIONS.c.status == "running").values(heard_at=clock))


def downgrade() -> None:
    _unpack_all(op.get_bind())
    op.drop_table("session_archives")
    op.drop_index("sessions_not_archived", table_name="sessions")
    op.drop_column("sessions", "archived_at")
    op.drop_column("sessions", "heard_at")


def _unpack_all(connection: sa.Connection) -> None:
    """Give every archived session its events' rows and its whole output back."""
    archived = connection.execute(sa.select(_ARCHIVES.c.session_id).distinct()).scalars().all()
    for session_id in archived:
        output = ""
        for number, text in _parts(connection, session_id):
            if number == 0:
                output = text
                break
            events = [json.loads(line) for line in text.split("\n")]
            connection.execute(sa.insert(_EVENTS), [_row(connection, session_id, event) for event in events])
            output += "".join(text for _, kind, _, text in events if kind == "output")
        else:
            output = _COLOUR.sub("", output)
        connection.execute(
            sa.update(_SESSIONS)
            .where(_SESSIONS.c.id == session_id, _SESSIONS.c.archived_at.is_not(None))
            .values(output=output)
        )


def _parts(connection: sa.Connection, session_id: Any) -> Iterator[tuple[int, str]]:
    """Yield the parts of a session's archive in order, the plain output (number 0) last."""
    numbers = connection.execute(
        sa.select(_ARCHIVES.c.last_seq)
        .where(_ARCHIVES.c.session_id == session_id)
        .order_by(_ARCHIVES.c.last_seq == 0, _ARCHIVES.c.last_seq)
    )
    for number in numbers.scalars().all():
        part = connection.execute(
            sa.select(_ARCHIVES.c.codec, _ARCHIVES.c.data).where(
                _ARCHIVES.c.session_id == session_id, _ARCHIVES.c.last_seq == number
            )
        ).one()
        try:
            if part.codec != "zlib":
                raise ValueError(f"unknown codec {part.codec}")
            yield number, zlib.decompress(part.data).decode()
        except (zlib.error, ValueError) as error:
            raise CommandError(
                f"The archive of session {session_id} up to event {number} is damaged ({error}), nothing was "
                "changed: restore it from a backup, or delete that row of session_archives, and go on"
            ) from error


def _row(connection: sa.Connection, session_id: Any, event: list[Any]) -> dict[str, Any]:
    seq, kind, ticks, text = event
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks)
    if connection.dialect.name == "sqlite":
        moment = moment.replace(tzinfo=None)
    return {"session_id": session_id, "seq": seq, "type": kind, "text": text, "created_at": moment}
