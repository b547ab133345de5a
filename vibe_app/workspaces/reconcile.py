"""Makes the machines agree with the rows: starts, stops and erases workspaces, and writes how they are.

A job of the installation, run by one process at a time; the only caller of a runtime. It works on
differences: whatever is wanted and not so is to do, however it came about, and is tried again until
it is so. What is done for one workspace is one task of its own and waits for no other.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from vibe_app.addresses import Credential
from vibe_app.aio import cancel, forever
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database
from vibe_app.errors import Unavailable, VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import now
from vibe_app.workspaces import rows, usage
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.runtimes.base import Endpoint, KeysOf, Runtime, Tenancy, WorkspaceSpec
from vibe_app.workspaces.service import RECONCILER, as_failure
from vibe_app.workspaces.states import Desired, WorkspaceStatus
from vibe_app.workspaces.statuses import Statuses

log = logging.getLogger(__name__)

LOOK, REST = 2.0, 5.0
"""Seconds between two looks at what is to do, where nothing is announced: while something is, and while
nothing is.
"""
COMPARE = 30.0
"""Seconds between two comparisons of what runs with all rows."""
TRY_AGAIN = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds until what failed and is still wanted (a stop, an erasure) is tried again."""
CLOSE_SECONDS = 10.0


@dataclass
class _Work:
    """What is being done for one workspace: which wish, and since when it failed how often."""

    generation: int
    desired: str
    task: asyncio.Task[None]


@dataclass
class _Failures:
    count: int = 0
    until: float = 0.0


