"""What somebody sees over all their projects: what needs them, what runs, what ended, how each project is.

Each list costs the same few queries, however many projects and cards there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.lifecycle import LIVE, SessionStatus, TaskStatus
from vibe_app.board.projects import queries as project_queries
from vibe_app.board.projects.keys import key_of
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks import attention
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task, kept, shown
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.board.tasks.showing import Showing
from vibe_app.db import Database, utc_day
from vibe_app.schema import View
from vibe_app.wire import now

LISTED = 20
"""Cards of each list."""
DAYS = 7
_TILES = 200


class HomeCard(View):
    """A card, what its project is called, and what the asker is in it."""

    project: str
    role: ProjectRole = Field(description="What the asker is in its project")
    card: TaskCard


class HomeCards(View):
    """Some cards of all of one's projects, and how many there are in all."""

    cards: list[HomeCard]
    total_count: int


class DayRuns(View):
    """The runs that ended on one day (UTC)."""

    day: str = Field(json_schema_extra={"example": "2026-12-24"})
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class ProjectTile(View):
    """A project as the home page shows it."""

    id: UUID
    name: str
    key: str
    live: int = Field(description="Sessions that wait or run")
    needs_you: int = Field(description="Cards that need you")
    week: list[DayRuns] = Field(description="The last seven days, today at the end")


class HomeView(View):
    """What somebody sees over all their projects."""

    needs_you: HomeCards
    running: HomeCards
    finished: HomeCards
    projects: list[ProjectTile]


class Home:
    """What somebody sees over all the projects that they may see.

    Args:
        database: Where it is kept.
        showing: Makes what is shown of cards.
    """

    def __init__(self, database: Database, showing: Showing) -> None:
        self._database = database
        self._showing = showing

    async def read(self, actor: Actor) -> HomeView:
        """Return all of it, as of one moment."""
        actor.need_scope(Scope.READ, actor.project_id)
        async with self._database.read() as db:
            needing = await _needing(db, actor)
            return HomeView(
                needs_you=await self._needs_you(db, actor, needing),
                running=await self._running(db, actor),
                finished=await self._finished(db, actor),
                projects=await _tiles(db, actor, needing),
            )

    async def needs_you(self, actor: Actor) -> HomeCards:
        """Return the cards that need this person, what happened last at the top."""
        async with self._database.read() as db:
            return await self._needs_you(db, actor, await _needing(db, actor))

    async def running(self, actor: Actor) -> HomeCards:
        """Return the cards with a live session, those that began last at the top."""
        async with self._database.read() as db:
            return await self._running(db, actor)

    async def finished(self, actor: Actor) -> HomeCards:
        """Return the cards whose latest session is over, those that ended last at the top; not counted."""
        async with self._database.read() as db:
            return await self._finished(db, actor)

    async def tiles(self, actor: Actor) -> list[ProjectTile]:
        """Return the first projects by name, each with what it does and what it needs."""
        async with self._database.read() as db:
            return await _tiles(db, actor, await _needing(db, actor))

    async def counts(self, actor: Actor) -> dict[UUID, tuple[int, int]]:
        """Return of each project with any of it how many sessions are live, and how many cards need one."""
        async with self._database.read() as db:
            live, needing = await _live(db, actor), await _needing(db, actor)
        return {each: (live.get(each, 0), needing.get(each, 0)) for each in live.keys() | needing.keys()}

    async def _needs_you(self, db: AsyncSession, actor: Actor, needing: Mapping[UUID, int]) -> HomeCards:
        where = [_mine(actor), attention.needs(actor.user_id)]
        latest = func.coalesce(col(Session.completed_at), col(Task.updated_at)).desc()
        rows = await task_queries.cards(db, where, limit=LISTED, order=[latest])
        return await self._cards(db, actor, rows, sum(needing.values()))

    async def _running(self, db: AsyncSession, actor: Actor) -> HomeCards:
        where = [_mine(actor), col(Task.status) == str(TaskStatus.IN_PROGRESS), shown]
        order = [(col(Session.status) == str(SessionStatus.RUNNING)).desc(), col(Session.created_at).desc()]
        total = await db.scalar(select(func.count()).select_from(Task).where(*where))
        rows = await task_queries.cards(db, where, limit=LISTED, order=order)
        return await self._cards(db, actor, rows, total or 0)

    async def _finished(self, db: AsyncSession, actor: Actor) -> HomeCards:
        ended = (
            select(col(Session.task_id))
            .join(Task, col(Task.last_session_id) == col(Session.id))
            .where(
                col(Session.deleted_at).is_(None), col(Session.completed_at).is_not(None), _mine(actor), kept
            )
            .order_by(col(Session.completed_at).desc())
            .limit(LISTED)
        )
        ids = list(await db.scalars(ended))
        latest = col(Session.completed_at).desc()
        rows = await task_queries.cards(db, [col(Task.id).in_(ids)], order=[latest])
        return await self._cards(db, actor, rows, len(rows))

    async def _cards(
        self, db: AsyncSession, actor: Actor, rows: Sequence[tuple[Task, Any]], total: int
    ) -> HomeCards:
        ids = {task.project_id for task, _ in rows}
        named = select(col(Project.id), col(Project.name)).where(col(Project.id).in_(ids))
        names = dict((await db.execute(named)).all())
        roles = await project_queries.roles(db, ids, actor.user_id)
        cards = [
            HomeCard(
                project=names[card.project_id],
                role=ProjectRole.OWNER if actor.is_admin else roles[card.project_id],
                card=card,
            )
            for card in await self._showing.all(TaskCard, db, rows)
        ]
        return HomeCards(cards=cards, total_count=total)


