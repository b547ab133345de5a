"""What the database itself remembers of a soak: a trigger notes each move of a session as it is made.

The notes tell what polling could miss: who held which session when, and every
status in between. They are the soak's own; the app does not know of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from vibe_app.db import Database
from vibe_app.errors import Unavailable

log = logging.getLogger(__name__)

_NOTED = ("status", "owner", "epoch", "crashes", "attempt", "stop_requested")
_COLUMNS = ("session_id", "project_id", "task_id", *_NOTED, *(f"was_{name}" for name in _NOTED))
_CHANGED = " OR ".join(f"OLD.{name} IS {{}} NEW.{name}" for name in _NOTED)
_NEW = "NEW.id, NEW.project_id, NEW.task_id, " + ", ".join(f"NEW.{name}" for name in _NOTED)
_OLD = ", ".join(f"OLD.{name}" for name in _NOTED)
_NOTHING = ", ".join("NULL" for _ in _NOTED)
_INSERT = f"INSERT INTO soak_history ({', '.join(_COLUMNS)}) VALUES ({{}});"

_TYPES = "status TEXT, owner TEXT, epoch INTEGER, crashes INTEGER, attempt INTEGER, stop_requested BOOLEAN"
_WAS = ", ".join(f"was_{column}" for column in _TYPES.split(", "))
_TABLE = "CREATE TABLE soak_history (id {}, at {}, session_id {}, project_id {}, task_id {}, {}, {})"

POSTGRESQL = (
    _TABLE.format(
        "BIGSERIAL PRIMARY KEY",
        "DOUBLE PRECISION DEFAULT extract(epoch FROM clock_timestamp())",
        *["UUID"] * 3,
        _TYPES,
        _WAS,
    ),
    f"""
    CREATE FUNCTION soak_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF TG_OP = 'INSERT' THEN {_INSERT.format(f"{_NEW}, {_NOTHING}")}
      ELSIF {_CHANGED.replace("{}", "DISTINCT FROM")} THEN {_INSERT.format(f"{_NEW}, {_OLD}")}
      END IF;
      RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER soak_note AFTER INSERT OR UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION soak_note()",
)
SQLITE = (
    _TABLE.format(
        "INTEGER PRIMARY KEY",
        "REAL DEFAULT ((julianday('now') - 2440587.5) * 86400.0)",
        *["TEXT"] * 3,
        _TYPES,
        _WAS,
    ),
    f"CREATE TRIGGER soak_new AFTER INSERT ON sessions BEGIN {_INSERT.format(f'{_NEW}, {_NOTHING}')} END",
    f"CREATE TRIGGER soak_moved AFTER UPDATE ON sessions WHEN {_CHANGED.replace('{}', 'NOT')}"
    f" BEGIN {_INSERT.format(f'{_NEW}, {_OLD}')} END",
)

_LIVE = "s.status IN ('pending', 'running') AND s.deleted_at IS NULL"
# One statement, so that it sees one moment.
_MOMENT = f"""
SELECT 'card without a session' AS what, CAST(t.id AS TEXT) AS which, 0 AS held, 0 AS allowed FROM tasks t
 WHERE t.status = 'IN_PROGRESS'
   AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.task_id = t.id AND {_LIVE})
UNION ALL SELECT 'session without its card', CAST(s.id AS TEXT), 0, 0 FROM sessions s
 JOIN tasks t ON t.id = s.task_id WHERE {_LIVE} AND t.status <> 'IN_PROGRESS'
UNION ALL SELECT 'project', CAST(p.id AS TEXT), count(*), p.session_limit FROM projects p
 JOIN sessions s ON s.project_id = p.id WHERE {_LIVE} AND (s.owner IS NOT NULL OR s.status = 'running')
 GROUP BY p.id, p.session_limit
UNION ALL SELECT 'pending', '', count(*), 0 FROM sessions s WHERE s.status = 'pending'
UNION ALL SELECT 'over', s.status, count(*), 0 FROM sessions s WHERE NOT ({_LIVE}) GROUP BY s.status
UNION ALL SELECT 'in mid-run', s.owner, count(*), 0 FROM sessions s
 WHERE s.status = 'running' AND s.last_seq > 0 AND s.owner IS NOT NULL GROUP BY s.owner
UNION ALL SELECT 'events', '', COALESCE(sum(s.last_seq), 0), 0 FROM sessions s
"""


