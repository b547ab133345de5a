"""The verbs of the sidecar: start, look up, stop; and taking up again what an earlier process left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from functools import partial
from pathlib import Path

from vibe_app.aio import forever
from vibe_app.disk import disk_full, is_full
from vibe_app.errors import Conflict, InvalidRequest, Unavailable
from vibe_app.inside import folder
from vibe_app.wire import EventType, Failure, SessionState, SidecarStatus, StartSession
from vibe_app.workspace_services.sidecar.commands import Commands
from vibe_app.workspace_services.sidecar.gateway import Gateway
from vibe_app.workspace_services.sidecar.instances import Instances
from vibe_app.workspace_services.sidecar.journal import End
from vibe_app.workspace_services.sidecar.opencode import (
    OpenCode,
    OpenCodeError,
    OpenCodeGone,
    OpenCodeMissing,
)
from vibe_app.workspace_services.sidecar.progress import SILENCE
from vibe_app.workspace_services.sidecar.run import First, Run, Surroundings
from vibe_app.workspace_services.sidecar.sessions import Session, SessionStore
from vibe_app.workspace_services.sidecar.sweep import Meant, end_command, open_commands, sweep
from vibe_app.workspace_services.sidecar.sweeper import commands_beside, end_beside, sweep_beside
from vibe_app.workspace_services.sidecar.talks import begin
from vibe_app.workspace_services.sidecar.tool_outputs import ToolOutputs
from vibe_app.workspace_services.sidecar.turn import heard
from vibe_app.workspace_services.sidecar.watch import Watch

logger = logging.getLogger(__name__)

_START_TIMEOUT = 6.0
_TASKS = "tasks"
# Sessions that were stopped before they began, and do not begin any more.
_REMEMBERED = 1000
_ANEW = (
    "The conversation with the agent is gone. A new one begins, which is told what it must know of the work."
)


class Service:
    """Everything that one workspace's sidecar does with sessions.

    Args:
        client: The OpenCode server, seen from the workspace.
        workspace: The workspace; cards' trees lie in `tasks`.
        project_id: The project, as in OpenCode's `VIBE_PROJECT_ID`.
        sweeper_url: Who ends left-over commands where they run out of sight, as in a pod; empty
            where this process sees them.
        home: OpenCode's private home as this process sees it; None where it does not.
        silence: Seconds for which a model may keep its stream open without a word.
        guidance: Where OpenCode reads what the repository says to agents, and in a folder of that name what
            those in trees say; None where it reads nothing.
        gateway: Is told whose conversations are; None where the workspace has none.
        notice: A sentence that each run is to begin with; empty for none.
    """

    def __init__(
        self,
        client: OpenCode,
        workspace: Path,
        project_id: str,
        sweeper_url: str = "",
        home: Path | None = None,
        silence: float = SILENCE,
        guidance: Path | None = None,
        gateway: Gateway | None = None,
        notice: str = "",
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._workspace = workspace
        self._folders = (workspace,) if home is None else (workspace, home)
        self._commands = (
            Commands(partial(commands_beside, sweeper_url), partial(end_beside, sweeper_url))
            if sweeper_url
            else Commands(
                lambda: asyncio.to_thread(open_commands, project_id),
                lambda mark: asyncio.to_thread(end_command, project_id, mark),
            )
        )
        self._instances = Instances(workspace, guidance)
        self._notices = [notice] if notice else []
        self.outputs = ToolOutputs(home)
        """What OpenCode keeps of long outputs."""
        self._watch = Watch(client)
        self._around = Surroundings(
            self._watch,
            partial(sweep_beside, sweeper_url) if sweeper_url else partial(sweep, project_id),
            self._meant,
            self._commands,
            self.outputs,
            lambda: is_full(*self._folders),
            silence,
        )
        self._store = SessionStore(workspace)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._called_off: deque[str] = deque(maxlen=_REMEMBERED)

    async def open(self) -> None:
        """Take up the sessions that were live, and begin to watch OpenCode."""
        for session in self._store.unfinished():
            logger.info("taking up session %s at event %s", session.id, len(session.events))
            client = self._client.at(self._place(session.header.tree))
            self._begin(Run(session, client, self._around))
        self._keep(asyncio.create_task(forever("watch OpenCode's events", self._watch.run), name="watch"))
        self._keep(
            asyncio.create_task(forever("end overdue commands", self._commands.watch), name="commands")
        )
        if self._gateway is not None:
            telling = forever("say whose conversations are", partial(self._gateway.keep_told, self._owners))
            self._keep(asyncio.create_task(telling, name="tell the gateway"))

    async def close(self) -> None:
        """Let go of everything; live sessions go on inside OpenCode."""
        tasks, runs = list(self._tasks), list(self._runs.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for run in runs:
            run.session.let_go()
        await self._client.close()
        if self._gateway is not None:
            await self._gateway.close()

    def ready(self) -> None:
        """Return when a session could be started now.

        Raises:
            Unavailable: It could not, with the reason.
        """
        if not self._watch.connected:
            raise Unavailable(f"OpenCode is not ready: {self._watch.trouble}.", "opencode_not_ready")
        ours = self._workspace / ".opencode"
        if not os.access(ours, os.W_OK | os.X_OK):
            raise Unavailable(f"The workspace's folder {ours} cannot be written.", "workspace_unwritable")

    async def start(self, request: StartSession) -> SessionState:
        """Start a session, once: the same id again answers the same.

        Raises:
            Conflict: The id ran with another prompt, its conversation is in use, or its card has no tree.
            InvalidRequest: The model is not written as provider/model.
            Unavailable: OpenCode is not ready, or does not answer in time.
        """
        if request.model and not all(request.model.partition("/")[::2]):
            raise InvalidRequest("The model must be written as provider/model.", "invalid_model")
        async with self._starting:
            if known := self._store.same(request.session_id, request.prompt):
                return known.state()
            if request.session_id in self._called_off:
                raise Conflict(f"Session {request.session_id} was stopped before it began.", "called_off")
            self.ready()
            try:
                async with asyncio.timeout(_START_TIMEOUT):
                    return (await self._accept(request)).state()
            except TimeoutError:
                raise Unavailable("OpenCode did not take the prompt in time.", "opencode_not_ready") from None
            except OpenCodeError as error:
                if is_full(*self._folders):
                    raise disk_full("OpenCode could not begin.") from error
                raise Unavailable(f"{error}.", "opencode_not_ready") from error

    def get(self, session_id: str) -> Session:
        """Return a session.

        Raises:
            NotFound: There is none.
        """
        return self._store.get(session_id)

    def live(self) -> list[SessionState]:
        """Return the state of every session that is not over."""
        return [run.session.state() for run in self._runs.values() if run.session.end is None]

    def kept(self) -> list[str]:
        """Return the ids of the sessions that are over and whose journals are still here."""
        return self._store.kept()

    def drop(self, session_id: str) -> None:
        """Delete the journal of a session that is over.

        Raises:
            Conflict: It is not over.
            Unavailable: It cannot be deleted.
        """
        self._store.drop(session_id)

    async def stop(self, session_id: str) -> SessionState:
        """Stop a session; one that has ended stays as it ended.

        Raises:
            NotFound: There is none.
        """
        if self._store.find(session_id) is None:
            # Whoever asked for it may have given up waiting: it may just be accepted, or come yet.
            self._called_off.append(session_id)
            async with self._starting:
                pass
        session = self._store.get(session_id)
        if run := self._runs.get(session_id):
            await run.stop()
        return session.state()

    async def heard(self, conversation: str, session: str) -> bool:
        """Tell whether a conversation has what was said for a session of the board.

        A start that was given up leaves no session here, yet OpenCode may have taken its message.

        Raises:
            Unavailable: OpenCode does not say.
        """
        # OpenCode answers an id of another form with status 500.
        if not conversation.startswith("ses_"):
            return False
        async with self._starting:
            try:
                return heard(await self._client.messages(conversation), session)
            except OpenCodeMissing:
                return False
            except OpenCodeError as error:
                raise Unavailable(f"{error}.", "opencode_not_ready") from error

    async def release(self, tree: int) -> None:
        """End OpenCode's instance of a card's tree, which is about to go.

        Raises:
            Conflict: A session works there.
            Unavailable: OpenCode does not do its part.
        """
        async with self._starting:
            if any(run.tree == tree for run in self._runs.values()):
                raise Conflict(f"A session of card {tree} is live: stop it first.", "session_live")
            try:
                await self._instances.end(self._client.at(self._place(tree)), tree)
            except OpenCodeGone:
                return  # with OpenCode its instances are gone
            except OpenCodeError as error:
                raise Unavailable(f"{error}.", "opencode_not_ready") from error

    def _place(self, tree: int | None) -> Path:
        return self._workspace if tree is None else self._workspace / _TASKS / str(tree)

    async def _accept(self, request: StartSession) -> Session:
        self._look_at_place(request)
        client = self._client.at(self._place(request.tree))
        guided = await self._instances.begin(client, request.tree)
        said = [*self._notices, *request.notices, *guided]
        header = await begin(client, request, self._store.fingerprint(request.prompt))
        text = request.prompt
        if header.began_anew:
            said.append(_ANEW)
        if header.began_anew or not request.conversation:
            text = request.lost_prompt or text
        elif header.heard:
            text = request.again or text
        if self._gateway is not None and request.spends_for is not None:
            await self._gateway.belongs(header.opencode_session, request.spends_for)
        session = self._store.create(header)
        noted = request.spends_for or ""
        prompt = partial(client.prompt, header.opencode_session, text, request.model, noted)
        # The run listens before the prompt is out, so that nothing can be missed, and is known
        # before it has processes, so that a run which ends now does not take them for its own.
        first = First(request.setup, prompt) if request.setup else None
        run = self._runs[session.id] = Run(session, client, self._around, first)
        try:
            if first is None:
                await prompt()
                session.heard = True
        except (OpenCodeError, asyncio.CancelledError):
            del self._runs[session.id]
            run.abandon()
            self._store.forget(session)
            self._keep(asyncio.create_task(self._call_off(client, header.opencode_session)))
            raise
        # A disk without room ends the run by its own first line, not the request that started it.
        with contextlib.suppress(OSError):
            if said:
                session.append([(EventType.STATUS, sentence, {}) for sentence in said])
        self._begin(run)
        return session

    def _look_at_place(self, request: StartSession) -> None:
        """See to where a session is to work.

        Raises:
            Conflict: It cannot work there.
        """
        busy = {run.session.header.opencode_session for run in self._runs.values()}
        if request.conversation in busy:
            raise Conflict("Another session goes on with this conversation.", "conversation_busy")
        if request.tree is None:
            return
        try:
            with folder(self._workspace, (_TASKS, str(request.tree))):
                return
        except OSError:
            raise Conflict(
                f"There is no tree of card {request.tree} in the workspace.", "tree_missing"
            ) from None

    async def _call_off(self, client: OpenCode, opencode_session: str) -> None:
        """End what may have been taken on although nobody was told so."""
        with contextlib.suppress(OpenCodeError):
            await client.abort(opencode_session)

    def _begin(self, run: Run) -> None:
        self._runs[run.session.id] = run
        task = run.begin()
        self._keep(task)
        task.add_done_callback(lambda done: self._ended(run, done))

    def _ended(self, run: Run, task: asyncio.Task[None]) -> None:
        self._runs.pop(run.session.id, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # A fault of this program must not leave a session live for ever.
        logger.error("session %s: fault in the sidecar", run.session.id, exc_info=error)
        sentence = "The sidecar met a fault of its own; its log says more."
        run.session.finish(
            f"Session failed: {sentence}",
            End(status=SidecarStatus.FAILED, error=sentence, failure=Failure.BROKEN),
        )
        client = self._client.at(self._place(run.tree))
        self._keep(asyncio.create_task(self._call_off(client, run.session.header.opencode_session)))

    def _owners(self) -> dict[str, str]:
        """Return for whom the OpenCode sessions of the live runs spend."""
        headers = [run.session.header for run in self._runs.values()]
        return {each.opencode_session: each.spends_for for each in headers if each.spends_for is not None}

    def _meant(self, run: Run) -> Meant:
        # A copy: this is also asked from the thread that looks for processes.
        others = [other for other in list(self._runs.values()) if other is not run]
        own = "" if run.tree is None else str(run.tree)
        trees = {str(other.tree) for other in others if other.tree is not None}
        age = max((other.age for other in others), default=None)
        return Meant(age, "" if own in trees else own, trees - {own})

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
