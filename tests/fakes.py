"""Stand-ins for what surrounds the engine, each named for the way in which it fails.

The sidecars here are `ScriptedSidecar`s that break one promise each; the
runtimes hand out scripted sidecars as workspaces.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from uuid import UUID

from tests.scripted import Request, Script, ScriptedSession, ScriptedSidecar, send, send_chunk, send_json
from vibe_app.errors import DiskFull, Unavailable
from vibe_app.wire import StartSession
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Endpoint, OnStatus, Progress, Tenancy, WorkspaceSpec
from vibe_app.workspaces.states import WorkspaceStatus

__all__ = ["BrokenRuntime", "FakeRuntime", "RuntimeDyingMidRun", "Script", "ScriptedSidecar", "SlowRuntime"]

Workspaces = ScriptedSidecar | Callable[[UUID], ScriptedSidecar] | Script | None
"""The sidecar that every project shares (the caller opens and closes it), or what makes one for each."""


class SidecarThatHangsUp(ScriptedSidecar):
    """Closes every connection as soon as it has accepted it."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls["connection"] += 1


class SidecarThatNeverAnswers(ScriptedSidecar):
    """Accepts connections and requests and says nothing."""

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.calls["request"] += 1
        await asyncio.Event().wait()


class SidecarAnsweringHtml(ScriptedSidecar):
    """Answers a web page with 200 to everything, as OpenCode does for an unknown path."""

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await send(writer, 200, "text/html", b"<!doctype html><title>Not what you asked for</title>")


class SidecarAnsweringError(ScriptedSidecar):
    """Answers every request with one status; after `times` of them it behaves."""

    def __init__(
        self, status: int, *, sentence: str = "", times: int | None = None, script: Script | None = None
    ):
        super().__init__(script)
        self.status = status
        self.sentence = sentence
        self.times = times

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.times == 0:
            return await super().answer(request, writer)
        if self.times is not None:
            self.times -= 1
        self.calls["refused"] += 1
        if not self.sentence:
            return await send(writer, self.status, "text/plain", b"Internal Server Error")
        return await send_json(writer, self.status, {"error": self.sentence, "code": "scripted"})


class SidecarNotReady(SidecarAnsweringError):
    """Answers 503 the first `times`, as while OpenCode is starting."""

    def __init__(self, times: int | None = None, script: Script | None = None) -> None:
        super().__init__(503, sentence="OpenCode is not ready yet.", times=times, script=script)


class SidecarThatForgets(ScriptedSidecar):
    """Drops the stream after `after` events and knows none of its sessions from then on."""

    def __init__(self, after: int = 1, script: Script | None = None) -> None:
        super().__init__(script or Script.endless())
        self.after = after

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        await self.reached(session.start.session_id, self.after)
        await send_chunk(writer, b"".join(session.frames[after : self.after]))
        self.forget()
        raise ConnectionResetError


class SidecarThatCutsStreams(ScriptedSidecar):
    """Drops each stream in the middle of an event, `every` events after its beginning."""

    def __init__(self, every: int, script: Script | Callable[[StartSession], Script] | None = None) -> None:
        super().__init__(script)
        self.every = every

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        while len(session.frames) <= after + self.every and not session.final:
            await session.news.wait()
        if len(session.frames) <= after + self.every:
            return await super().send_events(session, after, writer)
        whole = session.frames[after : after + self.every]
        await send_chunk(writer, b"".join(whole) + session.frames[after + self.every][:9])
        raise ConnectionResetError


class SidecarThatStutters(ScriptedSidecar):
    """Sends everything twice."""

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        while not session.final:
            await session.news.wait()
        await send_chunk(writer, b"".join(frame * 2 for frame in session.frames[after:]))


class SidecarThatSkips(ScriptedSidecar):
    """Leaves out event number `missing` as often as it is asked."""

    def __init__(self, missing: int, script: Script | None = None) -> None:
        super().__init__(script)
        self.missing = missing

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        while not session.final:
            await session.news.wait()
        frames = enumerate(session.frames, 1)
        await send_chunk(writer, b"".join(f for seq, f in frames if seq > after and seq != self.missing))


