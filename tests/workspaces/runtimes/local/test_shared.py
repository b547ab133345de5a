"""Local workspaces shared by several processes: one of them runs them, and any may die at any moment."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.waiting import eventually, kill
from tests.workspaces.runtimes.conftest import local_settings, program
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.wire import EventType, SidecarStatus, StartSession
from vibe_app.workspaces.runtimes.base import Endpoint, WorkspaceSpec
from vibe_app.workspaces.runtimes.local import processes, relay
from vibe_app.workspaces.runtimes.local.records import Name, Record
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime
from vibe_app.workspaces.runtimes.local.shared import SharedLocalRuntime

SHARER = Path(__file__).with_name("sharer.py")


class InvalidRequest(Exception):
    """What a sharer was told could not be done."""


class Sharer:
    """A process that shares the workspaces."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers: dict[int, asyncio.Future[Any]] = {0: self._opened}
        self.said: list[str] = []
        self.became_host_with: list[list[str]] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            number, kind, what = json.loads(line)
            match kind:
                case "said":
                    self.said.append(what)
                case "host":
                    self.became_host_with.append(what)
                case "refused":
                    self._answers.pop(number).set_exception(InvalidRequest(what))
                case _:
                    self._answers.pop(number).set_result(what)

    async def opened(self) -> None:
        """Return once it has found its place."""
        await asyncio.wait_for(self._opened, 30)

    async def tell(self, verb: str, *arguments: Any) -> Any:
        """Have it do something; return what came of it."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([number, verb, *arguments]).encode() + b"\n")
        return await asyncio.wait_for(answer, 60)

    async def ensure(self, project: UUID) -> Endpoint:
        """Have it make a workspace ready."""
        found = await self.tell("ensure", str(project))
        return Endpoint(**found | {"notices": tuple(found["notices"])})

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reader

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)


Share = Callable[..., Awaitable[Sharer]]


@pytest.fixture
async def share(tmp_path: Path, stand_in: Path) -> AsyncIterator[Share]:
    """Starts processes that share one data folder; nothing of them or of the workspaces is left."""
    started: list[Sharer] = []
    data = tmp_path / "data"

    async def start(opencode: Path = stand_in, *, opened: bool = True) -> Sharer:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SHARER), str(data), str(opencode)), stdin=PIPE, stdout=PIPE
        )
        sharer = Sharer(process)
        started.append(sharer)
        if opened:
            await sharer.opened()
        return sharer

    yield start
    for sharer in started:
        await sharer.kill()
    last = LocalRuntime(local_settings(data, stand_in))
    await last.open()
    await last.close(keep=())
    assert not running(data)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder that they share."""
    return tmp_path / "data"


def running(data: Path) -> set[int]:
    return {process.pid for members in processes.of_workspace(data).values() for process in members}


def services(data: Path, project: UUID) -> dict[str, int]:
    """The numbers of a workspace's services, without the commands that come and go with OpenCode."""
    record = Record.model_validate_json((data / "run" / f"{project}.json").read_bytes())
    return {name: service.pid for name in Name if (service := record.service(name))}


async def test_one_is_the_host_and_the_others_use_its_workspaces(share: Share, data: Path) -> None:
    host, second, third = await share(), await share(), await share()
    assert [await each.tell("host") for each in (host, second, third)] == [True, False, False]
    project = uuid4()
    endpoints = await asyncio.gather(*(each.ensure(project) for each in (host, second, third)))
    assert len(set(endpoints)) == 1
    assert "Starting OpenCode" in second.said
    for each in (host, second, third):
        assert await each.tell("alive") == [str(project)]
    assert stat.S_IMODE((data / "run" / "host.sock").stat().st_mode) == 0o600


async def test_of_two_that_start_at_once_one_is_the_host(share: Share) -> None:
    both = [await share(opened=False) for _ in range(2)]
    for each in both:
        await each.opened()
    assert sorted([await each.tell("host") for each in both]) == [False, True]
    project = uuid4()
    first, second = await asyncio.gather(*(each.ensure(project) for each in both))
    assert first == second


async def test_stopping_and_erasing_through_another_process(share: Share, data: Path) -> None:
    host, client = await share(), await share()
    project = uuid4()
    await client.ensure(project)
    folder = data / "workspaces" / str(project)
    (folder / "kept.txt").write_text("kept")
    await client.tell("stop", str(project), False)
    assert not running(data)
    assert await host.tell("alive") == []
    assert (folder / "kept.txt").is_file()
    await client.ensure(project)
    await client.tell("stop", str(project), True)
    assert not running(data)
    assert not folder.exists()


async def test_a_refusal_comes_through_in_its_own_words(share: Share, tmp_path: Path) -> None:
    broken = program(tmp_path / "broken", "#!/bin/sh\necho no room >&2\nexit 3\n")
    await share(broken)
    client = await share(broken)
    with pytest.raises(InvalidRequest, match="no room"):
        await client.ensure(uuid4())


