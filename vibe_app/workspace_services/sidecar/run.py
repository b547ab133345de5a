"""One live session, from the accepted prompt to its end, as one loop.

It feeds what OpenCode reports to the translator and what comes of it to the session's
record. Events only hint; that a run is over is read from OpenCode's own state and
transcript, so a missed event costs time, never truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from vibe_app.wire import EventType, Failure, SidecarStatus, Usage
from vibe_app.workspace_services.sidecar import verdict as verdicts
from vibe_app.workspace_services.sidecar.commands import Commands
from vibe_app.workspace_services.sidecar.headway import Headway
from vibe_app.workspace_services.sidecar.journal import LARGEST_SUMMARY, End
from vibe_app.workspace_services.sidecar.opencode import (
    OpenCode,
    OpenCodeError,
    OpenCodeGone,
    OpenCodeMissing,
)
from vibe_app.workspace_services.sidecar.opencode_json import Event, Message, Part, Request
from vibe_app.workspace_services.sidecar.outbox import Outbox
from vibe_app.workspace_services.sidecar.sessions import PREPARED, Session
from vibe_app.workspace_services.sidecar.setting_up import SettingUp
from vibe_app.workspace_services.sidecar.steps import fingerprint, steps
from vibe_app.workspace_services.sidecar.sweep import Meant
from vibe_app.workspace_services.sidecar.tool_outputs import ToolOutputs
from vibe_app.workspace_services.sidecar.translate import Emission, Translator
from vibe_app.workspace_services.sidecar.turn import Turn, heard
from vibe_app.workspace_services.sidecar.verdict import Verdict
from vibe_app.workspace_services.sidecar.watch import Signal, Watch

logger = logging.getLogger(__name__)

_QUIET = 10.0
_SOON = 0.1
# An idle OpenCode session whose transcript has no end: seconds until that counts as lost.
_SETTLING = 3.0
_SETTLING_AFTER_ABORT = 0.3
_FAULTS = 5
_NOBODY = "Nobody can be asked during this run. Go on without it, or in another way."


@dataclass(frozen=True)
class Surroundings:
    """What all runs of a workspace share.

    Args:
        watch: The event stream.
        sweep: Ends what the agent left running; see `vibe_app.workspace_services.sidecar.sweep`.
        meant: Returns which processes a run leaves behind.
        commands: Ends commands that outlive their limit; told of each that a run calls.
        outputs: Reads what OpenCode keeps of long outputs.
        disk_is_full: Tells whether the workspace has no room left.
        silence: Seconds for which the model may keep its stream open without a word.
    """

    watch: Watch
    sweep: Callable[[Callable[[], Meant]], Awaitable[list[str]]]
    meant: Callable[[Run], Meant]
    commands: Commands
    outputs: ToolOutputs
    disk_is_full: Callable[[], bool]
    silence: float


class First(NamedTuple):
    """What comes before the agent's work, where the tree is to be prepared: the command, then the prompt."""

    command: str
    prompt: Callable[[], Awaitable[None]]


