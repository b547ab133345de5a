"""What runs by itself: one at a time across an installation's processes, each with its last run on record.

A job is a row and a lease on it, as a session is. Whoever holds the lease runs the job and
renews the lease meanwhile; when it dies, another process takes the job up. Each process that has
jobs keeps one task for each; one that fails is logged whole, noted in its row, and run again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from vibe_app.aio import BROKEN, cancel
from vibe_app.db import Database, db_clock, rows_changed
from vibe_app.errors import Unavailable, VibeError
from vibe_app.jobs.models import JobRow
from vibe_app.processes import ended_here
from vibe_app.wire import now

log = logging.getLogger(__name__)

SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""Seconds until a failed job is run again: doubled each time, up to its period or the longer of these."""
_LOOK = 2.0
_BEHIND = 0.5
"""Seconds by which a process that gets its share of the machine is never behind its clock."""
_LONGEST_REST = 30.0
"""Seconds after which a job that nobody runs is looked at although it is not due, as clocks may be set."""


@dataclass(frozen=True)
class Hold:
    """The lease that one run of a job holds.

    Args:
        name: The job's.
        owner: Who holds it.
        epoch: Which claim this is.
    """

    name: str
    owner: str
    epoch: int

    @property
    def fence(self) -> ColumnElement[bool]:
        """What must be true of the job's row for a write of this run to count."""
        return exists().where(
            col(JobRow.name) == self.name, col(JobRow.owner) == self.owner, col(JobRow.epoch) == self.epoch
        )


Work = Callable[[Hold], Awaitable[None]]


@dataclass(frozen=True)
class Job:
    """Something that runs by itself.

    Args:
        name: Unique; what doctor and metrics call it.
        work: One run of it. One that lasts, such as a watch, returns only when it is cancelled.
        period: Seconds from the end of one run to the next.
        jitter: By which part of the period that varies.
        first: Seconds from the first time that it is known to its first run.
        opening: What stands as its failure from a claim until its work says otherwise, for one that
            lasts and has to reach something first.
    """

    name: str
    work: Work
    period: float
    jitter: float = 0.1
    first: float = 0.0
    opening: str | None = None


@dataclass(frozen=True)
class JobView:
    """How a job is: `owner` runs it now, None for nobody; `failure` is of the run that ended `failed_at`."""

    name: str
    owner: str | None
    started_at: datetime | None
    finished_at: datetime | None
    failed_at: datetime | None
    failure: str | None


@dataclass
class _Kept:
    job: Job
    failures: int = 0
    task: asyncio.Task[None] | None = field(default=None)


