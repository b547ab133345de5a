"""Migrations on both kinds of database: up they give what the models say, and they lead back to nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, Table, delete, insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from tests.conftest import BOTH, ROOT, alembic_config, in_thread
from tests.waiting import eventually
from vibe_app.db import Database
from vibe_app.runs import archive
from vibe_app.runs.archive import Archive


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


async def tables(url: str) -> dict[str, set[str]]:
    """Return the tables of a database and the columns of each."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            columns = await connection.run_sync(lambda sync: inspect(sync).get_multi_columns())
    finally:
        await engine.dispose()
    return {name: {column["name"] for column in found} for (_, name), found in columns.items()}


async def run(url: str, *statements: str) -> list[str]:
    """Run statements in one transaction; return the first column of what the last one finds."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for statement in statements[:-1]:
                await connection.execute(text(statement))
            return [str(row[0]) for row in await connection.execute(text(statements[-1]))]
    finally:
        await engine.dispose()


def test_the_newest_migration_is_what_the_models_say(database_url: str) -> None:
    in_thread(partial(command.check, alembic_config(database_url)))


async def test_the_tables_that_are_promised_exist(database_url: str) -> None:
    promised = {"users", "projects", "project_members", "tasks", "sessions", "session_events"}
    assert promised <= (await tables(database_url)).keys()


async def test_migrations_lead_down_to_nothing_and_up_again(database_url: str) -> None:
    before = await tables(database_url)
    config = alembic_config(database_url)
    in_thread(partial(command.downgrade, config, "base"))
    assert (await tables(database_url)).keys() == {"alembic_version"}
    in_thread(partial(command.upgrade, config, "head"))
    assert await tables(database_url) == before
    in_thread(partial(command.check, config))


async def test_going_up_once_more_keeps_what_is_there(database_url: str) -> None:
    names = "SELECT name FROM projects"
    values = f"'{uuid4()}', 'Kept', '', 1, 'stopped', '2026-01-01', '2026-01-01', '2026-01-01'"
    columns = (
        "id, name, description, session_limit, workspace_status, workspace_used_at, created_at, updated_at"
    )
    assert await run(database_url, f"INSERT INTO projects ({columns}) VALUES ({values})", names) == ["Kept"]
    in_thread(partial(command.upgrade, alembic_config(database_url), "head"))
    assert await run(database_url, names) == ["Kept"]


async def test_several_at_once_end_well(empty_database: str, database_url: str) -> None:
    """As where all replicas of a new version start together: one migrates, the others find it done."""
    await upgrade_twice_at_once(empty_database)
    assert await tables(empty_database) == await tables(database_url)
    assert len(await run(empty_database, "SELECT version_num FROM alembic_version")) == 1


async def test_one_that_fails_leaves_nothing_half_done(empty_database: str) -> None:
    await run(empty_database, "CREATE TABLE sessions (id INTEGER)", "SELECT 1")
    with pytest.raises(Exception, match="sessions"):
        in_thread(partial(command.upgrade, alembic_config(empty_database), "head"))
    assert (await tables(empty_database)).keys() == {"sessions"}


async def upgrade_twice_at_once(url: str) -> None:
    command_line = [sys.executable, "-m", "alembic", "-x", f"url={url}", "upgrade", "head"]
    started = [
        await asyncio.create_subprocess_exec(*command_line, cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [(await process.communicate())[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)


class First:
    """A database of the first revision, seen through that revision's tables whatever becomes of it.

    As the models of the version before would: it names the columns that it knows,
    and no others.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.config = alembic_config(url)
        self.tables: dict[str, Table] = {}
        self._engine = create_async_engine(url)

    async def open(self) -> None:
        in_thread(partial(command.upgrade, self.config, "0001"))
        metadata = MetaData()
        await self.do(metadata.reflect)
        self.tables = {name: table for name, table in metadata.tables.items() if name != "alembic_version"}

    async def close(self) -> None:
        await self._engine.dispose()

    async def do(self, work: Callable[[Connection], Any]) -> Any:
        """Do something in one transaction."""
        async with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                await connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            return await connection.run_sync(work)

    async def run(self, statement: Any) -> list[Any]:
        """Run one statement; return the rows that it finds."""

        def execute(db: Connection) -> list[Any]:
            found = db.execute(statement)
            return list(found) if found.returns_rows else []

        return await self.do(execute)

    async def add(self, table: str, *rows: dict[str, Any]) -> None:
        await self.do(lambda db: db.execute(insert(self.tables[table]), [self.values(row) for row in rows]))

    def values(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write ids as the database keeps them."""
        plain = self._engine.dialect.name == "sqlite"
        return {name: v.hex if plain and isinstance(v, UUID) else v for name, v in row.items()}

    async def everything(self) -> dict[str, list[str]]:
        """Return all that it holds."""

        def read(db: Connection) -> dict[str, list[str]]:
            return {
                name: sorted(str(tuple(row)) for row in db.execute(select(table)))
                for name, table in self.tables.items()
            }

        return await self.do(read)

    async def migrate(self, to: Callable[..., None], revision: str) -> None:
        # Alembic's own connection must not find this one's transaction in its way.
        await self.close()
        in_thread(partial(to, self.config, revision))


LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
STATUSES = {
    "pending": "IN_PROGRESS",
    "running": "IN_PROGRESS",
    "completed": "AI_REVIEW",
    "failed": "TODO",
    "cancelled": "DONE",
}


def project_row(**values: Any) -> dict[str, Any]:
    row = dict.fromkeys(("workspace_used_at", "created_at", "updated_at"), LONG_AGO)
    row |= {
        "id": uuid4(),
        "name": "Shop",
        "description": "",
        "session_limit": 1,
        "workspace_status": "stopped",
    }
    return row | values


def task_row(project: UUID, status: str, **values: Any) -> dict[str, Any]:
    row = {"id": uuid4(), "project_id": project, "title": "Ä title", "description": "", "priority": "high"}
    row |= {"labels": ["a", "b"], "status": status, "position": 1.5}
    return row | dict.fromkeys(("created_at", "updated_at"), LONG_AGO) | values


def session_row(project: UUID, task: UUID, status: str, **values: Any) -> dict[str, Any]:
    row = {"id": uuid4(), "task_id": task, "project_id": project, "status": status, "prompt": "Write it"}
    row |= {"output": "", "model": "rehearsal", "last_line": "", "priority": 1, "phase": ""}
    row |= dict.fromkeys(("epoch", "cursor", "crashes", "last_seq"), 0)
    row |= dict.fromkeys(("lease_until", "not_before"), 0.0) | {"stop_requested": False, "attempt": 1}
    return row | dict.fromkeys(("created_at", "updated_at"), LONG_AGO) | values


def event_rows(session: UUID, count: int) -> list[dict[str, Any]]:
    rows = []
    for seq in range(1, count + 1):
        row = {"type": "done" if seq == count else "output", "text": f"\x1b[31mré {seq}\x1b[0m\n"}
        rows.append(
            {"session_id": session, "seq": seq, "created_at": LONG_AGO.replace(microsecond=seq)} | row
        )
    return rows


@pytest.fixture
async def first(empty_database: str) -> AsyncIterator[First]:
    """A database of the first revision with something of everything in it."""
    made = First(empty_database)
    await made.open()
    person, project = uuid4(), project_row(repo_url="https://example.org/a.git")
    when = {"created_at": LONG_AGO}
    account = {"id": person, "email": "ada@example.org", "name": "Ada", "password_hash": "x", "role": "admin"}
    until = {"expires_at": LONG_AGO}
    token = {"id": uuid4(), "user_id": person, "name": "ci", "token_hash": "y"}
    await made.add("users", account | when | {"updated_at": LONG_AGO})
    await made.add("logins", {"id": uuid4(), "user_id": person} | when | until)
    await made.add("access_tokens", token | when | until)
    await made.add("login_throttles", {"key": "ada", "failures": 2, "last_failure_at": LONG_AGO})
    await made.add("projects", project)
    member = {"project_id": project["id"], "user_id": person, "role": "owner"}
    await made.add("project_members", member | when)
    for status, column in STATUSES.items():
        task = task_row(project["id"], column, created_by=person)
        over = column != "IN_PROGRESS"
        ended = {"completed_at": LONG_AGO if over else None, "duration_ms": 7 if over else None}
        there = ended | {"deleted_at": None, "idempotency_key": None}
        count = 2500 if status == "completed" else 3
        output = "".join(f"ré {seq}\n" for seq in range(1, count))
        row = session_row(project["id"], task["id"], status, output=output, last_seq=count, **there)
        gone = row | {"id": uuid4(), "status": "failed", "output": "not what its events say"}
        gone |= {"completed_at": LONG_AGO, "deleted_at": LONG_AGO, "idempotency_key": "k"}
        await made.add("tasks", task | {"last_session_id": row["id"]})
        await made.add("sessions", row, gone)
        await made.add("session_events", *event_rows(row["id"], count), *event_rows(gone["id"], 3))
    yield made
    await made.close()


async def test_a_full_database_goes_up_and_down_without_loss(first: First) -> None:
    before = await first.everything()
    assert all(before.values())
    await first.migrate(command.upgrade, "head")
    assert await first.everything() == before
    await first.migrate(command.downgrade, "0001")
    assert await first.everything() == before


async def compress(url: str) -> int:
    database = Database(url)
    try:
        return await Archive(database, 1).compress_due()
    finally:
        await database.close()


async def test_what_was_compressed_is_unpacked_on_the_way_down(first: First) -> None:
    before = await first.everything()
    await first.migrate(command.upgrade, "head")
    assert await compress(first.url) == 3 + 5  # the finished ones, and those that are marked as deleted
    left = await first.everything()
    assert {name: rows for name, rows in left.items() if name not in ("sessions", "session_events")} == {
        name: rows for name, rows in before.items() if name not in ("sessions", "session_events")
    }
    assert len(left["session_events"]) == 2 * 3
    await first.migrate(command.downgrade, "0001")
    assert await first.everything() == before


async def test_what_was_compressed_in_part_is_unpacked_too(
    first: First, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "REST", 600.0)
    before = await first.everything()
    await first.migrate(command.upgrade, "head")
    compressing = asyncio.create_task(compress(first.url))
    await eventually(partial(run, first.url, "SELECT last_seq FROM session_archives"))
    compressing.cancel()
    await asyncio.gather(compressing, return_exceptions=True)
    await first.migrate(command.downgrade, "0001")
    assert await first.everything() == before


async def test_a_damaged_archive_is_not_thrown_away(first: First) -> None:
    await first.migrate(command.upgrade, "head")
    await compress(first.url)
    await run(first.url, "UPDATE session_archives SET codec = 'of the future' WHERE last_seq = 3", "SELECT 1")
    there = await first.everything()
    with pytest.raises(CommandError, match="is damaged"):
        await first.migrate(command.downgrade, "0001")
    assert await first.everything() == there
    assert await run(first.url, "SELECT count(*) FROM session_archives") != ["0"]


async def test_a_full_database_is_migrated_twice_at_once(first: First) -> None:
    before = await first.everything()
    await first.close()
    await upgrade_twice_at_once(first.url)
    assert await first.everything() == before


async def test_the_version_before_goes_on_on_the_new_tables(first: First) -> None:
    """While a new version takes over, processes of the one before still read and write."""
    await first.migrate(command.upgrade, "head")
    project = project_row(name="New")
    task = task_row(project["id"], "IN_PROGRESS", last_session_id=uuid4())
    session = session_row(project["id"], task["id"], "pending", id=task["last_session_id"])
    await first.add("projects", project)
    await first.add("tasks", task)
    await first.add("sessions", session)
    sessions, events = first.tables["sessions"], first.tables["session_events"]
    this = first.values(session)["id"]
    claimed = {"status": "running", "owner": "before", "epoch": 1, "lease_until": 9.0, "started_at": LONG_AGO}
    ended = {"status": "completed", "owner": None, "output": "Hello", "completed_at": LONG_AGO, "last_seq": 3}
    for values in (claimed, ended):
        await first.run(update(sessions).where(sessions.c.id == this).values(**values))
    await first.add("session_events", *event_rows(session["id"], 3))
    (row,) = await first.run(select(sessions).where(sessions.c.id == this))
    assert (row.status, row.owner, row.output, row.last_seq) == ("completed", None, "Hello", 3)
    assert len(await first.run(select(events).where(events.c.session_id == this))) == 3
    projects = first.tables["projects"]
    await first.run(delete(projects).where(projects.c.name == "New"))
    assert not await first.run(select(events).where(events.c.session_id == this))


async def test_costs_go_up_and_down_and_a_cost_of_0_is_not_known(first: First) -> None:
    sessions = first.tables["sessions"]
    for status, cost in {"completed": 0.123456789, "failed": 0.0, "pending": None}.items():
        await first.run(update(sessions).where(sessions.c.status == status).values(cost=cost))
    before = await first.everything()
    await first.migrate(command.upgrade, "head")
    exact = "SELECT cost_nano FROM sessions WHERE status = '{}' AND deleted_at IS NULL"
    assert await run(first.url, exact.format("completed")) == ["123456789"]
    for status in ("failed", "pending"):
        assert await run(first.url, exact.format(status)) == ["None"]
    await first.migrate(command.downgrade, "0001")
    assert await first.everything() == before


async def test_what_was_counted_since_stays_as_a_cost_on_the_way_down(first: First) -> None:
    await first.migrate(command.upgrade, "head")
    counted = (
        "UPDATE sessions SET model_requests = 2, cost_nano = {}, unpriced_requests = {} WHERE status = '{}'"
    )
    await run(
        first.url,
        counted.format(210_000_000, 0, "completed"),
        counted.format(210_000_000, 1, "failed"),
        "SELECT 1",
    )
    await first.migrate(command.downgrade, "0010")
    assert await run(first.url, "SELECT cost FROM sessions WHERE status = 'completed'") == ["0.21"]
    assert set(await run(first.url, "SELECT cost FROM sessions WHERE status = 'failed'")) == {"None"}


async def test_projects_are_given_keys_and_cards_without_a_number_theirs(first: First) -> None:
    """An older server that still runs makes cards without one; they come after those that have one."""
    await first.migrate(command.upgrade, "0017")
    tasks, projects = first.tables["tasks"], first.tables["projects"]
    (shop,) = await first.run(select(projects.c.id))
    one, two = (task_row(shop.id, "TODO", created_at=LONG_AGO.replace(year=2027 + n)) for n in range(2))
    await first.add("projects", project_row(name="Über uns"))
    await first.add("tasks", two, one)
    before = await first.everything()
    await first.migrate(command.upgrade, "0018")
    assert sorted(await run(first.url, "SELECT key FROM projects")) == ["SHO", "UU"]
    numbers = "SELECT number FROM tasks ORDER BY created_at, number"
    assert await run(first.url, numbers) == [str(n) for n in range(1, len(STATUSES) + 3)]
    assert await run(first.url, "SELECT next_number FROM projects WHERE key = 'SHO'") == [
        str(len(STATUSES) + 3)
    ]
    newest = select(tasks.c.id).order_by(tasks.c.created_at.desc()).limit(1)
    assert [row.id for row in await first.run(newest)] == [first.values(two)["id"]]
    await first.migrate(command.downgrade, "0017")
    assert await first.everything() == before


async def test_who_has_a_card_may_leave_and_the_card_stays(database_url: str) -> None:
    """The reference to a person was added to the table of cards, whose conditions are still there."""
    first = First(database_url)
    project, person = project_row(), uuid4()
    metadata = MetaData()
    await first.do(metadata.reflect)
    first.tables = dict(metadata.tables)
    account = {"id": person, "email": "ada@example.org", "name": "Ada", "password_hash": "x", "role": "admin"}
    account |= {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    await first.add("users", account)
    await first.add("projects", project | {"next_number": 2})
    task = task_row(project["id"], "TODO", assignee_id=person, version=1)
    await first.add("tasks", task)
    with pytest.raises(IntegrityError):
        await first.add("tasks", task | {"id": uuid4(), "status": "NOWHERE"})
    await first.run(delete(first.tables["users"]))
    assert await run(database_url, "SELECT assignee_id FROM tasks") == ["None"]
    await first.close()