async def test_the_host_killed_while_it_starts_a_workspace_for_another(
    share: Share, data: Path, tmp_path: Path, stand_in: Path
) -> None:
    """Whoever asked becomes the host and starts it; nothing of the first start is left beside it."""
    gate = tmp_path / "gate"
    text = f'#!/bin/sh\nuntil [ -e {gate} ]; do sleep 0.05; done\nexec {stand_in} "$@"\n'
    slow = program(tmp_path / "slow", text)
    host, client = await share(slow), await share(slow)
    project = uuid4()
    asked = asyncio.create_task(client.ensure(project))
    await eventually(lambda: "Starting OpenCode" in client.said and running(data))
    await host.kill()
    gate.touch()
    endpoint = await asked
    assert client.became_host_with
    assert await client.tell("alive") == [str(project)]
    async with Agent() as agent:
        assert await agent.state(endpoint, "nobody") is None
    assert await client.ensure(project) == endpoint


async def test_the_host_killed_with_a_live_session(share: Share, data: Path, opencode: Path) -> None:
    host, client = await share(opencode), await share(opencode)
    project = uuid4()
    endpoint = await client.ensure(project)
    before = services(data, project)
    start = StartSession(session_id=str(uuid4()), prompt="Add a file notes.md that says hello")
    async with Agent() as agent:
        await agent.start(endpoint, start)
        await host.kill()
        await eventually(lambda: client.became_host_with == [[str(project)]])
        assert await client.ensure(project) == endpoint
        assert services(data, project) == before
        assert set(before.values()) <= running(data)
        events = [event async for event in agent.stream(endpoint, start.session_id)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1].type is EventType.DONE
        state = await agent.state(endpoint, start.session_id)
        assert state is not None
        assert state.status is SidecarStatus.COMPLETED


async def test_one_of_the_others_succeeds_and_starts_again_what_dies(share: Share, data: Path) -> None:
    host, *others = [await share() for _ in range(3)]
    project = uuid4()
    await others[0].ensure(project)
    await host.kill()
    await eventually(lambda: any(each.became_host_with for each in others))
    assert sorted([await each.tell("host") for each in others]) == [False, True]
    (victim, *_) = running(data)
    await kill(victim)
    assert await others[0].ensure(project) == await others[1].ensure(project)


async def test_a_host_that_closes_hands_over_and_the_last_one_stops_what_is_idle(
    share: Share, data: Path
) -> None:
    host, client = await share(), await share()
    busy, idle = uuid4(), uuid4()
    for project in (busy, idle):
        await host.ensure(project)
    before = {pid for project in (busy, idle) for pid in services(data, project).values()}
    await host.tell("close", [str(busy)])
    assert before <= running(data)
    assert await client.tell("alive") == sorted(map(str, (busy, idle)))
    assert await client.tell("host")
    await client.tell("close", [str(busy)])
    assert set(processes.of_workspace(data)) == {busy}


async def test_all_that_close_at_once_leave_only_what_is_to_be_kept(share: Share, data: Path) -> None:
    everyone = [await share() for _ in range(3)]
    busy, idle = uuid4(), uuid4()
    for project in (busy, idle):
        await everyone[1].ensure(project)
    await asyncio.gather(*(each.tell("close", [str(busy)]) for each in everyone))
    assert set(processes.of_workspace(data)) == {busy}


async def test_a_host_that_does_not_move_is_told_of_and_waited_for(
    share: Share, tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_SILENCE", 3.0)
    project = uuid4()
    client = SharedLocalRuntime(local_settings(tmp_path / "data", stand_in))
    host = await share()
    await client.open()
    try:
        endpoint = await client.ensure(WorkspaceSpec(project))
        host.signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="does not move"):
            await client.alive()
        waiting = asyncio.create_task(client.ensure(WorkspaceSpec(project)))
        host.signal(signal.SIGCONT)
        assert await waiting == endpoint
    finally:
        await client.close()


async def test_a_data_folder_with_a_long_path(tmp_path: Path, stand_in: Path) -> None:
    data = tmp_path / ("long" * 30)
    settings = local_settings(data, stand_in)
    host, client = SharedLocalRuntime(settings), SharedLocalRuntime(settings)
    await host.open()
    await client.open()
    try:
        assert (host.is_host, client.is_host) == (True, False)
        endpoint = await client.ensure(WorkspaceSpec(project := uuid4()))
        assert await host.ensure(WorkspaceSpec(project)) == endpoint
    finally:
        await client.close()
        await host.close(keep=())
    assert not running(data)


async def test_after_the_close_nothing_is_begun(tmp_path: Path, stand_in: Path) -> None:
    runtime = SharedLocalRuntime(local_settings(tmp_path / "data", stand_in))
    await runtime.open()
    await runtime.close(keep=())
    with pytest.raises(Unavailable, match="stopping"):
        await runtime.ensure(WorkspaceSpec(uuid4()))
    await runtime.close()