class Jobs:
    """The jobs of an installation, as one process takes part in them.

    Args:
        database: Where the rows are.
        owner: This process's name, unique for each start of it.
        lease: Seconds for which a claim holds without being renewed.
    """

    def __init__(self, database: Database, owner: str, lease: float) -> None:
        self._database = database
        self._owner = owner
        self._lease = lease
        self._kept: dict[str, _Kept] = {}
        self._endings: set[asyncio.Task[None]] = set()

    def add(self, *jobs: Job) -> None:
        """Register jobs, before `open`."""
        self._kept |= {job.name: _Kept(job) for job in jobs}

    async def open(self) -> None:
        """Begin to take part.

        Raises:
            Unavailable: The database does not answer.
        """
        await self._know()
        await self._forget_ended()
        for kept in self._kept.values():
            kept.task = asyncio.create_task(self._keep(kept), name=f"job {kept.job.name}")

    async def close(self) -> None:
        """Break off what runs here and give the leases back."""
        await cancel(*(kept.task for kept in self._kept.values()))
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def _know(self) -> None:
        """Give each job a row, where it has none."""
        insert = sqlite.insert if self._database.sqlite else postgresql.insert
        async with self._database.transaction() as db:
            for kept in self._kept.values():
                values = {"name": kept.job.name, "epoch": 0, "lease_until": 0.0}
                row = insert(JobRow).values(**values, due=db_clock() + kept.job.first)
                await db.execute(row.on_conflict_do_nothing())

    async def _forget_ended(self) -> None:
        """Free the jobs of processes that are surely over, before their leases run out."""
        async with self._database.transaction() as db:
            owners = [owner for owner in await db.scalars(select(col(JobRow.owner)).distinct()) if owner]
            if not self._database.sqlite:  # it has one process at a time: whoever held a lease is gone
                owners = [owner for owner in owners if ended_here(owner)]
            await db.execute(update(JobRow).where(col(JobRow.owner).in_(owners)).values(owner=None))

    async def _keep(self, kept: _Kept) -> None:
        """Run a job whenever it is due and nobody else runs it, for as long as this process takes part."""
        job = kept.job
        while True:
            try:
                await self._look(job)
                kept.failures = 0
            except Unavailable as error:
                log.warning("%s: %s", job.name, error)
            except Exception:
                # What runs by itself must not end silently, whatever befalls one run of it.
                BROKEN[job.name] += 1
                log.exception("%s failed", job.name)
                kept.failures += 1
            else:
                continue
            pause = min(SHORTEST_PAUSE * 2**kept.failures, max(job.period, LONGEST_PAUSE))
            await asyncio.sleep(pause)

    async def _look(self, job: Job) -> None:
        """Wait until the job may be due, and run it if it is this process's turn."""
        held, due = await self._wait(job.name)
        if held > 0:
            return await asyncio.sleep(min(held, max(_LOOK, self._lease / 2)))
        if due > 0:
            return await asyncio.sleep(min(due, _LONGEST_REST))
        hold = await self._claim(job)
        if hold is None:
            return await asyncio.sleep(_LOOK)
        failure: str | None = None
        done = False
        try:
            done = await self._run(job, hold)
        except VibeError as error:
            failure = error.message
            raise
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            raise
        finally:
            ending = asyncio.create_task(self._note_end(job, hold, failure, done=done))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
            await asyncio.shield(ending)

    async def _run(self, job: Job, hold: Hold) -> bool:
        """Run a job, and return whether it came to its end: it is broken off where its lease is lost."""
        work = asyncio.ensure_future(job.work(hold))
        renewing = asyncio.create_task(self._renew(hold), name=f"lease of {job.name}")
        try:
            await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return True
            log.warning("%s: its lease was lost", job.name)
            return False
        finally:
            await cancel(work, renewing)

    async def _renew(self, hold: Hold) -> None:
        """Renew a lease until it is lost, or could not be renewed in time."""
        clock = asyncio.get_running_loop().time
        held_until = clock() + self._lease
        while clock() < held_until:
            due = clock() + self._lease / 3
            await asyncio.sleep(self._lease / 3)
            asked = clock()
            try:
                async with asyncio.timeout_at(held_until), self._database.transaction() as db:
                    done = await db.execute(
                        update(JobRow)
                        .where(col(JobRow.name) == hold.name, hold.fence)
                        .values(lease_until=db_clock() + self._lease)
                    )
            except Unavailable as error:
                log.warning("%s: its lease was not renewed: %s", hold.name, error)
                continue
            except TimeoutError:
                why = _too_late(max(asked - due, clock() - held_until))
                log.warning("%s: its lease was not renewed: %s", hold.name, why)
                continue
            if rows_changed(done) != 1:
                return
            held_until = asked + self._lease

    async def _wait(self, name: str) -> tuple[float, float]:
        """Return for how many seconds another process runs a job, and in how many it is due; 0 for now."""
        async with self._database.read() as db:
            row = (
                await db.execute(
                    select(
                        col(JobRow.owner),
                        (col(JobRow.lease_until) - db_clock()).label("held"),
                        (col(JobRow.due) - db_clock()).label("due"),
                    ).where(col(JobRow.name) == name)
                )
            ).one_or_none()
        if row is None:
            await self._know()
            return 0.0, 0.0
        # A clock that was set back must not stop what runs by itself for as long as it was set back.
        # What stands there as this process's own is a claim of which it never heard.
        others = row.owner not in (None, self._owner)
        held = row.held if others and row.held <= 2 * self._lease else 0.0
        return held, min(row.due, 2 * self._kept[name].job.period + self._kept[name].job.first)

    async def _claim(self, job: Job) -> Hold | None:
        async with self._database.transaction() as db:
            epoch = await db.scalar(
                update(JobRow)
                .where(
                    col(JobRow.name) == job.name,
                    or_(
                        col(JobRow.owner).is_(None),
                        col(JobRow.owner) == self._owner,
                        col(JobRow.lease_until) < db_clock(),
                        col(JobRow.lease_until) > db_clock() + 2 * self._lease,
                    ),
                )
                .values(
                    owner=self._owner,
                    epoch=col(JobRow.epoch) + 1,
                    lease_until=db_clock() + self._lease,
                    started_at=now(),
                    **({} if job.opening is None else {"failure": job.opening}),
                )
                .returning(col(JobRow.epoch))
            )
            db.announce("jobs")
        return None if epoch is None else Hold(job.name, self._owner, epoch)

    async def _note_end(self, job: Job, hold: Hold, failure: str | None, *, done: bool) -> None:
        """Give the lease back and say how the run went; the next one comes after the period.

        One that was broken off has neither failed nor done its work, and is due again at once.
        """
        wait = job.period * random.uniform(1.0, 1.0 + job.jitter) if done else 0.0
        ended: dict[str, Any] = {}
        if done:
            ended = {"finished_at": now(), "failure": None}
        elif failure is not None:
            ended = {"failed_at": now(), "failure": failure}
        try:
            async with self._database.transaction() as db:
                await db.execute(
                    update(JobRow)
                    .where(col(JobRow.name) == hold.name, hold.fence)
                    .values(owner=None, due=db_clock() + wait, **ended)
                )
                db.announce("jobs")
        except Unavailable as error:
            log.warning("%s: its end was not noted: %s", job.name, error)

    async def views(self) -> list[JobView]:
        """Return how every job is that the installation has ever had, by name.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            rows = (
                await db.execute(
                    select(JobRow, (col(JobRow.lease_until) > db_clock()).label("held")).order_by(
                        col(JobRow.name)
                    )
                )
            ).all()
        return [
            JobView(
                row.name,
                row.owner if held else None,
                row.started_at,
                row.finished_at,
                row.failed_at,
                row.failure,
            )
            for row, held in rows
        ]


def _too_late(behind: float) -> str:
    """Say why a lease was not renewed in time, by how many seconds this process was behind its own clock."""
    if behind < _BEHIND:
        return "the database did not answer in time."
    return f"this process could not go on for {behind:.1f} s. The machine is overloaded, or it was frozen."
