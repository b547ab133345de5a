"""The database: engines, and the one place that commits.

A transaction gathers the topics that it changed; they are published on the bus
after the commit and never before, so whoever wakes finds the new rows.
SQLite and PostgreSQL differ here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, DateTime, Float, Integer, String, event, make_url, text
from sqlalchemy.engine import CursorResult, Dialect, Engine, ExceptionContext, Result
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import SQLColumnExpression
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from vibe_app.bus import Bus
from vibe_app.errors import Unavailable

if TYPE_CHECKING:
    from vibe_app.notify import Replicas

log = logging.getLogger(__name__)

# Each number names one lock among all advisory locks of the database.
QUEUE_LOCK = 0x56494245
ACCOUNTS_LOCK = QUEUE_LOCK + 1
MIGRATION_LOCK = QUEUE_LOCK + 2
PLACES_LOCK = QUEUE_LOCK + 3

# Without these a server whose machine vanished would be waited for as long as TCP does: hours.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS (all but the last in seconds)
_POSTGRES_TIMEOUTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    # A replica that is frozen in mid-transaction would keep its locks, and every other one waiting, for as
    # long as it is. Ours are short: after 5 s without its next word one is undone. Written without a space,
    # which libpq and SQLAlchemy spell differently in an address.
    "options": "-cidle_in_transaction_session_timeout=5000",
}


_LONGEST_END = 10.0
"""Seconds for which it is waited that those give their connections back who were cancelled."""
# SQLite's codes, and PostgreSQL's: https://www.postgresql.org/docs/current/errcodes-appendix.html
_FULL = (sqlite3.SQLITE_FULL, "53100")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, "40001", "40P01", "55P03")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: aware in Python on both databases, though SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite gets it without a zone."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Word(TypeDecorator[Any]):
    """One word of an enumeration: its member in Python, the plain word in the database."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum], length: int = 16) -> None:
        super().__init__(length)
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write the plain word."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Make the member of it."""
        return None if value is None else self.kind(value)


class octets(FunctionElement[int]):
    """How many bytes a text has in UTF-8. PostgreSQL tells it without reading a long text."""

    type = Integer()
    inherit_cache = True


@compiles(octets, "postgresql")
def _octets_postgresql(element: octets, compiler: Any, **options: Any) -> str:
    return f"octet_length({compiler.process(element.clauses, **options)})"


@compiles(octets, "sqlite")
def _octets_sqlite(element: octets, compiler: Any, **options: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"


class each_text(FunctionElement[str]):
    """The texts of a list that is kept as JSON, one in a row; as a table it has them as `value`."""

    type = String()
    inherit_cache = True


@compiles(each_text, "postgresql")
def _each_text_postgresql(element: each_text, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)})"