class SidecarThatFallsSilent(ScriptedSidecar):
    """Sends `after` events and then not a byte, without closing."""

    def __init__(self, after: int = 1, script: Script | None = None) -> None:
        super().__init__(script)
        self.after = after

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        await self.reached(session.start.session_id, self.after)
        await send_chunk(writer, b"".join(session.frames[after : self.after]) or b": nothing\n\n")
        await asyncio.Event().wait()


class SidecarThatEndsWithoutDone(ScriptedSidecar):
    """Closes the stream properly before the `done` event."""

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        while not session.final:
            await session.news.wait()
        await send_chunk(writer, b"".join(session.frames[after:-1]) or b": nothing\n\n")


class SidecarThatStopsSlowly(ScriptedSidecar):
    """Stops a session only once `may_stop` is set."""

    def __init__(self, script: Script | None = None) -> None:
        super().__init__(script or Script.endless())
        self.may_stop = asyncio.Event()

    async def on_stop(self, session: ScriptedSession) -> None:
        await self.may_stop.wait()
        await super().on_stop(session)


class FakeRuntime:
    """A runtime whose workspaces are scripted sidecars in this process. See `Workspaces` for the argument."""

    def __init__(self, sidecar: Workspaces = None) -> None:
        self._given = sidecar
        self.sidecar_url = ""
        """Where every project's sidecar answers, in place of a scripted one."""
        self.files_url = ""
        """Where every project's file browser answers; it takes the token of `ScriptedSidecar`."""
        self.proxy_url = ""
        """Where every project's session proxy answers; it takes the same token."""
        self.gateway_url = ""
        """Where every project's gateway takes the engine's calls; it takes the same token."""
        self.trees = False
        """Whether each card has a tree: at `files_url` answers the file browser of a workspace with a hub."""
        self.sidecars: dict[UUID, ScriptedSidecar] = {}
        self.running: set[UUID] = set()
        self.kept: Collection[UUID] | None = None
        self.erased: list[UUID] = []
        self.ensured: Counter[UUID] = Counter()
        self.starts: Counter[UUID] = Counter()
        self.stops: Counter[UUID] = Counter()
        self.epochs: dict[UUID, int] = {}
        self.keys: dict[UUID, ServiceKeys] = {}
        self.on_status: OnStatus | None = None
        self.old: set[UUID] = set()
        """Projects whose workspace is said to run with other settings than those of now."""
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self, tenancy: Tenancy) -> None:
        """There is nothing to find again."""

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Stop what is not to be kept; the rest goes on, as workspaces do."""
        self.kept = keep
        for project_id in set(self.sidecars) - set(self.sidecars if keep is None else keep):
            await self.stop(project_id)

    async def destroy(self) -> None:
        """Take the sidecars that it made down, as they live in this process."""
        for project_id, sidecar in self.sidecars.items():
            if sidecar is not self._given:
                await sidecar.die()
                self.running.discard(project_id)

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Answer with the project's sidecar, started if need be."""
        self.ensured[spec.project_id] += 1
        async with self._locks[spec.project_id]:
            sidecar = self.sidecars.get(spec.project_id)
            if sidecar is None:
                sidecar = self.sidecars[spec.project_id] = self._make(spec.project_id)
            if spec.project_id not in self.running or not sidecar.up:
                self.starts[spec.project_id] += 1
                if self.on_status is not None:
                    await self.on_status(
                        spec.project_id, WorkspaceStatus.STARTING, "Starting the workspace", None
                    )
                await self.starting(spec, progress)
                if not sidecar.up:
                    await sidecar.revive()
                self.running.add(spec.project_id)
                self.epochs[spec.project_id] = spec.epoch
                self.keys[spec.project_id] = spec.keys
                self.old.discard(spec.project_id)
            if sidecar is self._given:
                sidecar.tokens.add(spec.keys.token)
            else:
                sidecar.tokens = {self.keys[spec.project_id].token}
            url = self.sidecar_url or sidecar.endpoint.url
            return Endpoint(
                url,
                self.keys[spec.project_id].token,
                self.files_url,
                self.proxy_url,
                gateway_url=self.gateway_url,
                trees=self.trees,
            )

    async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
        """What a start has to wait for; fakes that fail do it here."""
        if progress is not None:
            await progress("Starting the workspace")

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """Take the project's sidecar down."""
        self.stops[project_id] += 1
        async with self._locks[project_id]:
            self.running.discard(project_id)
            sidecar = self.sidecars.get(project_id)
            if sidecar is not None and sidecar is not self._given:
                await sidecar.die(lose_sessions=erase)
            if erase:
                self.erased.append(project_id)

    async def alive(self) -> dict[UUID, int]:
        """The projects whose sidecar is up."""
        return {id: epoch for id, epoch in (await self.held()).items() if self.sidecars[id].up}

    async def held(self) -> dict[UUID, int]:
        """The projects whose workspace was started and not stopped."""
        return {project_id: self.epochs[project_id] for project_id in self.running}

    async def found(self) -> set[UUID]:
        """The projects that have ever had a sidecar, and were not erased since."""
        return set(self.sidecars) - set(self.erased)

    async def outdated(self) -> set[UUID]:
        """The projects of `old` that run."""
        return self.old & self.running

    def _make(self, project_id: UUID) -> ScriptedSidecar:
        if isinstance(self._given, ScriptedSidecar):
            return self._given
        if isinstance(self._given, Script) or self._given is None:
            return ScriptedSidecar(self._given)
        return self._given(project_id)


