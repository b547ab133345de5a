"""Executes one session: make the workspace ready, start the agent, write what it says, end.

This may be broken off at any line by the death of this process; the next one to claim
the session executes it again from the start, and every step finds what was done already. Nothing is
decided by an event alone: the end is what the sidecar's own record of the session says.
"""

from __future__ import annotations

import asyncio
import logging
import random
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from vibe_app.aio import cancel
from vibe_app.board.changes.queries import Told
from vibe_app.board.changes.wording import INTERRUPTED, lost_prompt
from vibe_app.board.lifecycle import SessionKind, SessionStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.endings import UNREACHABLE
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.starting import compose_prompt
from vibe_app.board.tasks.models import Task
from vibe_app.changes.trees import Kept, Trees
from vibe_app.clients.sidecar import Agent
from vibe_app.configuration.credentials import Credentials
from vibe_app.errors import (
    CannotStart,
    Conflict,
    DiskFull,
    IllegalMove,
    InvalidRequest,
    LeaseLost,
    NotFound,
    Unavailable,
    VibeError,
)
from vibe_app.runs.attempt import Attempt
from vibe_app.runs.copying import Lost
from vibe_app.runs.ending import Ending
from vibe_app.runs.following import Following
from vibe_app.runs.record import Record
from vibe_app.runs.retry_policy import MAX_CRASHES, MAX_REPEATS, TRIES, WAITS, RetryPolicy
from vibe_app.runs.spending import Counting
from vibe_app.wire import RETRYABLE, Failure, SessionState, SidecarStatus, StartSession, now
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)
Result = TypeVar("Result")

WHO_MAY = "Owners may do the first, operators the second."


class _Stopped(Exception):
    """A person asked for the end before the agent was started."""


