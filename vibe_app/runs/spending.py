"""What sessions may spend and have spent, between the rows and the gateways of the workspaces.

The gateway counts and refuses; the rows remember. At each start, and whenever a gateway has been
started again, it is told its providers, the session's limits and what the session has spent so far;
its journal of requests is copied by number. A request is a fact: it is written once, under the name that the
journal gave it, whoever copies it. What a session has spent is the sum of its requests, and only the
run that holds the session's lease writes that into a live session's row.

A workspace without a gateway counts nothing: its sessions go on, and what they spend stays unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.board.projects.models import Project
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.spending import queries as spending_queries
from vibe_app.board.spending.limits import NO_LIMITS, Limits
from vibe_app.board.spending.models import ModelRequest, ModelTotal
from vibe_app.board.spending.queries import Copied
from vibe_app.board.topics import card_topics
from vibe_app.clients.gateway import GatewayClient
from vibe_app.db import Database
from vibe_app.errors import LeaseLost, Unavailable, VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.runs.model_access import ModelAccess
from vibe_app.runs.record import Record
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.writer import Lease, fence
from vibe_app.wire import gateway as wire
from vibe_app.wire import now, plain_text
from vibe_app.wire.gateway import Budget, Configuration, GatewayState, Network, Spent, UsageEntry, UsagePage
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

PERIOD = 15.0
"""Seconds between two turns of the job."""
_ANSWER_SECONDS = 10.0
_PAGES = 200
_MOST_TOKENS = 10**9
_MOST_NANO = 10**13
_STAYS = {"read": True, "key_share": True}


@dataclass(frozen=True)
class ForProject:
    """What a gateway is told of a project: what talks may spend, and where commands may go."""

    talks: Budget
    network: Network


class Spending:
    """What this process tells gateways, and copies from them.

    Args:
        database: Where requests and sums are kept.
        workspaces: Knows which workspaces are ready, and where.
        gateway: Talks to their gateways.
        access: What they are handed.
        limits: What a session of this installation may spend.
    """

    def __init__(
        self,
        database: Database,
        workspaces: Workspaces,
        gateway: GatewayClient,
        access: ModelAccess,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._database = database
        self._workspaces = workspaces
        self._gateway = gateway
        self._access = access
        self._limits = limits
        self._copied: dict[UUID, Copied] = {}
        """How far this process knows each project's requests to be copied: never further than they are."""
        self._locks: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def job(self) -> Job:
        """What keeps gateways told and copied where no session runs: talks, and what came after an end."""

        async def work(_: Hold) -> None:
            await self.look_after_all()

        return Job("count requests to models", work, period=PERIOD)

    async def prepared(self, lease: Lease) -> tuple[Budget, ForProject]:
        """Return what a session may spend and has spent, and what holds for all of its project.

        Raises:
            LeaseLost: The session was deleted.
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            session = await db.get(Session, lease.session_id)
            project = await db.get(Project, lease.project_id)
            if session is None or project is None:
                raise LeaseLost("The session was deleted.")
            copied = await spending_queries.copied(db, lease.project_id)
            budget = Budget(
                limits=_wired(Limits.of(session)),
                started_at=_began(session),
                spent=await _spent(db, col(ModelRequest.session_id) == lease.session_id),
                journal=copied.journal,
                after=copied.number,
            )
            return budget, await self._for_project(db, project)

    async def tell(self, endpoint: Endpoint, session_id: UUID, budget: Budget, project: ForProject) -> None:
        """Tell a gateway its providers, what a session may spend, and what it has spent already.

        Raises:
            Unavailable: The gateway does not answer, or does not take it.
        """
        await self._configure(endpoint, project)
        await self._gateway.register(endpoint, str(session_id), budget)

    async def is_told(self, endpoint: Endpoint, session_id: UUID) -> bool:
        """Tell whether a gateway still knows its providers and a session.

        Raises:
            Unavailable: It does not answer.
        """
        # It may have lost its journal, and been told its providers by somebody else since.
        ready = await self._gateway.ready(endpoint)
        return ready and await self._gateway.spending(endpoint, str(session_id)) is not None

    async def copy(self, endpoint: Endpoint, project_id: UUID) -> Copied:
        """Copy what a workspace's gateway has counted since the last time, and confirm it.

        Returns:
            How far its journal went: while that stays, nobody has anything new to add up.

        Raises:
            Unavailable: The gateway or the database does not answer.
        """
        async with self._locks[project_id]:
            page, more = await self._copy_page(endpoint, project_id)
            for _ in range(_PAGES):
                if not more:
                    break
                page, more = await self._copy_page(endpoint, project_id)
            return Copied(page.journal, page.last)

    async def _copy_page(self, endpoint: Endpoint, project_id: UUID) -> tuple[UsagePage, bool]:
        """Copy one page; return it, and whether there may be another."""
        copied = self._copied.get(project_id)
        if copied is None:
            async with self._database.read() as db:
                copied = await spending_queries.copied(db, project_id)
        page = await self._gateway.usage(endpoint, copied.journal, copied.number)
        same = page.journal == copied.journal
        entries = [entry for entry in page.entries if not same or entry.seq > copied.number]
        if not entries:
            self._copied[project_id] = copied
            return page, False
        async with self._database.transaction() as db:
            # Neither goes while rows are written that name it.
            if await db.get(Project, project_id, with_for_update=_STAYS) is None:
                return page, False
            named = {found for entry in entries if (found := _session_id(entry)) is not None}
            known = await spending_queries.known_sessions(db, project_id, named)
            rows = [_row(project_id, page.journal, entry, known) for entry in entries]
            new = await spending_queries.insert(db, rows)
            over = await spending_queries.settle_over(db, new)
            of = select(col(Session.id), col(Session.task_id)).where(col(Session.id).in_(over))
            for session_id, task_id in (await db.execute(of)).all():
                db.announce(f"session:{session_id}", *card_topics(project_id, task_id))
        self._copied[project_id] = Copied(page.journal, entries[-1].seq)
        return page, page.last > entries[-1].seq

    async def settle(self, lease: Lease, before: dict[str, int]) -> dict[str, int]:
        """Write what a live session has spent into its row where that is not what it was `before`; return it.

        Raises:
            LeaseLost: The run is somebody else's now.
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            found = await spending_queries.sums(db, lease.session_id)
        if found == before:
            return found
        async with self._database.transaction() as db:
            if not await spending_queries.settle(db, lease.session_id, fence(lease)):
                raise LeaseLost("This run belongs to somebody else now, or is over.")
            # The boards that show it read what runs; nothing else has changed.
            db.announce(f"session:{lease.session_id}", f"activity:{lease.project_id}")
        return found

    async def totals(self) -> Sequence[ModelTotal]:
        """Return all that was spent, by model, for the operator's figures.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            return await spending_queries.totals(db)

    async def look_after_all(self) -> None:
        """Tell and copy the gateways of all ready workspaces. One that does not answer is left for next time.

        Raises:
            Unavailable: The database does not answer.
        """
        ready = await self._workspaces.ready()
        await asyncio.gather(
            *(self._look_after(project, each) for project, each in ready.items() if each.gateway_url)
        )

    async def _look_after(self, project_id: UUID, endpoint: Endpoint) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self.copy(endpoint, project_id)
                async with self._database.read() as db:
                    project = await db.get(Project, project_id)
                    nothing = ForProject(Budget(), Network())
                    holds = await self._for_project(db, project) if project else nothing
                state = await self._configure(endpoint, holds)
                for session_id in await self._over(state.sessions):
                    await self._gateway.forget(endpoint, session_id)
        except (VibeError, TimeoutError) as error:
            log.info("the requests of project %s cannot be counted: %s", project_id, error)

    async def _over(self, registered: Sequence[str]) -> list[str]:
        """Return those sessions that are not live."""
        ids = {found: name for name in registered if (found := _uuid(name)) is not None}
        if not ids:
            return []
        async with self._database.read() as db:
            live = await db.scalars(
                select(col(Session.id)).where(col(Session.id).in_(ids), session_queries.live)
            )
            alive = set(live)
        return [name for found, name in ids.items() if found not in alive]

    async def _for_project(self, db: AsyncSession, project: Project) -> ForProject:
        return ForProject(await _talks(db, project, self._limits), self._access.network(project.network))

    async def _configure(self, endpoint: Endpoint, project: ForProject) -> GatewayState:
        providers = await self._access.providers(endpoint)
        wanted = Configuration(providers=providers, network=project.network, talks=project.talks)
        return await self._gateway.configure(endpoint, wanted)


class Counting:
    """The money of one run: told before it starts, looked at while it goes, settled at its end.

    Args:
        record: What the run writes to.
        spending: What does it.
        retry_policy: How long it waits for what.
    """

    def __init__(self, record: Record, spending: Spending, retry_policy: RetryPolicy) -> None:
        self._record = record
        self._lease = record.lease
        self._spending = spending
        self._retry_policy = retry_policy
        self._seen: dict[str, int] = {}
        self._mark: Copied | None = None

    async def hand_over(self, endpoint: Endpoint) -> None:
        """See that the workspace's gateway, if it has one, knows what the session may spend.

        Raises:
            Unavailable: It cannot be told: nothing that costs may begin.
            LeaseLost: The session was deleted.
        """
        if not endpoint.gateway_url:
            return
        budget, project = await self._record.insist(lambda: self._spending.prepared(self._lease))
        try:
            async with asyncio.timeout(self._retry_policy.answer):
                await self._spending.tell(endpoint, self._lease.session_id, budget, project)
        except TimeoutError as error:
            raise Unavailable("The workspace's gateway does not answer in time.") from error

    async def go_on(self, where: Callable[[], Endpoint]) -> None:
        """Look at what the session spends until this is cancelled.

        Args:
            where: Says where the workspace answers then.
        """
        while True:
            await asyncio.sleep(self._retry_policy.count)  # the pause between two looks
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    await self._look_once(where())
            except LeaseLost:
                return
            except (VibeError, TimeoutError) as error:
                log.info("session %s: its requests cannot be counted: %s", self._lease.session_id, error)

    async def _look_once(self, endpoint: Endpoint) -> None:
        if not endpoint.gateway_url:
            return
        if not await self._spending.is_told(endpoint, self._lease.session_id):
            await self.hand_over(endpoint)
        mark = await self._spending.copy(endpoint, self._lease.project_id)
        if mark != self._mark:
            self._seen = await self._spending.settle(self._lease, self._seen)
            self._mark = mark

    async def finish(self, endpoint: Endpoint) -> None:
        """Copy what is left at the run's end, as far as it can be had soon; the job does the rest."""
        if not endpoint.gateway_url:
            return
        try:
            async with asyncio.timeout(self._retry_policy.stop):
                await self._spending.copy(endpoint, self._lease.project_id)
        except (VibeError, TimeoutError) as error:
            log.info("session %s: its last requests are counted later: %s", self._lease.session_id, error)