class Run:
    """The work on one live session.

    Args:
        session: Its record.
        client: The OpenCode server, seen from the folder in which it works.
        around: What it shares with others.
        first: What is to be done before its agent works; None where that is done, or was begun by an
            earlier process.
    """

    def __init__(
        self, session: Session, client: OpenCode, around: Surroundings, first: First | None = None
    ) -> None:
        self.session = session
        self._first = first
        self._began = session.events[0].timestamp.timestamp() if session.events else time.time()
        self._client = client
        self._watch = around.watch
        self._inbox = around.watch.join()
        self._around = around
        self._commands = around.commands
        self._outputs = around.outputs
        self._opencode = session.header.opencode_session
        self._turn = Turn(session.header.after, session.header.stale)
        self._summary = ""
        workspace = str(client.folder)
        self._translator = Translator(self._opencode, workspace, session.marks)
        self._headway = Headway(workspace, around.silence)
        self._outbox = Outbox(session.append, asyncio.get_running_loop().time)
        self._check_at = 0.0
        self._idle_since: float | None = None
        self._behind = False
        """Whether something may have been missed that OpenCode was not yet asked for."""
        self._early: list[Event] = []
        """What happened meanwhile: it is told after what was missed."""
        self._faults = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[Verdict] | None = None
        self._ended: list[str] = []

    @property
    def age(self) -> float:
        """Seconds since the run began, also when an earlier process began it."""
        return time.time() - self._began

    @property
    def tree(self) -> int | None:
        """The number of the card in whose tree it works."""
        return self.session.header.tree

    def begin(self) -> asyncio.Task[None]:
        """Start the loop; the task ends when the session has ended."""
        self._task = asyncio.create_task(self._main(), name=f"session {self.session.id}")
        return self._task

    def abandon(self) -> None:
        """Give up a run that never began."""
        self._watch.leave(self._inbox)

    async def stop(self) -> None:
        """Stop the agent; returns once it has stopped and nothing of it is left, in less than 2 s."""
        task = self._task
        if task is None or task.done():
            return
        self._stopping = True
        abort = asyncio.create_task(self._abort())
        # OpenCode gives a command 3 s to end by itself. By now it knows not to go on after
        # it, so the commands can be ended for it.
        await asyncio.wait({abort}, timeout=0.3)
        self._ended += await self._sweep()
        self._inbox.put_nowait(Signal.CHECK)
        await asyncio.wait({task}, timeout=0.9)
        if self._loop is not None:
            self._loop.cancel()
        await asyncio.wait({task})
        abort.cancel()

    async def _main(self) -> None:
        self._loop = asyncio.create_task(self._until_verdict())
        try:
            # Waiting this way, a stop can cut the loop short without cancelling what must follow it.
            await asyncio.wait({self._loop})
            verdict = verdicts.CANCELLED if self._loop.cancelled() else self._loop.result()
        except OSError as error:
            logger.error("session %s: cannot be written: %s", self.session.id, error)
            self._outbox.clear()
            verdict = verdicts.unwritable(error)
        finally:
            self._loop.cancel()
            self._watch.leave(self._inbox)
        await self._close(verdict)

    async def _close(self, verdict: Verdict) -> None:
        if self._stopping:
            verdict = verdicts.CANCELLED
        elif verdict.status is SidecarStatus.FAILED and self._around.disk_is_full():
            # Whatever it looks like: OpenCode says nothing of this, and stops without a word.
            verdict = verdicts.DISK_FULL
        usage = Usage()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4 if self._stopping else 5):
                if verdict.status is SidecarStatus.FAILED:
                    await self._abort()
                usage = await self._usage()
                await self._sum_up()
                if verdict == verdicts.BROKEN_OFF:
                    await self._renew_instance()
        self._ended += await self._sweep() + self._commands.forget(self.session.id)
        for event in self._early:
            if not self._turn.is_earlier(event):
                self._outbox.put(self._translator.feed(event, time.time() * 1000))
        notes: list[Emission] = []
        if self._ended:
            text = f"Ended what the run had left running: {', '.join(sorted(set(self._ended)))}"
            notes += self._translator.note(EventType.STATUS, text)
        if usage.tokens_input or usage.tokens_output:
            notes += self._translator.note(EventType.STATUS, verdicts.usage_words(usage))
        if verdict.error:
            notes += self._translator.note(EventType.ERROR, verdict.error)
        self._outbox.put(notes)
        with contextlib.suppress(OSError):  # the disk may be the very reason; the end is told all the same
            self._outbox.flush()
        end = End(
            status=verdict.status,
            heard=self.session.heard,
            error=verdict.error,
            failure=verdict.failure,
            usage=usage,
            asking=verdict.asking,
            retry_at=verdict.retry_at,
            steps=self.session.steps,
            summary=self._summary,
        )
        self.session.finish(verdict.words, end)

    async def _until_verdict(self) -> Verdict:
        if not self.session.prepared and (found := await self._prepare()):
            return found
        handled = 0
        while True:
            item = await self._next()
            handled += 1
            if not handled % 64:
                await asyncio.sleep(0)  # a full inbox never suspends, and readers want their turn
            if item is Signal.LOST:
                return verdicts.failed(Failure.AGENT_LOST, "OpenCode went away in the middle of the run.")
            if item is Signal.RESYNC:
                self._translator.gap()
                self._behind = True
            elif isinstance(item, Signal):
                self._outbox.put(self._translator.settle())
            elif self._behind:
                self._early.append(item)
                if asyncio.get_running_loop().time() < self._check_at:
                    continue
            else:
                await self._handle(item)
                if stuck := await self._headway.verdict(self._name):
                    return stuck
                if not self._is_idle(item):
                    continue
            if found := await self._check() or await self._headway.verdict(self._name):
                return found
            pause = _SOON if self._idle_since or self._behind else _QUIET
            if await self._catch_up():
                pause = 0.0
            self._check_at = asyncio.get_running_loop().time() + pause

    async def _prepare(self) -> Verdict | None:
        """Prepare the tree, then hand over the prompt; return how the run ends where that fails."""
        if self._first is None:
            words = "The sidecar was started anew while the card's tree was being prepared."
            return verdicts.failed(Failure.AGENT_LOST, words)
        self._say(["Preparing the card's tree"])
        setting_up = SettingUp(self._client, self.session.header.setup, self._first.command, self._say)
        if found := await setting_up.run(self._inbox):
            return found
        self._outbox.put([Emission(EventType.STATUS, "The card's tree is prepared", {PREPARED: 1})])
        self._outbox.flush()
        try:
            await self._first.prompt()
            self.session.heard = True
        except OpenCodeError as error:
            return verdicts.failed(Failure.AGENT_LOST, f"OpenCode did not take the prompt: {error}.")
        # What it told meanwhile was not listened to.
        self._inbox.put_nowait(Signal.RESYNC)
        return None

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            self._outbox.put(self._translator.note(EventType.STATUS, line))
        self._outbox.flush()

    async def _catch_up(self) -> bool:
        """Tell what happened while it was not known what was missed; tell whether that may be the end."""
        if self._behind:
            return False
        early, self._early = self._early, []
        for event in early:
            await self._handle(event)
        return any(self._is_idle(event) for event in early)

    async def _next(self) -> Event | Signal:
        """Return what happened next; whatever is ready to be shown is shown before waiting for it."""
        clock = asyncio.get_running_loop().time
        while True:
            if self._outbox.is_due:
                self._outbox.flush()
            if not self._inbox.empty():
                return self._inbox.get_nowait()
            if self._outbox and not self._outbox.is_mid_line:
                self._outbox.flush()
            until = self._outbox.due_at if self._outbox else self._check_at
            if until <= clock() and not self._outbox:
                return Signal.CHECK
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self._inbox.get(), max(0.0, until - clock()))

    async def _handle(self, event: Event) -> None:
        if self._turn.is_earlier(event):
            return
        kind = event.get("type")
        properties = event.get("properties") or {}
        if kind == "message.part.updated":
            await self._complete(properties.get("part") or {})
        self._outbox.put(self._translator.feed(event, time.time() * 1000))
        session = properties.get("sessionID", "")
        if not self._translator.owns(session):
            return
        self._headway.feed(event)
        if kind == "message.part.updated":
            self._commands.saw(self.session.id, properties.get("part") or {})
        elif kind == "todo.updated" and session == self._opencode:
            self.session.steps = steps(properties.get("todos") or [])
        elif kind in ("permission.asked", "question.asked"):
            await self._answer(kind.partition(".")[0], properties)

    async def _answer(self, kind: str, request: Request) -> None:
        key = request.get("id", "")
        with contextlib.suppress(OpenCodeError):  # answered meanwhile, or gone: the next check sees
            if kind == "permission":
                await self._client.reject_permission(key, _NOBODY)
            else:
                answers = [[_NOBODY] for _ in request.get("questions") or [None]]
                await self._client.answer_question(key, answers)

    def _name(self, opencode_session: str) -> str | None:
        """What a sub-agent is called."""
        return self._translator.children.get(opencode_session)

    def _is_idle(self, event: Event) -> bool:
        properties = event.get("properties") or {}
        return event.get("type") == "session.idle" and properties.get("sessionID") == self._opencode

    async def _check(self) -> Verdict | None:
        """Compare with what OpenCode says of itself; return how the run ended if it has."""
        try:
            status = (await self._client.statuses()).get(self._opencode)
            messages = await self._transcripts() if self._behind or status is None else []
            self._behind = False
            await self._pending()
        except OpenCodeMissing:
            return verdicts.failed(Failure.AGENT_LOST, "OpenCode no longer knows the session.")
        except OpenCodeGone:
            return None  # the watch decides when that has lasted too long
        except OpenCodeError as error:
            logger.warning("session %s: %s", self.session.id, error)
            self._faults += 1
            return verdicts.failed(Failure.AGENT_LOST, f"{error}.") if self._faults > _FAULTS else None
        self._faults = 0
        if status is not None:
            self._idle_since = None
            await self._handle(
                {
                    "type": "session.status",
                    "properties": {"sessionID": self._opencode, "status": status},
                }
            )
            return None
        if found := verdicts.judge(messages, self._translator.error):
            return found
        clock = asyncio.get_running_loop().time()
        self._idle_since = self._idle_since or clock
        if clock - self._idle_since < (_SETTLING_AFTER_ABORT if self._stopping else _SETTLING):
            return None
        return verdicts.failed(Failure.AGENT_LOST, "OpenCode was restarted in the middle of the run.")

    async def _pending(self) -> None:
        for kind in ("permission", "question"):
            for request in await self._client.pending(kind):
                await self._handle({"type": f"{kind}.asked", "properties": {**request}})

    async def _transcripts(self) -> list[Message]:
        messages = await self._fresh(self._opencode)
        for info in await self._client.children(self._opencode):
            self._outbox.put(
                self._translator.feed({"type": "session.updated", "properties": {"info": {**info}}})
            )
            if child := info.get("id"):
                await self._read(child, await self._fresh(child))
        await self._read(self._opencode, messages)
        todos = await self._client.todos(self._opencode)
        if fingerprint(todos) != self.session.header.todos:
            self.session.steps = steps(todos)
        return messages

    async def _fresh(self, opencode_session: str) -> list[Message]:
        messages = await self._client.messages(opencode_session)
        said_for = self.session.header.spends_for
        if opencode_session == self._opencode and (said_for is None or heard(messages, said_for)):
            self.session.heard = True
        return self._turn.fresh(opencode_session, messages)

    async def _read(self, opencode_session: str, messages: list[Message]) -> None:
        for message in messages:
            for part in message.get("parts") or []:
                self._commands.saw(self.session.id, part)
                await self._complete(part)
        self._outbox.put(self._translator.transcript(messages, time.time() * 1000))
        self._headway.transcript(opencode_session, messages)

    async def _complete(self, part: Part) -> None:
        if self._translator.awaits(part):
            await self._outputs.fill(part)

    async def _usage(self) -> Usage:
        try:
            sessions = [await self._client.session(self._opencode)]
            sessions += await self._client.children(self._opencode)
        except OpenCodeError:
            return Usage()
        return verdicts.since(self.session.header.spent, verdicts.usage_of(sessions))

    async def _sum_up(self) -> None:
        """Keep the agent's last message."""
        with contextlib.suppress(OpenCodeError):
            self._summary = verdicts.last_words(await self._fresh(self._opencode), LARGEST_SUMMARY)

    async def _renew_instance(self) -> None:
        """End OpenCode's instance of the folder: it keeps what was broken off, and gives it to the next."""
        with contextlib.suppress(OpenCodeError):
            if not await self._client.statuses():
                await self._client.dispose()

    async def _abort(self) -> None:
        sessions = [self._opencode] if self.session.prepared else [self.session.header.setup, self._opencode]
        for opencode_session in sessions:
            with contextlib.suppress(OpenCodeError):  # it may be gone already, which is as good
                await self._client.abort(opencode_session)

    async def _sweep(self) -> list[str]:
        return await self._around.sweep(lambda: self._around.meant(self))