class Run:
    """A claimed session, carried out by `execute`.

    Args:
        session: Its row as claimed.
        record: What the run writes to.
        workspaces: Makes its workspace ready.
        credentials: Those of repositories, which are kept out of what is written.
        agent: Talks to the sidecar.
        counting: What it may spend and has spent.
        trees: Makes the tree in which it works, and keeps what it leaves there.
        retry_policy: How long to wait for what.
        start_limit: Seconds in which the agent must have been started, or found again.
        time_limit: Seconds after which the session is stopped.
        admins_only: Why only what admins have executed may begin; empty where all may.
        claimed_at: When it was claimed, and with that a place for its workspace.

    Attributes:
        stop: Set once a person wants the end.
    """

    def __init__(
        self,
        session: Session,
        record: Record,
        workspaces: Workspaces,
        credentials: Credentials,
        agent: Agent,
        counting: Counting,
        trees: Trees,
        retry_policy: RetryPolicy,
        start_limit: float,
        time_limit: float,
        admins_only: str = "",
        claimed_at: datetime | None = None,
    ) -> None:
        self.record = record
        self.stop = asyncio.Event()
        self._session = session
        self._claimed_at = claimed_at
        self._workspaces = workspaces
        self._credentials = credentials
        self._agent = agent
        self._counting = counting
        self._trees = trees
        self._retry_policy = retry_policy
        self._start_limit = start_limit
        self._time_limit = time_limit
        self._admins_only = admins_only
        self._step = "the workspace was still starting"
        self._attempt = Attempt(session, agent, workspaces, retry_policy)
        # Something of it may be in the tree: it ran before, or runs now.
        self._begun = session.started_at is not None
        self._project: Project
        # What befell the workspace since the run was last heard of may be why it is lost, also where
        # that was before this process took the run over.
        self._since = datetime.fromtimestamp(session.heard_at, UTC) if session.heard_at else now()
        self._endpoint: Endpoint
        self._counted: Endpoint | None = None
        # Where it did not answer just now, though its workspace was said to be ready.
        self._doubted: Endpoint | None = None
        if session.stop_requested:
            self.stop.set()

    async def execute(self) -> None:
        """Carry the session to its end, or to its next attempt.

        A lost lease ends it without a word: somebody else executes it now.
        """
        try:
            await self._execute()
        except (LeaseLost, IllegalMove) as error:
            log.warning("session %s: %s", self._session.id, error)

    async def _execute(self) -> None:
        project, task = await self.record.task()
        if project is None or task is None:
            raise LeaseLost("The project was deleted, and its sessions with it.")
        self._project = project
        await self.record.hide(self._credentials)
        try:
            if self._session.crashes >= MAX_CRASHES:
                raise Lost(
                    f"It was broken off by a crash {self._session.crashes} times and is not tried again.",
                    Failure.BROKEN,
                )
            # It was executed while there was a wall, and waited until after.
            begins = self._session.status == SessionStatus.PENDING and not self.record.cursor
            if self._admins_only and begins and not await self.record.by_an_admin():
                raise Lost(self._admins_only, Failure.BROKEN)
            state = await self._reach(task)
            self._begun = True
            self._attempt.heard = state.heard
            await self.record.started(state.conversation, state.heard)
            state = await self._follow(state)
        except _Stopped:
            told = await self._attempt.silence()
            await self._end(Ending(SessionStatus.CANCELLED))
            await self._settle(None, told)
        except Lost as lost:
            await self._give_up(lost)
        else:
            await self._conclude(state)

    async def _reach(self, task: Task) -> SessionState:
        """Make the workspace ready and have its sidecar accept the session, or find it again there.

        Raises:
            _Stopped: A person asked for the end meanwhile.
            Lost: It cannot be reached, or not in time, or refuses, or has forgotten what it had accepted.
        """
        start = StartSession(
            session_id=self._attempt.sidecar_id,
            prompt=self._session.prompt,
            title=task.title,
            spends_for=str(self._session.id),
        )
        limit = asyncio.timeout(self._start_limit)
        try:
            async with limit:
                return await self._try_to_reach(start, task)
        except TimeoutError:
            if not limit.expired():
                raise
            reason = f"It did not start within {self._start_limit:g} s: {self._step}."
            raise Lost(reason, self._unreached) from None

    @property
    def _unreached(self) -> str:
        """The kind of failure where the sidecar is away: what was accepted once is worth repeating."""
        return Failure.AGENT_LOST if self._session.status == SessionStatus.RUNNING else UNREACHABLE

    async def _try_to_reach(self, start: StartSession, task: Task) -> SessionState:
        for tries in range(1, TRIES + 1):
            try:
                self._endpoint = await self._unless_stopped(self._ready())
                self._doubted = self._endpoint
                await self._hand_over()
                start = await self._in_its_tree(start, task)
                # What is to stop is not started, but what it has said already belongs into the event log.
                again = bool(self.record.cursor) or self.stop.is_set()
                # Not broken off by Stop: an accepted session must be known here, or nobody could end it.
                return await self._attempt.accepted(self._endpoint, start, again=again)
            except (InvalidRequest, Conflict, NotFound) as error:
                raise Lost(error.message, Failure.BROKEN) from error
            except DiskFull as error:
                raise Lost(error.message, Failure.DISK_FULL) from error
            except CannotStart as error:
                raise Lost(error.message, Failure.BROKEN) from error
            except Unavailable as error:
                if tries == TRIES:
                    raise Lost(error.message, self._unreached) from error
                # Should the limit end the next try, this is why.
                self._note_step(error.message)
                await self._unless_stopped(asyncio.sleep(self._retry_policy.pause * tries))
        raise AssertionError("unreachable: the last try returns or raises")

    async def _in_its_tree(self, start: StartSession, task: Task) -> StartSession:
        """Have the card's tree made, or found again, and say what to begin with there.

        A follow-up goes on with the card's conversation. Where that has had its message already, since
        the run was lost after it had begun, it is told to go on: its sidecar knows.
        """
        if not self._endpoint.trees or self.record.cursor or self.stop.is_set():
            return start
        tree = await self._unless_stopped(self._trees.prepare(self._endpoint, self._project, self._session))
        await self.record.has_tree(tree)
        more: dict[str, Any] = {"tree": tree.number, "setup": tree.setup, "notices": list(tree.notices)}
        if self._session.kind is not SessionKind.EXECUTE:
            # The prompt is the same whoever asks, as the session is known by it.
            card = compose_prompt(task.title, task.description)
            more["lost_prompt"] = lost_prompt(card, tree.base, tree.files, self._session.prompt)
            if conversation := self._session.conversation_id:
                more |= {"conversation": conversation, "again": INTERRUPTED}
        return start.model_copy(update=more)

    async def _keep(self) -> Kept | None:
        """Keep what the session left in its tree, insisting for a while; None where it has none.

        Raises:
            VibeError: It could not be kept: the sentence says why.
        """
        end = asyncio.get_running_loop().time() + self._retry_policy.lost
        while True:
            try:
                async with asyncio.timeout_at(end):
                    endpoint = await self._workspaces.ensure(self._project.id)
                    return await self._trees.keep(endpoint, self._session.id) if endpoint.trees else None
            except TimeoutError:
                raise Unavailable("The workspace does not answer in time.") from None
            except Unavailable:
                if asyncio.get_running_loop().time() >= end:
                    raise
            await asyncio.sleep(self._retry_policy.reconnect)

    async def _end(self, ending: Ending) -> None:
        """Keep what is in the tree, then end the session."""
        if self._begun:
            try:
                ending = replace(ending, kept=await self._keep())
            except VibeError as error:
                log.warning("session %s: what it left was not kept: %s", self._session.id, error)
                said = f"What it changed is not kept as a checkpoint yet: {error.message} It is in the tree."
                ending = replace(ending, remark=f"{ending.remark} {said}".strip(), unkept=True)
        await self.record.end(replace(ending, unsettled=self._attempt.unsettled))

    async def _hand_over(self) -> None:
        """Tell the gateway what the session may spend, before anything that costs begins."""
        if self.stop.is_set():
            return
        self._counted = self._endpoint
        try:
            await self._counting.hand_over(self._endpoint)
        except Unavailable as error:
            if not self.record.cursor:
                raise
            # The agent is at work already, and the gateway keeps what it was told before.
            log.warning("session %s: %s", self._session.id, error)

    async def _ready(self) -> Endpoint:
        """Make the workspace ready, saying so on the card where it takes a moment."""

        async def progress(sentence: str) -> None:
            self._note_step(sentence)

        # The start that came with the claim is the first one, also where it has failed by now.
        since, self._claimed_at = self._claimed_at, None
        ensured = self._workspaces.ensure(
            self._project.id, progress, session=self._session.id, doubted=self._doubted, since=since
        )
        ready = asyncio.ensure_future(ensured)
        try:
            done, _ = await asyncio.wait({ready}, timeout=self._retry_policy.notice)
            if not done and self._session.status == SessionStatus.PENDING:
                await self.record.workspace_starting()
            return await ready
        finally:
            await cancel(ready)

    def _note_step(self, sentence: str) -> None:
        self._step = f"{sentence[:1].lower()}{sentence[1:].rstrip('.')}"

    async def _follow(self, state: SessionState) -> SessionState:
        """Write what the agent says until its session is over, by itself or because it is to stop.

        Raises:
            Lost: As `Following.to_the_end`.
        """
        following = Following(
            self._session,
            self.record,
            self._agent,
            self._attempt.sidecar_id,
            self._endpoint,
            self._ready,
            self._counting,
            self.stop,
            self._retry_policy,
            self._time_limit,
        )
        try:
            return await following.to_the_end(state)
        finally:
            self._counted = following.endpoint

    async def _conclude(self, state: SessionState) -> None:
        await self._count_the_rest()
        self._attempt.heard = self._attempt.heard or state.heard
        if state.status is SidecarStatus.COMPLETED:
            await self._end(Ending(SessionStatus.COMPLETED, usage=state.usage, state=state))
        elif state.status is SidecarStatus.CANCELLED or self.stop.is_set():
            await self._end(Ending(SessionStatus.CANCELLED, usage=state.usage, state=state))
            await self._settle(state)
        else:
            reason = state.error or "The agent failed without saying why."
            await self._give_up(Lost(reason, state.failure or Failure.BROKEN), state)

    async def _give_up(self, lost: Lost, state: SessionState | None = None) -> None:
        """End a run that cannot go on, or have it repeated where that is worth while."""
        await self._count_the_rest()
        usage = state.usage if state else None
        # A wait that its provider asked for is no failure that was tried again.
        attempt = self._session.attempt - (self._session.waits or 0)
        reason = lost.reason
        if state and state.retry_at and lost.failure == Failure.PROVIDER_WAIT and not self.stop.is_set():
            delay = max(1.0, (state.retry_at - now()).total_seconds())
            longest = WAITS * self._time_limit
            if (self._session.waited or 0.0) + delay <= longest:
                await self.record.wait(delay, reason, usage)
                return
            reason = f"{reason} That is longer than the {longest / 3600:.1f} h for which a run waits in all."
        failure = lost.failure
        if failure == Failure.BUDGET_EXHAUSTED:
            reason = f"{reason} {WHO_MAY}"
        if failure == Failure.AGENT_LOST and (
            trouble := await self._workspaces.trouble(self._project.id, self._since)
        ):
            sentence, final = trouble
            reason = f"{reason} {sentence}"
            # It would end in the same way again.
            failure = Failure.BROKEN if final else failure
        if not self.stop.is_set() and failure in RETRYABLE and attempt <= MAX_REPEATS:
            delay = self._retry_policy.repeat * 2 ** (attempt - 1) * random.uniform(1.0, 1.5)
            await self.record.repeat(delay, reason, failure, usage)
            return
        told: Told | None = None
        # Before what is in the tree is kept, so that nothing is written there afterwards. Whom somebody has
        # stopped was asked to end for as long as they wait for that.
        first = self._begun and not self.stop.is_set()
        if state is None and first:
            told = await self._attempt.silence()
        if self.stop.is_set():
            ending = Ending(SessionStatus.CANCELLED, usage=usage, remark=lost.remark, state=state)
        else:
            ending = Ending(SessionStatus.FAILED, reason, failure, usage, lost.remark, state)
        await self._end(ending)
        if state is None and not first:
            told = await self._attempt.silence()
        await self._settle(state, told)

    async def _count_the_rest(self) -> None:
        counted, self._counted = self._counted, None
        if counted is not None:
            await self._counting.finish(counted)

    async def _settle(self, state: SessionState | None, told: Told | None = None) -> None:
        """Note whether the agent had what it was to say, where that was not known at the end.

        Args:
            state: How its sidecar says that it ended, if it does.
            told: What was found out without that.
        """
        if not self._attempt.unsettled:
            return
        if state is not None:
            told = Told(True, state.conversation) if state.heard else await self._attempt.silence()
        if told is not None:
            await self.record.settle(told)

    async def _unless_stopped(self, work: Awaitable[Result]) -> Result:
        """Return what `work` returns, unless a person asks for the end first.

        An attempt that may have said something already gets a moment more, so that its words
        are not left out.

        Raises:
            _Stopped: The work was cancelled for it.
        """

        async def enough() -> None:
            await self.stop.wait()
            if self._attempt.may_work:
                await asyncio.sleep(self._retry_policy.stop)

        task = asyncio.ensure_future(work)
        asked = asyncio.create_task(enough(), name="stop asked")
        try:
            await asyncio.wait({task, asked}, return_when=FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            await cancel(task, asked)
