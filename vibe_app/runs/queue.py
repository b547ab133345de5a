"""The lease queue on the sessions' own rows: claim, renew, release. Every query of the engine.

A claim counts and takes under one lock, so no limit is ever exceeded. A lease is
measured on the database's clock. Whoever lost a lease finds out at the next
write, since the fence names the epoch that only the newest claim has.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Mapped
from sqlmodel import col

from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.topics import card_topics
from vibe_app.db import Database, Transaction, db_clock
from vibe_app.errors import Unavailable
from vibe_app.runs.event_log import Lease
from vibe_app.workspaces.places import Places, Plan, Wanted

LONGEST_WAIT = 600.0
"""Seconds that a session is ever told to wait, with room to spare. One that seems to wait longer is due: the
database's clock was set back."""


OUTAGE = 4.0
"""Seconds between two looks at the queue that speak of an outage: it is looked at every 2 s."""


@dataclass(frozen=True)
class Renewal:
    """What a heartbeat learnt of one run."""

    epoch: int
    stop_requested: bool


class Queue:
    """The queue as one replica sees it.

    Args:
        database: Where the rows are.
        owner: This replica's name, unique for each start of a process.
        lease_seconds: For how long a claim holds without being renewed.
        installation_limit: Sessions that may run at once in all.
        places: Of workspaces that run at once; None for as many as are wanted.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        lease_seconds: float,
        installation_limit: int,
        places: Places | None = None,
    ) -> None:
        self._database = database
        self._workspaces = places or Places(database)
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._installation_limit = installation_limit
        self._looked: float | None = None
        self._trusts_leases_from = 0.0
        self._unheard: set[UUID] = set()
        """Sessions of claims that the database did not confirm; they may be this replica's."""

    def _note_look(self) -> None:
        """Notice that the database, this process or the machine stood still for a while.

        Nobody could renew a lease meanwhile: one that ran out then says nothing about its owner,
        who gets the time of a lease to come back.
        """
        # The time of day, as only this clock goes on while a machine sleeps.
        present, before = time.time(), self._looked
        if before is not None and abs(present - before) > max(OUTAGE, self._lease_seconds / 2):
            self._trusts_leases_from = time.monotonic() + self._lease_seconds
        self._looked = present

    @property
    def _claimed_unheard(self) -> ColumnElement[bool]:
        """What this replica holds by a claim of whose success it never heard, so that nobody runs it."""
        return (col(Session.owner) == self._owner) & col(Session.id).in_(self._unheard)

    @property
    def _due(self) -> ColumnElement[float]:
        """When a live session may be claimed, on the database's clock.

        One that waits for its next attempt then or as soon as somebody wants it stopped, one that
        has an owner once its lease has run out.
        """
        grace = self._trusts_leases_from - time.monotonic()
        lost = db_clock() + grace if grace > 0 else _moment(col(Session.lease_until), self._lease_seconds)
        return case(
            (self._claimed_unheard, 0.0),
            (col(Session.owner).is_not(None), lost),
            (col(Session.stop_requested), 0.0),
            # For as long as a provider asks, which may be hours.
            (col(Session.wait_from).is_not(None), col(Session.not_before)),
            else_=_moment(col(Session.not_before), 0.0),
        )

    async def due(self, held: Collection[UUID] = ()) -> float | None:
        """Return in how many seconds a session may be claimed: 0 or less for now, None while there is none.

        Args:
            held: Sessions that this replica runs already.
        """
        async with self._database.read() as db:
            due = await db.scalar(
                select(func.min(self._due) - db_clock()).where(queries.live, col(Session.id).not_in(held))
            )
        self._note_look()
        return due

    async def claim(self, at_most: int, held: Collection[UUID] = ()) -> list[tuple[Lease, Session]]:
        """Take what may run now: first runs whose owner is gone, then the line by priority and age.

        Args:
            at_most: How many to take.
            held: Sessions that this replica runs already. After an outage of the
                database their leases may have run out, which makes them no less its own.

        Raises:
            Unavailable: The database does not answer. What was taken all the same is taken again by
                the next call, which waits for no lease.
        """
        claimable = queries.live & (self._due <= db_clock()) & col(Session.id).not_in(held)
        chosen: list[UUID] = []
        try:
            async with self._database.transaction() as db:
                await self._database.lock_queue(db)
                chosen = await self._choose(db, claimable, at_most)
                if not chosen:
                    return []
                claimed = await self._take(db, claimable, chosen)
        except Unavailable:
            self._unheard.update(chosen)
            raise
        self._unheard.difference_update(chosen)
        return sorted(claimed, key=lambda item: chosen.index(item[0].session_id))

    async def _take(
        self, db: Transaction, claimable: ColumnElement[bool], chosen: list[UUID]
    ) -> list[tuple[Lease, Session]]:
        rows = await db.scalars(
            update(Session)
            .where(col(Session.id).in_(chosen), claimable)
            .values(
                # An owner that is still named has died: whoever hands over takes its name away.
                crashes=case(
                    (col(Session.owner).is_(None) | self._claimed_unheard, col(Session.crashes)),
                    else_=col(Session.crashes) + 1,
                ),
                owner=self._owner,
                epoch=col(Session.epoch) + 1,
                waited=case(
                    (
                        col(Session.wait_from).is_not(None),
                        func.coalesce(col(Session.waited), 0.0) + db_clock() - col(Session.wait_from),
                    ),
                    else_=col(Session.waited),
                ),
                wait_from=None,
                lacks_place=None,
                lease_until=db_clock() + self._lease_seconds,
            )
            .returning(Session)
            .execution_options(synchronize_session=False)
        )
        claimed = [(Lease(row.id, row.project_id, self._owner, row.epoch), row) for row in rows]
        for lease, row in claimed:
            db.announce(f"session:{lease.session_id}", *card_topics(lease.project_id, row.task_id))
        return claimed

    async def _choose(self, db: Transaction, claimable: ColumnElement[bool], at_most: int) -> list[UUID]:
        places = await self._places(db)
        found = await db.execute(
            select(
                col(Session.id),
                col(Session.project_id),
                col(Session.created_by),
                col(Session.created_at),
                col(Session.priority),
                col(Session.stop_requested),
                col(Session.lacks_place),
                queries.holds_place.label("has_place"),
            )
            .where(
                claimable,
                queries.holds_place | col(Session.project_id).not_in(places.full_projects()),
            )
            .order_by(
                queries.holds_place.desc(),
                col(Session.priority).desc(),
                col(Session.created_at),
                col(Session.id),
            )
        )
        line = found.all()
        seats = await self._seats(db, line)
        chosen: list[UUID] = []
        lacking: list[UUID] = []
        for number, row in enumerate(line):
            if len(chosen) >= at_most:
                # Of the rest nothing new is known.
                lacking += [rest.id for rest in line[number:] if rest.lacks_place]
                break
            if not row.has_place and not places.has_room(row.project_id):
                continue
            # One that is only to be ended needs no workspace.
            if row.has_place or row.stop_requested or seats.admit(row):
                chosen.append(row.id)
                places.take(row)
            else:
                lacking.append(row.id)
        await self._carry_out(db, seats, [row.project_id for row in line if row.id in chosen], lacking)
        return chosen

    async def _seats(self, db: Transaction, line: Sequence[Any]) -> _Seats:
        """Return who of this line may have a workspace that runs, those who look among them."""
        if not self._workspaces.limit:
            return _Seats(None, [])
        plan, wishes = await self._workspaces.plan(db, [_wanted(row) for row in line])
        return _Seats(plan, sorted(wishes, key=lambda one: one.order))

    async def _carry_out(
        self, db: Transaction, seats: _Seats, projects: list[UUID], lacking: list[UUID]
    ) -> None:
        if seats.plan is None:
            return
        await self._workspaces.carry_out(db, seats.plan, projects)
        lacks, waits = col(Session.lacks_place), queries.live & col(Session.owner).is_(None)
        for rows, value in (
            (col(Session.id).in_(lacking) & lacks.is_not(True), True),
            (col(Session.id).not_in(lacking) & lacks.is_(True), None),
        ):
            done = await db.execute(
                update(Session)
                .where(waits, rows)
                .values(lacks_place=value)
                .returning(col(Session.project_id), col(Session.task_id))
                .execution_options(synchronize_session=False)
            )
            for project_id, task_id in done.all():
                db.announce(*card_topics(project_id, task_id))

    async def _places(self, db: Transaction) -> _Places:
        held = await db.execute(
            select(col(Session.project_id), func.count())
            .where(queries.holds_place)
            .group_by(col(Session.project_id))
        )
        limits = await db.execute(select(col(Project.id), col(Project.session_limit)))
        return _Places(dict(held.all()), dict(limits.all()), self._installation_limit)

    async def renew(self, session_ids: Collection[UUID]) -> dict[UUID, Renewal]:
        """Renew the leases of these sessions, and return those that this replica still holds.

        Only what really runs is named here: the lease of a run that broke must run out.
        """
        held = col(Session.id).in_(session_ids) & (col(Session.owner) == self._owner) & queries.live
        # Locked in the order in which their events are written, so that neither waits for the other.
        locked = select(col(Session.id)).where(held).order_by(col(Session.id)).with_for_update(key_share=True)
        async with self._database.transaction() as db:
            rows = await db.execute(
                update(Session)
                .where(col(Session.id).in_(locked), held)
                .values(lease_until=db_clock() + self._lease_seconds)
                .returning(col(Session.id), col(Session.epoch), col(Session.stop_requested))
                .execution_options(synchronize_session=False)
            )
            return {row.id: Renewal(row.epoch, row.stop_requested) for row in rows}

    async def release(self) -> None:
        """Hand over everything that this replica holds: whoever claims next goes on with it at once."""
        async with self._database.transaction() as db:
            rows = await db.execute(
                update(Session)
                .where(col(Session.owner) == self._owner, queries.live)
                .values(owner=None, lease_until=0.0)
                .returning(col(Session.id))
                .execution_options(synchronize_session=False)
            )
            db.announce("queue", *(f"session:{row.id}" for row in rows))

    async def free_leases_of_the_dead(self) -> None:
        """End every lease, where this process is the only one that can be alive (SQLite)."""
        async with self._database.transaction() as db:
            await db.execute(
                update(Session)
                .where(queries.live, col(Session.owner).is_not(None))
                .values(lease_until=0.0)
                .execution_options(synchronize_session=False)
            )
            db.announce("queue")