def _wired(limits: Limits) -> wire.Limits:
    return wire.Limits(
        nanodollars=limits.nano, tokens=limits.tokens, minutes=limits.minutes, requests=limits.requests
    )


def _began(session: Session) -> datetime:
    """Return from when a session's minutes count: what it waited for its provider is left out."""
    return (session.started_at or now()) + timedelta(seconds=session.waited or 0.0)


async def _spent(db: AsyncSession, *conditions: ColumnElement[bool]) -> Spent:
    found = await spending_queries.sums_of(db, *conditions)
    if not found:
        return Spent()
    cut_off, of_unknown_cost = await spending_queries.cut_off(db, *conditions)
    return Spent(
        input=found["tokens_input"],
        output=found["tokens_output"],
        reasoning=found["tokens_reasoning"],
        cache_read=found["tokens_cache_read"],
        cache_write=found["tokens_cache_write"],
        requests=found["model_requests"],
        nanodollars=found["cost_nano"],
        unpriced=found["unpriced_requests"] - of_unknown_cost,
        cut_off=cut_off,
    )


async def _talks(db: AsyncSession, project: Project, installation: Limits) -> Budget:
    """Return what people may ask through the passage: on one day together what a session may spend."""
    limits = Limits.of(project).within(installation)
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    copied = await spending_queries.copied(db, project.id)
    spent = await _spent(
        db,
        col(ModelRequest.project_id) == project.id,
        col(ModelRequest.session_id).is_(None),
        col(ModelRequest.at) >= today,
    )
    wanted = _wired(limits).model_copy(update={"minutes": None})
    return Budget(limits=wanted, spent=spent, journal=copied.journal, after=copied.number)


def _row(project_id: UUID, journal: str, entry: UsageEntry, known: set[UUID]) -> dict[str, Any]:
    session_id = _session_id(entry)
    return {
        "project_id": project_id,
        "journal": journal[:64],
        "number": entry.seq,
        "session_id": session_id if session_id in known else None,
        # What a provider or a model's name claims is kept within what can be kept and added up.
        "provider": plain_text(entry.provider)[:64],
        "model": plain_text(entry.model)[:200],
        "usage": entry.usage,
        "status": min(max(entry.status, 0), 999),
        "seconds": min(entry.seconds, 1e6),
        "tokens_input": min(entry.input, _MOST_TOKENS),
        "tokens_output": min(entry.output, _MOST_TOKENS),
        "tokens_reasoning": min(entry.reasoning, _MOST_TOKENS),
        "tokens_cache_read": min(entry.cache_read, _MOST_TOKENS),
        "tokens_cache_write": min(entry.cache_write, _MOST_TOKENS),
        "cost_nano": None if entry.nanodollars is None else min(entry.nanodollars, _MOST_NANO),
        "at": entry.started_at.astimezone(UTC),
    }


def _session_id(entry: UsageEntry) -> UUID | None:
    return _uuid(entry.session_id or "")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
