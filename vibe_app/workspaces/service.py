"""The verbs of workspaces: what is wanted of one is written, and who waits reads how it is.

Nothing here starts or ends anything: the reconciler makes what runs agree with the rows
(`reconcile`). So any process of an installation may ask, and none needs to know who runs it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require
from vibe_app.board.projects.models import Project
from vibe_app.db import Database
from vibe_app.errors import (
    CannotStart,
    Conflict,
    DiskFull,
    InvalidRequest,
    TooLarge,
    TooMany,
    Unavailable,
    VibeError,
)
from vibe_app.jobs.registry import Jobs
from vibe_app.wire import now
from vibe_app.workspaces import rows
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.places import Places
from vibe_app.workspaces.runtimes.base import Endpoint, Progress
from vibe_app.workspaces.states import Desired, WorkspaceStatus
from vibe_app.workspaces.usage import Usage
from vibe_app.workspaces.waking import Waking

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at a row that somebody waits for, where nothing is announced."""
RECONCILER = "reconcile workspaces"
"""The name of the job that makes what runs agree with the rows."""
NOBODY = 10.0
"""Seconds after which who waits is told that nobody looks after workspaces."""
ERASURE = 10.0
"""Seconds for which who deletes a project waits until nothing is left of its workspace."""
USED_EVERY = timedelta(minutes=1)
PATIENCE = 15.0
"""Seconds for which who looks waits for another workspace to give its place up."""
_KINDS = {kind.__name__: kind for kind in (CannotStart, DiskFull, InvalidRequest, TooLarge)}