@dataclass
class _Places:
    held: dict[UUID, int]
    limits: dict[UUID, int]
    installation_limit: int

    def full_projects(self) -> list[UUID]:
        """Return the projects that have no place left."""
        return [key for key, held in self.held.items() if held >= self.limits.get(key, 1)]

    def has_room(self, project_id: UUID) -> bool:
        """Tell whether one of the project's places is free, and one of the installation's."""
        held = self.held.get(project_id, 0)
        limit = self.limits.get(project_id, 1)
        return held < limit and sum(self.held.values()) < self.installation_limit

    def take(self, row: Any) -> None:
        """Take a place for a session, unless it holds one already."""
        if not row.has_place:
            self.held[row.project_id] = self.held.get(row.project_id, 0) + 1


@dataclass
class _Seats:
    """Places of workspaces for the sessions of a line, in its order; who looks stands in it too."""

    plan: Plan | None
    wishes: list[Wanted]

    def admit(self, row: Any) -> bool:
        """Tell whether a session may have its workspace run now."""
        if self.plan is None:
            return True
        mine = _wanted(row)
        while self.wishes and self.wishes[0].order < mine.order:
            ahead = self.wishes.pop(0)
            self.plan.admit(ahead.project, ahead.person)
        return self.plan.admit(mine.project, mine.person)


def _wanted(row: Any) -> Wanted:
    return Wanted(row.project_id, row.created_by, row.priority, row.created_at)


def _moment(column: Mapped[float], longest: float) -> ColumnElement[float]:
    """Return the moment in a column, or 0 where it lies further ahead than anything that was ever written."""
    return case((column > db_clock() + longest + LONGEST_WAIT, 0.0), else_=column)