def _visible(actor: Actor) -> Any:
    return select(col(Project.id)).where(*project_queries.visible_to(actor))


def _mine(actor: Actor) -> ColumnElement[bool]:
    """Of cards of the projects that somebody may see."""
    return col(Task.project_id).in_(_visible(actor))


async def _live(db: AsyncSession, actor: Actor) -> dict[UUID, int]:
    query = select(col(Session.project_id), func.count()).where(
        session_queries.live, col(Session.project_id).in_(_visible(actor))
    )
    return dict((await db.execute(query.group_by(col(Session.project_id)))).all())


async def _needing(db: AsyncSession, actor: Actor) -> dict[UUID, int]:
    query = select(col(Task.project_id), func.count()).where(_mine(actor), attention.needs(actor.user_id))
    return dict((await db.execute(query.group_by(col(Task.project_id)))).all())


async def _weeks(db: AsyncSession, actor: Actor, days: Sequence[str]) -> dict[UUID, list[DayRuns]]:
    first = datetime.combine(datetime.fromisoformat(days[0]), time(), UTC)
    day = utc_day(col(Session.completed_at))
    rows = await db.execute(
        select(col(Session.project_id), day, col(Session.status), func.count())
        .where(
            col(Session.completed_at) >= first,
            col(Session.deleted_at).is_(None),
            col(Session.status).not_in(sorted(map(str, LIVE))),
            col(Session.project_id).in_(_visible(actor)),
        )
        .group_by(col(Session.project_id), day, col(Session.status))
    )
    found: defaultdict[UUID, defaultdict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for project_id, on, status, count in rows.all():
        found[project_id][on][str(status)] = count
    return {
        project_id: [DayRuns(day=each, **runs.get(each, {})) for each in days]
        for project_id, runs in found.items()
    }


async def _tiles(db: AsyncSession, actor: Actor, needing: Mapping[UUID, int]) -> list[ProjectTile]:
    today = now().date()
    days = [str(today - timedelta(days=back)) for back in reversed(range(DAYS))]
    projects = (
        await db.execute(
            select(col(Project.id), col(Project.name), col(Project.key))
            .where(*project_queries.visible_to(actor))
            .order_by(func.lower(col(Project.name)), col(Project.id))
            .limit(_TILES)
        )
    ).all()
    live, weeks = await _live(db, actor), await _weeks(db, actor, days)
    return [
        ProjectTile(
            id=project_id,
            name=name,
            key=key or key_of(name),
            live=live.get(project_id, 0),
            needs_you=needing.get(project_id, 0),
            week=weeks.get(project_id) or [DayRuns(day=each) for each in days],
        )
        for project_id, name, key in projects
    ]
