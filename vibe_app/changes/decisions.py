"""Carries out what people have decided about changes: accept, discard, restore, and what is left to tidy up.

A decision is an intent in the change's row, and this job makes it true. Every step may be repeated, so it
does not matter which process dies where: the next one finds the intent, asks the workspace how far it
has come, and goes on. An accept notes the commits between which it moves the base branch before it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.accounts.models import User
from vibe_app.aio import cancel
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.changes.service import MOVED_ON
from vibe_app.board.lifecycle import ChangeState, TaskStatus
from vibe_app.board.projects.delivery import by_request
from vibe_app.board.projects.models import Project
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.activity import Kind, note
from vibe_app.board.tasks.models import Task
from vibe_app.board.topics import card_topics
from vibe_app.changes.merging import branch_of, conflicting, lost, plan_of
from vibe_app.changes.remotes import Remotes, delivers
from vibe_app.changes.requests import EVERY, Delivery, Requests, delivery_of
from vibe_app.changes.trees import Trees, columns_of
from vibe_app.clients.git import GitClient
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, IllegalMove, NotFound, Unavailable, VibeError
from vibe_app.jobs.registry import Hold, Job
from vibe_app.wire import now
from vibe_app.wire.git import AdoptFound, DropTree, Forget, MoveBase, WantTree
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds between two looks at what is to be done, where nothing is announced."""
AT_ONCE = 8
_TRIES = 5
# Of these nobody is told who could try again: they are tried until they are done.
_INSISTED = ("deliver", "fetch", "tidy", "keep", "adopt")
_BY_HAND = [status for status in TaskStatus if status is not TaskStatus.IN_PROGRESS]


class Refused(VibeError):
    """A decision that is not carried out: the sentence says why."""


