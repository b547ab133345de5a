"""How many workspaces run at once, and who may have the next place.

A workspace holds a place from the moment that it is wanted until nothing of it runs, and while a claimed
session is in it. Whoever wants a place (a session in line, or a person who looks at files) stands in one
line, by priority and age. Where none is free, the first in line has one made: an idle workspace is
stopped, or, where all are at work, the one that has held its place longest takes no younger session any
more. So none keeps a place by always having something to do. A person who holds their share waits while
somebody else does who holds less.

Everything is decided and written under one lock, so however many ask at once, in however many processes,
there are never more places taken than there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.lifecycle import WorkspaceStatus
from vibe_app.board.sessions import queries
from vibe_app.board.sessions.models import Session
from vibe_app.db import Database, Transaction, db_clock
from vibe_app.wire import now
from vibe_app.workspaces import rows, usage
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.states import Desired

SETTLED = timedelta(seconds=2)
"""For so long after it was asked for a workspace is not idle: who asked is on their way."""
WISH = 6.0
"""Seconds for which a wish counts without being repeated."""
NORMAL = 1
"""The priority in line of who only looks: that of an ordinary card."""


@dataclass
class Seat:
    """A place that is taken.

    Args:
        holder: The person who took it.
        busy: Whether it must not be ended: an agent is at work, somebody uses it, or it is starting.
        drains: Whether it is free as soon as no further session is let in.
        lent: Whether only somebody's use keeps it: an upload, a talk through the proxy.
        leaving: Whether it is being stopped.
        used_at: When it was last asked for.
        since: When the place was taken, on the database's clock.
    """

    holder: UUID | None
    busy: bool
    drains: bool = False
    lent: bool = False
    leaving: bool = False
    used_at: datetime = field(default_factory=now)
    since: float = float("inf")


@dataclass(frozen=True)
class Wanted:
    """One in line for a place.

    Args:
        project: Whose workspace is wanted.
        person: Who wants it.
        priority: Of the session; `NORMAL` for who looks.
        since: When it came into the line.
    """

    project: UUID
    person: UUID | None
    priority: int
    since: datetime

    @property
    def order(self) -> tuple[int, datetime]:
        """What the line is sorted by."""
        return -self.priority, self.since


class Plan:
    """Who gets a place, decided one after the other in the order of the line. Pure.

    Args:
        limit: How many places there are.
        share: How many of them one person may hold while another waits who holds fewer.
        seats: Those that are taken, by project.
        waiting: Who waits for a place.

    Attributes:
        taken: The places that were given, and to whom: new ones, and idle ones that go on.
        given_up: The workspaces to stop, for who waits.
    """

    def __init__(self, limit: int, share: int, seats: dict[UUID, Seat], waiting: Iterable[Wanted]) -> None:
        self._share = share
        self._seats = seats
        self._free = limit - len(seats)
        self._coming = sum(seat.leaving for seat in seats.values())
        self._draining: set[UUID] = set()
        self._waiting = {one.person for one in waiting if one.project not in seats}
        self.taken: dict[UUID, UUID | None] = {}
        self.given_up: list[UUID] = []

    def holds(self, project: UUID) -> bool:
        """Tell whether a workspace has a place, which is not being taken from it."""
        seat = self._seats.get(project)
        return seat is not None and not seat.leaving

    def admit(self, project: UUID, person: UUID | None) -> bool:
        """Tell whether a workspace may work for a person now; where it may not, see that it soon can."""
        seat = self._seats.get(project)
        if seat is not None and not seat.leaving:
            if project in self._draining:
                return False
            if seat.busy:
                return True
            if seat.holder != person and self._over(person):
                return False
            self._give(project, person, seat.since)
            return True
        if self._over(person):
            return False
        if self._free > 0:
            self._free -= 1
            self._give(project, person)
            return True
        self._make_room(person)
        return False

    def _give(self, project: UUID, person: UUID | None, since: float = float("inf")) -> None:
        self._seats[project] = Seat(person, busy=True, since=since)
        self.taken[project] = person

    def _over(self, person: UUID | None) -> bool:
        """Whether a person holds their share, and somebody waits who holds less than that."""
        return self._held(person) >= self._share and any(
            other != person and self._held(other) < self._share for other in self._waiting
        )

    def _held(self, person: UUID | None) -> int:
        return sum(seat.holder == person and not seat.leaving for seat in self._seats.values())

    def _make_room(self, person: UUID | None) -> None:
        if self._coming > 0:
            self._coming -= 1
            return
        idle = [name for name, seat in self._seats.items() if not seat.busy and not seat.leaving]
        if not idle and self._held(person) < self._share:
            # What is over somebody's share is not theirs to keep by using it.
            idle = [name for name, seat in self._seats.items() if self._lent_over(seat)]
        if idle:
            name = min(idle, key=self._spared)
            self._seats[name].leaving = True
            self.given_up.append(name)
            return
        working = [name for name, seat in self._seats.items() if seat.drains and name not in self._draining]
        if working:
            self._draining.add(min(working, key=lambda name: (self._seats[name].since, name)))

    def _lent_over(self, seat: Seat) -> bool:
        return seat.lent and not seat.leaving and self._held(seat.holder) > self._share

    def _spared(self, name: UUID) -> tuple[bool, datetime]:
        seat = self._seats[name]
        return self._held(seat.holder) <= self._share, seat.used_at


class Places:
    """The places of an installation.

    Args:
        database: Where it stands who has one.
        limit: How many there are; 0 for as many as are wanted.
        share: The part of them that one person may hold while another waits.
    """

    def __init__(self, database: Database, limit: int = 0, share: float = 1.0) -> None:
        self._database = database
        self.limit = limit
        self.share = max(1, int(limit * share))

    async def plan(self, db: Transaction, line: Collection[Wanted]) -> tuple[Plan, list[Wanted]]:
        """Lock the places, and return how to give them, and who looks and waits beside this line.

        Args:
            db: The transaction, at whose end they are unlocked.
            line: Sessions that may want a place.
        """
        await self._database.lock_places(db)
        wishes = await _wishes(db)
        return Plan(self.limit, self.share, await _seats(db), [*line, *wishes]), wishes

    async def carry_out(self, db: Transaction, plan: Plan, given: Collection[UUID]) -> None:
        """Write who has a place now, and stop what is given up.

        Args:
            db: The transaction.
            plan: What was decided.
            given: Of the places that it gave, those that are really taken now.
        """
        for project in sorted(set(given) & plan.taken.keys() | set(plan.given_up)):
            if project in plan.given_up:
                await rows.want(db, project, Desired.STOPPED)
            else:
                await self._seat(db, project, plan.taken[project])

    async def take(self, db: Transaction, project: UUID, person: UUID | None, *, wish: bool) -> bool:
        """Take a place for a person who looks, unless the workspace has one; tell whether it has one now.

        Args:
            db: The transaction; what is wanted of the workspace is written by whoever asks.
            project: Whose workspace.
            person: Who.
            wish: Whether to get in line where there is none; to be said again within `WISH` seconds.
        """
        if not self.limit:
            return True
        sessions = await _sessions_in_line(db)
        plan, wishes = await self.plan(db, sessions)
        if plan.holds(project):
            return True
        before = next((one for one in wishes if one.project == project), None)
        mine = before or Wanted(project, person, NORMAL, now())
        for one in sorted((*sessions, *wishes), key=lambda one: one.order):
            if one.order < mine.order and one.project != project:
                plan.admit(one.project, one.person)
        admitted = plan.admit(project, person)
        if not wish and not admitted:
            # Who only warms a workspace has nothing stopped for it.
            return False
        await self.carry_out(db, plan, [project] if admitted else [])
        if not admitted:
            await rows.wish(db, project, person, mine.since, WISH)
        return admitted

    async def _seat(self, db: Transaction, project: UUID, person: UUID | None) -> None:
        if not await db.scalar(select(col(Workspace.project_id)).where(_holds(project))):
            await rows.want(db, project, Desired.RUNNING)
            await db.execute(
                update(Workspace).where(col(Workspace.project_id) == project).values(placed_at=db_clock())
            )
        await db.execute(
            update(Workspace)
            .where(col(Workspace.project_id) == project)
            .values(holder_id=person, wished_until=None, wished_by=None, wished_at=None)
        )


def _placed() -> ColumnElement[bool]:
    """Whether something of a workspace runs, or is about to."""
    status, open_wish = col(Workspace.status), col(Workspace.generation) != col(Workspace.observed)
    failed = status == WorkspaceStatus.FAILED
    running = col(Workspace.desired) == Desired.RUNNING
    # What failed to start does not run, what failed to stop does.
    up = running & (~failed | open_wish)
    ending = ~running & (status.in_([WorkspaceStatus.READY, WorkspaceStatus.STARTING]) | (failed & open_wish))
    return up | ending


def _holds(project: UUID) -> ColumnElement[bool]:
    wanted = col(Workspace.desired) == Desired.RUNNING
    return (col(Workspace.project_id) == project) & wanted & _placed()


async def placed(db: AsyncSession) -> set[UUID]:
    """Return the projects whose workspaces hold a place."""
    return set(await db.scalars(select(col(Workspace.project_id)).where(_placed())))


async def _seats(db: AsyncSession) -> dict[UUID, Seat]:
    sessions = await db.execute(
        select(col(Session.project_id), col(Session.created_by), col(Session.stop_requested)).where(
            queries.holds_place
        )
    )
    at_work, seats = set[UUID](), dict[UUID, Seat]()
    for row in sessions:
        at_work.add(row.project_id)
        if not row.stop_requested:
            seats[row.project_id] = Seat(row.created_by, busy=True)
    used = await usage.used(db)
    for row in await db.scalars(select(Workspace).where(_placed())):
        wanted, project = row.desired == Desired.RUNNING, row.project_id
        settled = wanted and row.status == WorkspaceStatus.READY and now() - row.used_at > SETTLED
        working = project in at_work
        seats[project] = Seat(
            row.holder_id,
            busy=working or project in used or not settled,
            drains=working and project not in used,
            lent=not working and project in used and settled,
            # One that failed to stop is tried again, and nobody can count on it.
            leaving=not wanted and not working and row.status != WorkspaceStatus.FAILED,
            used_at=row.used_at,
            since=row.placed_at or 0.0,
        )
    return seats


async def _sessions_in_line(db: AsyncSession) -> list[Wanted]:
    """Return the sessions that were not claimed for want of a place."""
    found = await db.execute(
        select(
            col(Session.project_id), col(Session.created_by), col(Session.priority), col(Session.created_at)
        ).where(queries.live, col(Session.owner).is_(None), col(Session.lacks_place).is_(True))
    )
    return [Wanted(row.project_id, row.created_by, row.priority, row.created_at) for row in found]


async def _wishes(db: AsyncSession) -> list[Wanted]:
    found = await db.scalars(select(Workspace).where(~_placed(), col(Workspace.wished_until) > db_clock()))
    return [Wanted(row.project_id, row.wished_by, NORMAL, row.wished_at or now()) for row in found]