class Workspaces:
    """Workspaces of projects, on whichever runtime.

    Args:
        database: Where their rows are.
        key: The installation's signing key, from which their secrets derive.
        usage: The leases of this process.
        jobs: Tells whether anybody looks after them.
        idle_minutes: Minutes without use after which one is stopped.
        places: Of those that run at once; None for as many as are wanted.
    """

    def __init__(
        self,
        database: Database,
        key: str,
        usage: Usage,
        jobs: Jobs,
        idle_minutes: float,
        places: Places | None = None,
    ) -> None:
        self._database = database
        self.places = places or Places(database)
        self._key = key
        self._usage = usage
        self._jobs = jobs
        self._waking = Waking(timedelta(minutes=idle_minutes))

    def keys(self, project_id: UUID, epoch: int) -> ServiceKeys:
        """Return the secrets of a workspace's services in an epoch."""
        return ServiceKeys.of(self._key, project_id, epoch)

    async def opened(self, actor: Actor, project_id: UUID) -> None:
        """Say that somebody looks at the board: its workspace starts by and by, and stays warm.

        Whoever keeps the board open says so again every few minutes, well within `idle_minutes`.

        Raises:
            NotFound: There is no such project.
            Forbidden: The actor is no member.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
        try:
            await self.wake(actor, project_id)
        except TooMany as error:
            log.info("workspace of project %s stays as it is: %s", project_id, error)
            return
        await self._ask(project_id, person=actor.user_id, wish=False)

    async def wake(self, actor: Actor, project_id: UUID) -> None:
        """Note that a person needs a workspace for looking at it, unless it is awake anyway.

        Raises:
            TooMany: They have woken as many others as one person may.
        """
        async with self._database.read() as db:
            row = await rows.read(db, project_id)
        if row is not None and row.status == WorkspaceStatus.READY:
            return
        if woken := self._waking.full(actor.user_id, project_id):
            async with self._database.read() as db:
                awake = await rows.awake(db, woken)
            for each in woken - awake:
                self._waking.forget(each)
        self._waking.count(actor.user_id, project_id)

    def held(self, project_id: UUID) -> AbstractAsyncContextManager[None]:
        """Hold a workspace awake for as long as the block lasts; it is not started by this."""
        return self._usage.held(project_id)

    def looked_at(self, project_id: UUID) -> AbstractAsyncContextManager[None]:
        """Keep a workspace warm for as long as the block lasts, unless its place is wanted for another."""
        return self._usage.looked_at(project_id)

    async def ensure(
        self,
        project_id: UUID,
        progress: Progress | None = None,
        *,
        person: UUID | None = None,
        session: UUID | None = None,
        doubted: Endpoint | None = None,
        since: datetime | None = None,
    ) -> Endpoint:
        """Want a workspace, wait until it is ready, and say where it answers.

        Args:
            project_id: Whose.
            progress: Told each step of a start.
            person: Who wants it, in whose name it takes a place among those that run.
            session: A session that is about to begin in it: one that runs with other settings than
                those of now is started anew first, unless another session is at work there.
            doubted: Where it did not answer just now: it is looked at again, and mended.
            since: A start that was asked for after this is the one that is meant, also where it has failed.

        Raises:
            Unavailable: It cannot be started, nobody looks after workspaces, or the database is away.
            InvalidRequest: Its repository's address cannot be used.
            TooMany: As many workspaces run as may, and none gave its place up within `PATIENCE` seconds.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + PATIENCE
        with self._database.bus.subscribe(rows.TOPIC) as changes:
            asks = partial(self._ask, project_id, person, session=session, doubted=doubted, since=since)
            while (asked := await asks()) is None:
                if clock() >= end:
                    raise self._no_place()
                await changes.wait(LOOK)
        return await self._until_ready(project_id, asked, progress)

    async def restart(self, actor: Actor, project_id: UUID, *, interrupt: bool = False) -> None:
        """Want a workspace ended, and started anew.

        Args:
            actor: Who asks; one who may execute in the project.
            project_id: Whose.
            interrupt: Also while sessions run in it. What their agents were doing is broken off, and
                begins again in the new one.

        Raises:
            Forbidden: The actor may not.
            Conflict: A session runs in it.
            TooMany: It does not run, and as many others do as may.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR, Scope.RUN)
            actor.need_execution()
            if not interrupt and project_id in await rows.with_running_session(db):
                raise Conflict(
                    "A session runs in this workspace: stop it first, or restart it nevertheless. What the "
                    "agent is doing then begins again.",
                    "session_live",
                )
            placed = await self.places.take(db, project_id, actor.user_id, wish=True)
            if placed:
                await rows.want(db, project_id, Desired.RUNNING, restart=True)
        if not placed:
            raise self._no_place()

    def _no_place(self) -> TooMany:
        return TooMany(
            f"{self.places.limit} workspaces run, which is as many as may at once, and all are in use. Try "
            "again when one of them is done.",
            int(PATIENCE),
            "workspace_limit",
        )

    async def erased(self, project_id: UUID, seconds: float) -> bool:
        """Wait until nothing is left of a workspace that is to be erased; tell whether that came in time."""
        with self._database.bus.subscribe(rows.topic(project_id)) as changes:
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        async with self._database.read() as db:
                            row = await rows.read(db, project_id)
                        if row is None:
                            return True
                        if row.failure and row.observed == row.generation:
                            return False
                        await changes.wait(LOOK)
            except (TimeoutError, Unavailable):
                return False

    async def ready(self) -> dict[UUID, Endpoint]:
        """Return the workspaces that are ready, and where they answer.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            return {row.project_id: self._endpoint(row) for row in await rows.running(db) if row.address}

    async def counts(self) -> tuple[dict[str, int], int]:
        """Return how many workspaces there are of each status, and how many belong to no project.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            return await rows.by_status(db), len(await rows.orphans(db))

    async def trouble(self, project_id: UUID, since: datetime) -> tuple[str, bool] | None:
        """Return how something of a workspace has ended unasked since then, and whether that is final."""
        try:
            async with self._database.read() as db:
                row = await rows.read(db, project_id)
        except Unavailable:
            return None
        if row is None or row.trouble is None or row.trouble_at is None or row.trouble_at < since:
            return None
        return row.trouble, row.trouble_final

    async def _ask(
        self,
        project_id: UUID,
        person: UUID | None = None,
        *,
        session: UUID | None = None,
        doubted: Endpoint | None = None,
        since: datetime | None = None,
        wish: bool = True,
    ) -> int | None:
        """Write that a workspace is wanted, where it is not so already; return the wish's generation.

        None where it has no place to run; with `wish` it is in line for one.
        """
        async with self._database.read() as db:
            row = await rows.read(db, project_id)
            restart = (
                session is not None
                and row is not None
                and row.outdated
                and project_id not in await rows.with_running_session(db, other_than=session)
            )
        if row is not None and not restart and self._stands(row, doubted, since):
            if now() - row.used_at > USED_EVERY:
                await self._note_use(project_id)
            return row.generation
        async with self._database.transaction() as db:
            if await db.get(Project, project_id) is None:
                raise Unavailable("The project was deleted, and its workspace with it.", "workspace_stopped")
            if not await self.places.take(db, project_id, person, wish=wish):
                return None
            await rows.want(db, project_id, Desired.RUNNING, restart=restart)
            row = await rows.read(db, project_id)
        return row.generation if row else 0

    def _stands(self, row: Workspace, doubted: Endpoint | None, since: datetime | None) -> bool:
        """Whether a row already says that the workspace is wanted, and nothing speaks against it."""
        if row.desired != Desired.RUNNING:
            return False
        if row.generation != row.observed:
            return True
        if row.status == WorkspaceStatus.FAILED:
            return since is not None and row.used_at >= since
        return doubted is None or row.status != WorkspaceStatus.READY or self._endpoint(row) != doubted

    async def _note_use(self, project_id: UUID) -> None:
        try:
            async with self._database.transaction() as db:
                await rows.note_use(db, project_id)
        except Unavailable as error:
            log.warning("use of project %s's workspace was not noted: %s", project_id, error)

    async def _until_ready(self, project_id: UUID, asked: int, progress: Progress | None) -> Endpoint:
        told = ""
        clock = asyncio.get_running_loop().time
        since = clock()
        with self._database.bus.subscribe(rows.topic(project_id)) as changes:
            while True:
                async with self._database.read() as db:
                    row = await rows.read(db, project_id)
                if row is None or row.desired != Desired.RUNNING:
                    raise _stopped_meanwhile()
                if row.observed >= asked:
                    if row.status == WorkspaceStatus.READY and row.address:
                        return self._endpoint(row)
                    if row.status == WorkspaceStatus.FAILED:
                        raise _as_error(row)
                if progress and row.reason and row.reason != told:
                    told = row.reason
                    await progress(told)
                if not await changes.wait(LOOK) and clock() - since > NOBODY:
                    await self.check()

    async def check(self) -> None:
        """Return if somebody looks after workspaces.

        Raises:
            Unavailable: Nobody does, with the reason where it is known; or the database does not answer.
        """
        job = next((job for job in await self._jobs.views() if job.name == RECONCILER), None)
        if job is not None and job.owner is not None and job.failure is None:
            return
        if job is not None and job.failure is not None:
            raise Unavailable(f"Nobody starts workspaces at the moment. {job.failure}", "no_engine")
        raise Unavailable(
            "Nobody starts workspaces at the moment. Is a process with the role `engine` or `all` running?",
            "no_engine",
        )

    def _endpoint(self, row: Workspace) -> Endpoint:
        address = row.address or {}
        keys = self.keys(row.project_id, row.epoch)
        return Endpoint(
            url=address.get("url", ""),
            token=keys.token,
            files_url=address.get("files_url", ""),
            proxy_url=address.get("proxy_url", ""),
            notices=tuple(row.notices or ()),
            gateway_url=address.get("gateway_url", ""),
            rehearsal_key=keys.rehearsal_key,
            proves=bool(address.get("proves")),
            trees=bool(address.get("trees")),
        )


def _stopped_meanwhile() -> Unavailable:
    return Unavailable("The workspace was stopped while it was starting.", "workspace_stopped")


def as_failure(error: VibeError) -> dict[str, Any]:
    """Write an error down, for `_as_error`."""
    return {"kind": type(error).__name__, "message": error.message, "code": error.code}


def _as_error(row: Workspace) -> VibeError:
    failure = row.failure or {}
    kind = _KINDS.get(str(failure.get("kind")), Unavailable)
    message = failure.get("message") or row.reason or "The workspace could not be started."
    return kind(str(message), failure.get("code"))