class Decisions:
    """The job that carries decisions out.

    Args:
        database: Where they stand.
        workspaces: Makes workspaces ready.
        trees: Keeps what trees hold.
        git: Asks workspaces' repositories.
        agent: Asks their sidecars.
        remotes: Brings what is accepted to projects' repositories.
        requests: Brings it there as pull requests.
    """

    def __init__(
        self,
        database: Database,
        workspaces: Workspaces,
        trees: Trees,
        git: GitClient,
        agent: Agent,
        remotes: Remotes,
        requests: Requests,
    ) -> None:
        self._database = database
        self._workspaces = workspaces
        self._trees = trees
        self._git = git
        self._agent = agent
        self._remotes = remotes
        self._requests = requests
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._next = set[UUID]()  # of which something was wanted while something before it was carried out

    @property
    def job(self) -> Job:
        """This, as a job."""

        async def work(_: Hold) -> None:
            await self.carry_out()

        return Job("carry out decisions about changes", work, period=1.0)

    async def carry_out(self) -> None:
        """Carry out what is wanted, and what will be; returns when it is cancelled.

        Raises:
            Unavailable: The database does not answer.
        """
        try:
            with self._database.bus.subscribe(change_queries.CHANGES) as changes:
                while True:
                    for change_id in await self._wanted():
                        if change_id in self._tasks:
                            self._next.add(change_id)
                        elif len(self._tasks) < AT_ONCE:
                            task = asyncio.create_task(self._one(change_id), name=f"decide {change_id}")
                            self._tasks[change_id] = task
                            task.add_done_callback(lambda _, done=change_id: self._done(done))
                    await changes.wait(LOOK)
        finally:
            await cancel(*self._tasks.values())

    def _done(self, change_id: UUID) -> None:
        self._tasks.pop(change_id, None)
        if change_id in self._next:
            self._next.remove(change_id)
            self._database.bus.publish([change_queries.CHANGES])

    async def _wanted(self) -> list[UUID]:
        async with self._database.read() as db:
            query = select(col(Change.id)).where(col(Change.intent).is_not(None))
            return list(await db.scalars(query.order_by(col(Change.intent_at)).limit(10 * AT_ONCE)))

    async def _one(self, change_id: UUID) -> None:
        """Carry out one decision; what stands against it is noted with the change."""
        verbs: Mapping[str, Callable[[Change, Task], Awaitable[None]]] = {
            "accept": self._accept,
            "discard": self._discard,
            "restore": self._restore,
            "keep": self._keep,
            "adopt": self._adopt,
            "tidy": self._tidy,
            "deliver": self._deliver,
            "fetch": self._fetch,
        }
        async with self._database.read() as db:
            change = await db.get(Change, change_id)
            task = await db.get(Task, change.task_id) if change else None
        if change is None or task is None or change.intent not in verbs:
            return
        try:
            await verbs[change.intent](change, task)
        except (Unavailable, TimeoutError) as error:
            log.warning("change %s: %s: %s", change_id, change.intent, error)
            if change.intent in _INSISTED or await self._is_accepting(change_id):
                # Whether the base branch has been moved is not known: asked again at the next look.
                return
            await self._refuse(change, error if isinstance(error, VibeError) else Unavailable(str(error)))
        except VibeError as error:
            await self._refuse(change, error)

    async def _is_accepting(self, change_id: UUID) -> bool:
        async with self._database.read() as db:
            state = await db.scalar(select(col(Change.state)).where(col(Change.id) == change_id))
        return state == ChangeState.ACCEPTING

    async def _refuse(self, change: Change, error: VibeError) -> None:
        problem = {"code": error.code, "error": error.message}
        await self._write(change, intent=None, intent_details=None, problem=problem)

    async def _write(self, change: Change, *where: Any, **values: Any) -> bool:
        async with self._database.transaction() as db:
            done = await change_queries.write(db, change.id, *where, **values)
            db.announce(f"change:{change.id}", *card_topics(change.project_id, change.task_id))
        return done

    async def _at(self, change: Change) -> Endpoint:
        return await self._workspaces.ensure(change.project_id, person=change.intent_by)

    async def _as_seen(self, endpoint: Endpoint, change: Change, task: Task) -> Change:
        """Keep what is in the tree now; return the change, unless that is not what was decided about.

        Raises:
            Refused: Something was written since, or something would be lost.
        """
        try:
            kept = await self._trees.keep_now(endpoint, change, task)
        except NotFound:
            # The tree is gone; what was kept of it is there.
            return change
        if kept.revision != change.revision:
            await self._write(change, **columns_of(kept))
            if change.intent == "accept":
                raise Refused(MOVED_ON, "revision_changed")
        if kept.left_out and not (change.intent_details or {}).get("anyway"):
            raise Refused(lost(kept.left_out), "would_be_lost")
        return change

    async def _accept(self, change: Change, task: Task) -> None:
        endpoint = await self._at(change)
        if change.state is ChangeState.ACCEPTING and change.merge_old and change.merge_new:
            if await self._moved(endpoint, change, task, change.merge_old, change.merge_new):
                return
        else:
            await self._as_seen(endpoint, change, task)
        async with self._database.read() as db:
            project = await db.get(Project, change.project_id)
            person = await db.get(User, change.intent_by)
        requests = project is not None and by_request(project)
        if project is not None and requests:
            # A request is for the branch as it is there, not as it was when it was last asked for.
            await self._remotes.fetch(endpoint, project)
        for _ in range(_TRIES):
            plan = await self._git.plan_merge(endpoint, plan_of(change, task, person, keep=requests))
            if plan.new is None:
                await self._write(change, conflicts=plan.conflicts)
                raise Refused(conflicting(change.base_branch, plan.conflicts), "conflicts")
            if requests:
                said = str((change.intent_details or {}).get("message") or "").strip() or None
                waiting = Delivery(mode="request", said=said, branch=branch_of(task), commit=plan.new)
                values: dict[str, Any] = {"merge_old": plan.old, "merge_new": plan.new}
                await self._settle(change, task, change_queries.is_open, delivery=waiting.kept(), **values)
                return
            # Noted before the branch moves: whoever takes over asks whether it has.
            if not await self._write(
                change,
                col(Change.intent) == "accept",
                state=str(ChangeState.ACCEPTING),
                merge_old=plan.old,
                merge_new=plan.new,
            ):
                return
            if await self._moved(endpoint, change, task, plan.old, plan.new):
                return
        raise Refused("The base branch moves on all the time. Try again in a moment.", "base_moves")

    async def _moved(self, endpoint: Endpoint, change: Change, task: Task, old: str, new: str) -> bool:
        """Move the base branch, and write that the change is accepted; False where it was moved elsewhere."""
        moved = await self._git.move_base(endpoint, MoveBase(old=old, new=new))
        if moved.outcome != "moved":
            await self._write(change, state=str(ChangeState.OPEN), merge_old=None, merge_new=None)
            return False
        await self._settle(change, task, col(Change.state) == str(ChangeState.ACCEPTING), moves=True)
        return True

    async def _settle(
        self, change: Change, task: Task, *where: Any, moves: bool = False, **values: Any
    ) -> None:
        """Write that a change is accepted, with its card; its delivery comes next."""
        async with self._database.transaction() as db:
            await _hold(db, task)
            done = await change_queries.write(
                db,
                change.id,
                col(Change.intent) == "accept",
                *where,
                **values,
                state=str(ChangeState.ACCEPTED),
                decided_by=change.intent_by,
                decided_at=now(),
                intent="deliver",
                problem=None,
                conflicts=[],
            )
            if done:
                await self._put(db, task, TaskStatus.DONE)
                if moves:
                    await change_queries.base_moved(db, change.project_id, 1, but=change.id)
            db.announce(change_queries.CHANGES, *_topics(change))

    async def _put(self, db: Transaction, task: Task, column: TaskStatus) -> None:
        """Move a card of which something was decided to the top of a column."""
        position = await task_queries.top_of(db, task.project_id, column)
        try:
            await task_queries.move_task(db, task.id, _BY_HAND, column, position=position)
        except IllegalMove as error:
            raise Conflict("A session of this card has begun meanwhile.", "session_live") from error

    async def _discard(self, change: Change, task: Task) -> None:
        endpoint = await self._at(change)
        change = await self._as_seen(endpoint, change, task)
        await self._drop(endpoint, task)
        column = TaskStatus((change.intent_details or {}).get("column") or TaskStatus.TODO)
        async with self._database.transaction() as db:
            await _hold(db, task)
            done = await change_queries.write(
                db,
                change.id,
                change_queries.is_open,
                state=str(ChangeState.DISCARDED),
                decided_by=change.intent_by,
                decided_at=now(),
                intent=None,
                intent_details=None,
                problem=None,
            )
            if done:
                await self._put(db, task, column)
            db.announce(*_topics(change))

    async def _restore(self, change: Change, task: Task) -> None:
        endpoint = await self._at(change)
        wanted = WantTree(base=change.base_commit, revision=change.revision)
        await self._git.tree(endpoint, task.number or 0, wanted)
        async with self._database.transaction() as db:
            done = await change_queries.write(
                db,
                change.id,
                col(Change.state) == str(ChangeState.DISCARDED),
                state=str(ChangeState.OPEN),
                # What git ignores is in no checkpoint.
                prepared=False,
                decided_by=None,
                decided_at=None,
                intent=None,
                intent_details=None,
                problem=None,
            )
            if done:
                # Its row does not say any more that it was thrown away.
                of = {"change_id": str(change.id)}
                note(db, task.id, Kind.DISCARDED, change.decided_by, of, change.decided_at)
                note(db, task.id, Kind.RESTORED, change.intent_by, of | {"what": "change"})
            db.announce(*_topics(change))

    async def _keep(self, change: Change, task: Task) -> None:
        endpoint = await self._at(change)
        kept = await self._trees.keep_now(endpoint, change, task)
        await self._write(change, **{**columns_of(kept), "intent": None, "intent_details": None})

    async def _adopt(self, change: Change, task: Task) -> None:
        """Make work that was found in the workspace the card's tree, and its change."""
        endpoint = await self._at(change)
        adopted = await self._git.adopt_found(endpoint, task.number or 0, AdoptFound(message=task.title))
        change.base_commit, change.revision = adopted.base, adopted.revision
        kept = await self._trees.keep_now(endpoint, change, task)
        await self._write(change, **{**columns_of(kept), "intent": None, "intent_details": None})

    async def _deliver(self, change: Change, task: Task) -> None:
        """Bring an accepted change to the project's repository, where the project says so.

        It stands, whatever its delivery comes to: that is noted with it and can be tried again.
        """
        async with self._database.read() as db:
            project = await db.get(Project, change.project_id)
        if project is None:
            return
        endpoint = await self._at(change)
        if change.brings:
            # How the base branch stands to its remote is another thing now.
            await self._remotes.fetch(endpoint, project)
        values: dict[str, Any] = {"intent": "tidy", "intent_details": None}
        if delivery_of(change).mode == "request":
            # As it was accepted, whatever the project says by now: the base branch does not have it.
            note = partial(self._note_delivery, change)
            found = await self._requests.deliver(endpoint, project, change, task.title, note)
            is_open = found.request is not None and found.request.state == "open"
            values |= {"delivery": found.kept(), "asks_at": now() + EVERY if is_open else None}
            if found.request is not None and found.request.state == "merged":
                await self._merged(endpoint, project, change, task)
        else:
            if delivers(project):
                await self._write(change, delivery=Delivery().kept())
            values["delivery"] = await self._remotes.deliver(endpoint, project, change)
        await self._write(change, col(Change.intent) == "deliver", **values)
        await self._tidy(change, task)

    async def _note_delivery(self, change: Change, delivery: dict[str, Any]) -> None:
        await self._write(change, col(Change.intent) == "deliver", delivery=delivery)

    async def _fetch(self, change: Change, task: Task) -> None:
        """Bring the base branch to where the merged request of a change has brought its remote."""
        async with self._database.read() as db:
            project = await db.get(Project, change.project_id)
        if project is not None:
            await self._merged(await self._at(change), project, change, task)
        await self._write(change, col(Change.intent) == "fetch", intent=None)

    async def _merged(self, endpoint: Endpoint, project: Project, change: Change, task: Task) -> None:
        """Fetch what was merged; the commit that was kept for its delivery is not needed any more."""
        await self._remotes.fetch(endpoint, project)
        if task.number is not None and change.revision is not None:
            delivered = Forget(revision=change.revision, accepted=True)
            await self._git.forget(endpoint, task.number, delivered)

    async def _tidy(self, change: Change, task: Task) -> None:
        """Remove the tree of a change that is accepted: all that it held stands in the hub."""
        await self._drop(await self._at(change), task)
        await self._write(change, col(Change.intent) == "tidy", intent=None, intent_details=None)

    async def _drop(self, endpoint: Endpoint, task: Task) -> None:
        if task.number is None:
            return
        await self._agent.let_go(endpoint, task.number)
        await self._git.drop_tree(endpoint, task.number, DropTree(anyway=True))


def _topics(change: Change) -> list[str]:
    """Return what is told of once something was decided: the card needs nobody any more, or somebody."""
    return [f"change:{change.id}", *card_topics(change.project_id, change.task_id), "projects"]


async def _hold(db: Transaction, task: Task) -> None:
    """Lock a card before its change, as everywhere: two that lock in turn wait for each other for ever."""
    await db.execute(select(col(Task.id)).where(col(Task.id) == task.id).with_for_update())