@dataclass(frozen=True)
class Move:
    """One change of a session's row, in the order and at the time on the database's clock."""

    at: float
    session_id: UUID
    project_id: UUID
    status: str
    owner: str | None
    epoch: int
    crashes: int
    attempt: int
    stop_requested: bool
    was_status: str | None
    was_owner: str | None
    was_epoch: int | None
    was_crashes: int | None

    @property
    def claim(self) -> bool:
        """Whether somebody claimed the session."""
        return self.was_epoch is not None and self.epoch != self.was_epoch

    @property
    def takeover(self) -> bool:
        """Whether it was claimed while another claim still stood: that one's owner seems to have died."""
        return self.claim and self.was_owner is not None


def pid_of(owner: str) -> int:
    """Return the process of this name in the queue: host, process and a word, with hyphens between."""
    return int(owner.rsplit("-", 2)[1])


async def install(database: Database) -> None:
    """Have every move noted from now on."""
    async with database.transaction() as db:
        for statement in SQLITE if database.sqlite else POSTGRESQL:
            await db.execute(text(statement))


async def moves(database: Database) -> list[Move]:
    """Return every move in order."""
    async with database.read() as db:
        rows = (await db.execute(text("SELECT * FROM soak_history ORDER BY at, id"))).mappings().all()
    return [_move(row) for row in rows]


def _move(row: Mapping[Any, Any]) -> Move:
    names = Move.__dataclass_fields__
    values = {name: row[name] for name in names}
    ids = {name: UUID(str(row[name])) for name in ("session_id", "project_id")}
    return Move(**{**values, **ids, "stop_requested": bool(row["stop_requested"])})


class Sampler:
    """Looks at the database again and again.

    Args:
        database: Where to look.
        installation_limit: What must never be exceeded.

    Attributes:
        samples: How often it has looked.
        most: The most sessions that held a place at a time.
        troubles: What must never be seen.
        over: Finished sessions by status, when it last looked.
        looked: Set after each look, and then another one.
        mid_run: The processes that were named as owners of sessions that have said something, when it
            last looked.
        events: Events in the logged, when it last looked.
    """

    def __init__(self, database: Database, installation_limit: int) -> None:
        self.samples = self.most = self.events = self.pending = 0
        self.mid_run: set[int] = set()
        self.looked = asyncio.Event()
        self.over: dict[str, int] = {}
        self.troubles: list[str] = []
        self._database = database
        self._limit = installation_limit

    async def look_on(self, pause: float) -> None:
        """Look every `pause` seconds."""
        while True:
            try:
                await self.look()
            except Unavailable:
                log.info("no sample: the database is away")
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Look once.

        Raises:
            Unavailable: The database is away.
        """
        async with self._database.read() as db:
            rows = (await db.execute(text(_MOMENT))).all()
        self.samples += 1
        found: dict[str, int] = {}
        held = 0
        for what, which, count, allowed in rows:
            if what in ("card without a session", "session without its card"):
                self.troubles.append(f"seen in mid-run: {what}: {which}")
            elif what == "project":
                held += count
                if count > allowed:
                    self.troubles.append(f"seen in mid-run: {count} of {allowed} places of {which} taken")
            elif what == "over":
                found[which] = count
        named = {what: count for what, _, count, _ in rows}
        self.over = found
        self.mid_run = {pid_of(which) for what, which, _, _ in rows if what == "in mid-run"}
        self.events, self.pending = int(named["events"]), named["pending"]
        self.most = max(self.most, held)
        if held > self._limit:
            self.troubles.append(f"seen in mid-run: {held} of {self._limit} places of the installation taken")
        self.looked.set()
        self.looked = asyncio.Event()