@compiles(each_text, "sqlite")
def _each_text_sqlite(element: each_text, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


class utc_day(FunctionElement[str]):
    """The day of a moment in UTC, as `2026-12-24`."""

    type = String()
    inherit_cache = True


@compiles(utc_day, "postgresql")
def _utc_day_postgresql(element: utc_day, compiler: Any, **options: Any) -> str:
    return f"to_char({compiler.process(element.clauses, **options)} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"


@compiles(utc_day, "sqlite")
def _utc_day_sqlite(element: utc_day, compiler: Any, **options: Any) -> str:
    return f"date({compiler.process(element.clauses, **options)})"


def contains(column: SQLColumnExpression[str], text: str) -> ColumnElement[bool]:
    """Return whether a column contains a text, in small letters or capitals."""
    words = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.ilike(f"%{words}%", escape="\\")


class db_clock(FunctionElement[float]):
    """Seconds since 1970 on the database's clock: leases never trust a host's."""

    type = Float()
    inherit_cache = True


@compiles(db_clock, "postgresql")
def _clock_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


@compiles(db_clock, "sqlite")
def _clock_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Transaction(AsyncSession):
    """A database handle that also gathers the topics to announce after its commit."""

    def announce(self, *topics: str) -> None:
        """Publish these topics once this transaction is committed, and not if it is not."""
        self.info.setdefault("topics", set()).update(topics)


class Database:
    """The installation's database.

    Args:
        url: An SQLAlchemy address: `sqlite+aiosqlite:///…` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.bus = Bus()
        self.sqlite = url.startswith("sqlite")
        self._replicas: Replicas | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._uses: dict[asyncio.Future[None], asyncio.Task[Any] | None] = {}
        self._closed = False
        if self.sqlite:
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(url, "BEGIN", pool_size=8)
        else:
            url = _with_timeouts(url)
            self._writer = create_async_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)
            event.listen(self._writer.sync_engine, "handle_error", _forget_at_ping)
            _without_pipelines(self._writer.sync_engine)
            # Its own snapshot for the whole of a reading, which READ COMMITTED takes for each statement.
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            # psycopg takes a tenth of a second to import, which SQLite has no use for.
            from vibe_app.notify import Replicas

            self._replicas = Replicas(url, self.bus.publish, self.bus.resync)

    async def open(self) -> None:
        """Hear from now on what other replicas change (PostgreSQL); SQLite has none."""
        if self._replicas is not None:
            self._replicas.open()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open a transaction; commit it when the block ends well, undo it when it raises.

        This is the only commit of the program. Keep it short: on SQLite it is
        the one writer, and nothing may wait for the network inside it.

        Raises:
            Unavailable: The database does not answer or cannot write. Where that
                happens in the commit itself, nobody knows whether it was done:
                whoever tries again must do no harm by doing it twice.
        """
        db = Transaction(self._writer, expire_on_commit=False, autoflush=False)
        committing = False
        try:
            async with self._connected(db):
                yield db
                if self._replicas is not None and (topics := db.info.get("topics")):
                    await self._replicas.tell(db, topics)
                committing = True
                await db.commit()
        finally:
            # Also when it was broken off here: the commit may have been done, and a hint is only a hint.
            if committing and (topics := db.info.get("topics")):
                self.bus.publish(topics)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Open a handle for reading one consistent moment; it writes nothing.

        Raises:
            Unavailable: The database does not answer.
        """
        db = AsyncSession(self._reader, expire_on_commit=False, autoflush=False)
        async with self._connected(db):
            yield db

    @asynccontextmanager
    async def _connected(self, db: AsyncSession) -> AsyncGenerator[None]:
        """Connect a handle for as long as the block lasts, and say in a sentence what the database lacks."""
        if self._closed:
            raise Unavailable("The server is being stopped.", "database_unavailable")
        use = asyncio.get_running_loop().create_future()
        self._uses[use] = asyncio.current_task()
        try:
            await self._connect(db)
            try:
                yield
            finally:
                await asyncio.shield(self._apart(self._give_back(db)))
        except (DBAPIError, PoolTimeout) as error:
            if sentence := _fault(error):
                raise Unavailable(sentence, "database_unavailable") from error
            raise
        finally:
            del self._uses[use]
            use.set_result(None)

    async def _connect(self, db: AsyncSession) -> None:
        """Connect a handle: by a connection of the pool, or by one that is made for it.

        SQLAlchemy forgets a connection, open as it is, whose user is cancelled while it is being made. So it
        does with one of its pool that is being prepared for a reading: the engine's options are set when it
        has left the pool and belongs to nobody yet, and psycopg may let others go first with each of them.
        So it is had apart, and given back once it is there where nobody waits for it any more.
        """
        connecting = asyncio.ensure_future(db.connection())
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            self._apart(self._give_up(db, connecting))
            raise

    async def _give_up(self, db: AsyncSession, connecting: asyncio.Future[AsyncConnection]) -> None:
        """Give the connection back as soon as it is there, or cannot be had."""
        with suppress(DBAPIError, PoolTimeout):
            await connecting
        await self._give_back(db)

    async def _give_back(self, db: AsyncSession) -> None:
        """Give the connection back, whatever happened to it: what was done or refused on it stands."""
        try:
            # A pool that was closed meanwhile would keep it open.
            await (db.invalidate() if self._closed else db.close())
        except DBAPIError as error:
            log.warning("database: a connection was lost before it was given back: %s", error.orig)

    def _apart(self, ending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let what gives a connection back come to its end, also where nobody waits for it any more."""
        task = asyncio.create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        return task

    async def lock_queue(self, db: AsyncSession) -> None:
        """Let one claimer at a time count what runs (SQLite's writer is alone already)."""
        await self._lock(db, QUEUE_LOCK)

    async def lock_accounts(self, db: AsyncSession) -> None:
        """Let one at a time count accounts or failed logins (SQLite's writer is alone already)."""
        await self._lock(db, ACCOUNTS_LOCK)

    async def lock_places(self, db: AsyncSession) -> None:
        """Let one at a time give places to workspaces; after `lock_queue` where both are needed."""
        await self._lock(db, PLACES_LOCK)

    async def _lock(self, db: AsyncSession, key: int) -> None:
        if not self.sqlite:
            await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    async def ping(self) -> None:
        """Return if the database answers.

        Raises:
            Unavailable: It does not.
        """
        async with self.read() as db:
            await db.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection; whoever still uses one closes it when done, and nobody gets a new one.

        Who was cancelled is waited for: the loop may end right afterwards, and with it what they would do.
        """
        self._closed = True
        if self._replicas is not None:
            await self._replicas.close()
        if leaving := [use for use, task in self._uses.items() if task is not None and task.cancelling()]:
            await asyncio.wait(leaving, timeout=_LONGEST_END)
        await asyncio.gather(*self._endings)
        await self._writer.dispose()
        if self.sqlite:
            await self._reader.dispose()


class _SqliteConnection(sqlite3.Connection):
    """A connection that gives its lock back when it is closed.

    SQLAlchemy closes a connection whose user was cancelled. SQLite keeps a closed
    connection, its open transaction and the one write lock for as long as some
    cursor of it is referenced (https://www.sqlite.org/c3ref/close.html), which
    the traceback of a cancellation does until the garbage is collected.
    """

    def close(self) -> None:
        """Undo what is open, then close."""
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


def _without_pipelines(engine: Engine) -> None:
    """Send rows to be inserted as one statement, and other statements with many rows one after the other.

    psycopg sends them as a pipeline. A replica that is frozen within one is no idle transaction to
    PostgreSQL, so that nothing undoes it: its locks stay, and nobody takes over what it ran.
    https://www.postgresql.org/docs/current/libpq-pipeline-mode.html
    """
    engine.dialect.use_insertmanyvalues_wo_returning = True
    engine.dialect.supports_sane_multi_rowcount = False  # that of the last one is known

    @event.listens_for(engine, "do_executemany")
    def _one_by_one(cursor: Any, statement: str, rows: Any, _context: Any) -> bool:
        for row in rows:
            cursor.execute(statement, row)
        return True


def _sqlite_engine(url: str, begin: str, pool_size: int) -> AsyncEngine:
    """Make an engine whose transactions start with `begin` (pysqlite's own way starts them too late)."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=60,
        connect_args={"factory": _SqliteConnection},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # The time to wait comes first: setting the journal mode may have to wait for another process.
        for pragma in ("busy_timeout=15000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _forget_at_ping(context: ExceptionContext) -> None:
    """Have a connection that cannot be asked whether it lives replaced, whatever it says to that.

    One whose statement was broken off may come back to the pool before the server has broken it off, too.
    """
    if context.is_pre_ping:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _with_timeouts(url: str) -> str:
    """Add to a PostgreSQL's address how long its connections wait, where it does not say so itself."""
    address = make_url(url)
    missing = {name: value for name, value in _POSTGRES_TIMEOUTS.items() if name not in address.query}
    return address.update_query_dict(missing).render_as_string(hide_password=False)


def rows_changed(done: Result[Any]) -> int:
    """Return how many rows an UPDATE or DELETE has changed: its result has a count, which its type hides."""
    assert isinstance(done, CursorResult)
    return done.rowcount


def _fault(error: DBAPIError | PoolTimeout) -> str:
    """Say in one sentence what is wrong with the database; nothing where the statement itself is at fault."""
    if isinstance(error, DBAPIError) and not (
        isinstance(error, OperationalError) or error.connection_invalidated
    ):
        return ""
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.warning("database: %s", cause)
    code = getattr(cause, "sqlite_errorcode", None) or getattr(cause, "sqlstate", None)
    if code in _FULL:
        return "The disk is full: nothing was changed. Free some space and try again."
    if code in _BUSY:
        return "The database is busy: nothing was changed. Try again in a moment."
    return "The database does not answer. Try again in a moment."