class Reconciler:
    """The one who looks after workspaces.

    Args:
        database: Where the rows are.
        runtime: Makes and ends them.
        keys: Says their secrets.
        credentials: Those of the projects' repositories.
        idle_minutes: Minutes without use after which one is stopped.
        orphan_hours: Hours from the report of what belongs to no project to its end.
    """

    def __init__(
        self,
        database: Database,
        runtime: Runtime,
        keys: KeysOf,
        credentials: Credentials,
        idle_minutes: float,
        orphan_hours: float,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._keys = keys
        self._credentials = credentials
        self._idle = timedelta(minutes=idle_minutes)
        self._orphaned = timedelta(hours=orphan_hours)
        self._work: dict[UUID, _Work] = {}
        self._failures: dict[UUID, _Failures] = {}
        self._statuses = Statuses(database)
        self._note = self._statuses.note

    @property
    def job(self) -> Job:
        """This, as a job."""
        opening = "The place of the workspaces is being opened."
        return Job(RECONCILER, self.run, period=0.5, jitter=0.5, opening=opening)

    async def run(self, hold: Hold) -> None:
        """Look after the workspaces until this is cancelled, or its lease lost.

        Raises:
            Unavailable: The runtime cannot be reached.
        """
        self._statuses.begin(hold)
        writing: asyncio.Task[None] | None = None
        try:
            async with self._database.read() as db:
                tenancy = Tenancy(await rows.installation(db), self._keys, await rows.known(db))
            await self._runtime.open(tenancy)
            await self._take_stock()
            await self._statuses.report(None)
            loop = forever("write how workspaces are", self._statuses.write_all)
            writing = asyncio.create_task(loop, name="statuses of workspaces")
            await self._reconcile_all()
        finally:
            await cancel(*(work.task for work in self._work.values()))
            self._work.clear()
            await asyncio.shield(self._close(writing))

    async def told(
        self, project_id: UUID, status: WorkspaceStatus, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        """Take from the runtime how a workspace is; it is written as soon as it can be."""
        self._statuses.told(project_id, status, reason, endpoint)

    def troubled(self, project_id: UUID, sentence: str, final: bool) -> None:
        """Take from the runtime how something of a workspace ended that runs may need."""
        self._statuses.troubled(project_id, sentence, final)

    async def write(self) -> None:
        """Write what is to be written; see `Statuses.write`."""
        await self._statuses.write()

    # --- what is to do ------------------------------------------------------------------------------

    async def _take_stock(self) -> None:
        """Compare once, before anything is done: what runs is found, what does not is not said to run."""
        alive = await self._runtime.alive()
        async with self._database.read() as db:
            wanted = await rows.running(db)
            live = await rows.with_live_session(db)
            unsettled = {row.project_id: row for row in await rows.unsettled(db)}
        kept = live | set(alive)
        for row in (*wanted, *unsettled.values()):
            if row.desired != Desired.RUNNING or row.project_id in alive:
                continue
            # Whoever waits for it asks again; without anybody, not all of them start at once.
            if row.project_id in kept or row.generation != row.observed:
                self._note(row.project_id, {"status": WorkspaceStatus.STOPPED.value, "address": None})
            else:
                self._note(
                    row.project_id,
                    {
                        "desired": Desired.STOPPED.value,
                        "status": WorkspaceStatus.STOPPED.value,
                        "reason": None,
                        "address": None,
                    },
                )
        await self.write()

    async def _reconcile_all(self) -> None:
        clock = asyncio.get_running_loop().time
        compared = float("-inf")
        with self._database.bus.subscribe(rows.TOPIC) as changes:
            while True:
                if clock() - compared >= COMPARE:
                    compared = clock()
                    await self.compare()
                async with self._database.read() as db:
                    unsettled = await rows.unsettled(db)
                for row in unsettled:
                    await self._see_to(row)
                for project_id in set(self._failures) - {row.project_id for row in unsettled}:
                    del self._failures[project_id]
                await changes.wait(LOOK if unsettled else REST)

    async def _see_to(self, row: Workspace) -> None:
        """Begin what a workspace needs, unless it is under way; break off what is not wanted any more."""
        if (work := self._work.get(row.project_id)) is not None:
            changed = row.desired != work.desired or (row.restart and row.generation != work.generation)
            if not changed:
                return
            await cancel(work.task)
        failures = self._failures.get(row.project_id)
        if failures is not None and asyncio.get_running_loop().time() < failures.until:
            return
        task = asyncio.create_task(self._do(row.project_id), name=f"workspace {row.project_id}")
        self._work[row.project_id] = _Work(row.generation, row.desired, task)
        task.add_done_callback(lambda done: self._ended(row.project_id, done))

    def _ended(self, project_id: UUID, task: asyncio.Task[None]) -> None:
        work = self._work.get(project_id)
        if work is not None and work.task is task:
            del self._work[project_id]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            if isinstance(error, Unavailable):
                log.warning("workspace of project %s is seen to later: %s", project_id, error)
            else:
                log.error("workspace of project %s", project_id, exc_info=error)
            self._put_off(project_id)
        self._database.bus.publish({rows.TOPIC})

    def _put_off(self, project_id: UUID) -> None:
        failures = self._failures.setdefault(project_id, _Failures())
        pause = TRY_AGAIN[min(failures.count, len(TRY_AGAIN) - 1)]
        failures.count += 1
        failures.until = asyncio.get_running_loop().time() + pause

    async def _do(self, project_id: UUID) -> None:
        async with self._database.read() as db:
            # What was read before may have been done since.
            found = await rows.unsettled(db, project_id)
        for row in found:
            self._work[project_id].generation, self._work[project_id].desired = row.generation, row.desired
            if row.desired == Desired.RUNNING:
                await self._start(row)
            else:
                await self._stop(row, erase=row.desired == Desired.ERASED)

    async def _start(self, row: Workspace) -> None:
        """Bring a workspace up; how that goes is told by the runtime, and its end written with the wish."""
        project_id, answered = row.project_id, {"observed": row.generation, "restart": False}
        if row.restart:
            self._statuses.told(
                project_id, WorkspaceStatus.STARTING, "Ending what runs, to start it anew", None
            )
            await self._runtime.stop(project_id)
        spec = await self._spec(row)
        if spec is None:
            return
        try:
            endpoint = await self._runtime.ensure(spec)
        except VibeError as error:
            self._statuses.told(project_id, WorkspaceStatus.FAILED, error.message, None)
            self._note(project_id, answered | {"failure": as_failure(error)})
            log.warning("workspace of project %s could not start: %s", project_id, error)
        else:
            self._statuses.told(project_id, WorkspaceStatus.READY, None, endpoint)
            self._note(project_id, answered | {"outdated": project_id in await self._runtime.outdated()})
        await self.write()

    async def _spec(self, row: Workspace) -> WorkspaceSpec | None:
        """Say what to start, its epoch noted first: what runs is mended in its own, a start has a new one.

        None where the project has just been deleted.

        Raises:
            Unavailable: The database does not answer; then it is tried again, as that is no fault of the
                workspace.
        """
        held = await self._runtime.held()
        epoch = row.epoch if held.get(row.project_id) == row.epoch else row.epoch + 1
        async with self._database.transaction() as db:
            project = await db.get(Project, row.project_id)
            if project is None:
                return None
            await db.execute(
                update(Workspace)
                .where(col(Workspace.project_id) == row.project_id, self._statuses.fence)
                .values(epoch=epoch)
            )
        return WorkspaceSpec(
            row.project_id,
            project.repo_url,
            project.repo_branch,
            await self._credential(project),
            epoch,
            self._keys(row.project_id, epoch),
            remade=row.notices is not None,  # it was ready once
        )

    async def _credential(self, project: Project) -> Credential | None:
        if not project.repo_url:
            return None
        try:
            async with self._database.read() as db:
                return await self._credentials.get(db, project.id)
        except Unavailable as error:
            # A workspace that exists needs none, and a clone without it says what is missing.
            log.warning("the repository's credential of project %s is not used: %s", project.id, error)
            return None

    async def _stop(self, row: Workspace, *, erase: bool) -> None:
        """End a workspace, and erase it where nothing is to be left; what fails is tried again."""
        project_id, answered = row.project_id, {"observed": row.generation, "restart": False}
        try:
            await self._runtime.stop(project_id, erase=erase)
            if erase and project_id in await self._runtime.found():
                raise Unavailable("Not all of the workspace could be erased.")
        except (VibeError, OSError) as error:
            failure = (
                error if isinstance(error, VibeError) else Unavailable(f"It could not be removed: {error}.")
            )
            what = "erased" if erase else "stopped"
            log.warning("workspace of project %s could not be %s: %s", project_id, what, failure)
            self._statuses.told(project_id, WorkspaceStatus.FAILED, failure.message, None)
            self._note(
                project_id,
                {"observed": row.generation if erase else row.observed, "failure": as_failure(failure)},
            )
            self._put_off(project_id)
            return await self.write()
        if erase:
            self._statuses.forget(project_id)
            async with self._database.transaction() as db:
                await rows.remove(db, project_id)
            return
        self._statuses.told(project_id, WorkspaceStatus.STOPPED, None, None)
        self._note(project_id, answered | {"failure": None, "outdated": False})
        await self.write()

    # --- what nobody asked for ----------------------------------------------------------------------

    async def compare(self) -> None:
        """Compare all that is there with all rows: what is idle, outdated, wrong or nobody's."""
        alive, found, outdated = (
            await self._runtime.alive(),
            await self._runtime.found(),
            await self._runtime.outdated(),
        )
        async with self._database.read() as db:
            ready = {row.project_id: row for row in await rows.running(db)}
            known = await rows.known(db)
            live = await rows.with_live_session(db)
            used = await usage.used(db)
            recent = await self._used_lately(db)
        for project_id in found - known:
            await self._report_orphan(project_id)
        for project_id, row in ready.items():
            if project_id in self._work:
                continue
            if project_id not in alive:
                self._note(project_id, {"status": WorkspaceStatus.STARTING.value, "address": None})
            elif project_id in outdated and project_id not in live:
                await self._want(project_id, Desired.RUNNING, restart=True)
            elif project_id not in live | used | recent:
                log.info("stopping the idle workspace of project %s", project_id)
                await self._want(project_id, Desired.STOPPED)
            elif row.outdated != (project_id in outdated):
                self._note(project_id, {"outdated": project_id in outdated})
        async with self._database.transaction() as db:
            await usage.forget_past(db)
        await self._stop_unwanted(set(alive) - set(ready))

    async def _stop_unwanted(self, alive: set[UUID]) -> None:
        """End what runs although its row says that it is stopped."""
        async with self._database.read() as db:
            for project_id in alive:
                row = await rows.read(db, project_id)
                if row is not None and row.desired == Desired.STOPPED and project_id not in self._work:
                    self._note(project_id, {"status": WorkspaceStatus.STARTING.value})

    async def _used_lately(self, db: Any) -> set[UUID]:
        recently = now() - self._idle
        noted = await db.scalars(
            select(col(Workspace.project_id)).where(
                col(Workspace.desired) == Desired.RUNNING, col(Workspace.used_at) > recently
            )
        )
        ended = await db.scalars(
            select(col(Session.project_id))
            .where(col(Session.deleted_at).is_(None), col(Session.completed_at) > recently)
            .distinct()
        )
        return set(noted) | set(ended)

    async def _want(self, project_id: UUID, desired: Desired, *, restart: bool = False) -> None:
        async with self._database.transaction() as db:
            await rows.want(db, project_id, desired, restart=restart)

    async def _report_orphan(self, project_id: UUID) -> None:
        """Write down what is here of a project without a row, and when it is erased if it has no project."""
        async with self._database.transaction() as db:
            if await db.get(Project, project_id) is not None:
                return await rows.want(db, project_id, Desired.STOPPED)
            erase_at = now() + self._orphaned
            reason = f"It belongs to no project and is erased after {erase_at:%Y-%m-%d %H:%M} UTC."
            db.add(Workspace(project_id=project_id, desired=Desired.ERASED, reason=reason, erase_at=erase_at))
        log.warning("orphan: what is here of workspace %s: %s", project_id, reason)

    async def _close(self, writing: asyncio.Task[None] | None) -> None:
        """Let go of the runtime; locally what nobody uses is stopped, within `CLOSE_SECONDS`."""
        keep: set[UUID] | None = None
        try:
            async with self._database.read() as db:
                keep = await rows.with_live_session(db) | await usage.used_by_the_living(db)
        except VibeError as error:
            log.warning("no workspace is stopped, as nobody knows which are in use: %s", error)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._runtime.close(keep)
        except (VibeError, OSError, TimeoutError) as error:
            log.warning("not every workspace was stopped: %s", error or "it took too long")
        finally:
            await cancel(writing)
        try:
            await self.write()
        except VibeError as error:
            log.warning("how workspaces are was not written: %s", error)