class SlowRuntime(FakeRuntime):
    """Starts a workspace only once `may_start` is set; `waiting` tells that somebody waits for one."""

    def __init__(self, sidecar: Workspaces = None) -> None:
        super().__init__(sidecar)
        self.may_start = asyncio.Event()
        self.waiting = asyncio.Event()

    async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
        await super().starting(spec, progress)
        self.waiting.set()
        await self.may_start.wait()


class RuntimeThatIsAway(FakeRuntime):
    """Its place cannot be reached for a while."""

    away = True

    async def open(self, tenancy: Tenancy) -> None:
        if self.away:
            raise Unavailable("The cluster does not answer: connection refused.")
        await super().open(tenancy)


class RuntimeWithoutRoom(FakeRuntime):
    """Cannot start a workspace while its disk is full."""

    full = True

    async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
        if self.full:
            raise DiskFull("The workspace could not be started. The disk is full: free some space.")
        await super().starting(spec, progress)


class BrokenRuntime(FakeRuntime):
    """Cannot start a workspace, the first `times` or ever."""

    def __init__(
        self,
        sentence: str = "OpenCode ended while starting: out of memory.",
        times: int | None = None,
        sidecar: Workspaces = None,
    ) -> None:
        super().__init__(sidecar)
        self.sentence = sentence
        self.times = times

    async def starting(self, spec: WorkspaceSpec, progress: Progress | None) -> None:
        if self.times == 0:
            return await super().starting(spec, progress)
        if self.times is not None:
            self.times -= 1
        raise Unavailable(self.sentence)


class RuntimeDyingMidRun(FakeRuntime):
    """Its workspaces die as soon as a session has said `after` events, `times` times in all."""

    def __init__(self, after: int = 1, times: int = 1, script: Script | None = None) -> None:
        super().__init__(script or Script.endless())
        self.after = after
        self.times = times
        self.deaths = 0

    def _make(self, project_id: UUID) -> ScriptedSidecar:
        return _MortalSidecar(self)


class _MortalSidecar(ScriptedSidecar):
    def __init__(self, runtime: RuntimeDyingMidRun) -> None:
        assert isinstance(runtime._given, Script)
        super().__init__(runtime._given)
        self._runtime = runtime

    async def send_events(self, session: ScriptedSession, after: int, writer: asyncio.StreamWriter) -> None:
        if self._runtime.deaths >= self._runtime.times:
            return await super().send_events(session, after, writer)
        await self.reached(session.start.session_id, self._runtime.after)
        await send_chunk(writer, b"".join(session.frames[after : self._runtime.after]))
        if self._runtime.deaths < self._runtime.times:
            self._runtime.deaths += 1
            death = asyncio.create_task(self.die(lose_sessions=True), name="death of a sidecar")
            await asyncio.shield(death)
        raise ConnectionResetError
