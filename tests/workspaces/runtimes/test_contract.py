"""What every runtime promises, asked of the fake, the local one and the one of pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.fakes import FakeRuntime
from tests.specs import keys_of, spec_of, tenancy
from tests.waiting import kill
from tests.workspaces.runtimes.kubernetes.kube.containers import why_not
from tests.workspaces.runtimes.kubernetes.kube.houses import pod_house, pretend_house
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.base import Endpoint, Runtime
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime

pytestmark = pytest.mark.asyncio(loop_scope="module")


class House(Protocol):
    """A runtime, and a way to do harm to its workspaces."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def project(self) -> UUID: ...

    async def kill(self) -> None:
        """End the project's services as a crash does."""
        ...


class FakeHouse:
    """The fake runtime."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.project = uuid4()

    async def kill(self) -> None:
        """Take the sidecar down."""
        await self.runtime.sidecars[self.project].die()


class LocalHouse:
    """The local runtime."""

    def __init__(self, settings: Settings) -> None:
        self.runtime: Runtime = LocalRuntime(settings, pace=0)
        self.project = uuid4()
        self._data = settings.data

    async def kill(self) -> None:
        """Kill every process."""
        await kill(
            *(process.pid for process in processes.of_workspace(self._data, self.project)[self.project])
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["fake", "local", "kubernetes", "pods"])
async def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, opencode: Path
) -> AsyncIterator[House]:
    data = tmp_path_factory.mktemp("data")
    settings = Settings(data=data, opencode=str(opencode))  # pyright: ignore[reportCallIssue]
    async with AsyncExitStack() as others:
        if request.param == "fake":
            house: House = FakeHouse()
        elif request.param == "local":
            house = LocalHouse(settings)
        elif request.param == "kubernetes":
            house = await others.enter_async_context(pretend_house(data))
        else:
            if reason := why_not():
                pytest.skip(f"NO REAL PODS ON THIS MACHINE: {reason}")
            house = await others.enter_async_context(pod_house(data, opencode))
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.stop(house.project, erase=True)
        await house.runtime.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agent() -> AsyncIterator[Agent]:
    async with Agent() as agent:
        yield agent


async def answers(agent: Agent, endpoint: Endpoint) -> bool:
    """Whether a sidecar answers there to this token."""
    try:
        return await agent.state(endpoint, "nobody") is None
    except Unavailable:
        return False


async def test_ensure_makes_it_answer_and_many_at_once_are_one(house: House, agent: Agent) -> None:
    said: list[str] = []

    async def progress(sentence: str) -> None:
        said.append(sentence)

    spec = spec_of(house.project)
    assert house.project not in await house.runtime.alive()
    impatient = asyncio.create_task(house.runtime.ensure(spec))
    rest = asyncio.gather(*(house.runtime.ensure(spec, progress) for _ in range(3)))
    await asyncio.sleep(0)
    impatient.cancel()
    first, *others = await rest
    assert others == [first, first]
    assert await answers(agent, first)
    assert said
    assert house.project in await house.runtime.alive()


async def test_ensure_again_changes_nothing(house: House, agent: Agent) -> None:
    spec = spec_of(house.project)
    first = await house.runtime.ensure(spec)
    assert await house.runtime.ensure(spec) == first
    assert await answers(agent, first)


async def test_ensure_starts_again_what_has_died(house: House, agent: Agent) -> None:
    before = await house.runtime.ensure(spec_of(house.project))
    await house.kill()
    assert not await answers(agent, before)
    assert await answers(agent, await house.runtime.ensure(spec_of(house.project)))


async def test_a_stopped_workspace_does_not_answer_and_can_be_started_again(
    house: House, agent: Agent
) -> None:
    before = await house.runtime.ensure(spec_of(house.project))
    await asyncio.gather(house.runtime.stop(house.project), house.runtime.stop(house.project))
    assert house.project not in await house.runtime.alive()
    assert not await answers(agent, before)
    await house.runtime.stop(house.project)
    assert await answers(agent, await house.runtime.ensure(spec_of(house.project)))


async def test_it_tells_in_which_epoch_each_was_started(house: House, agent: Agent) -> None:
    await house.runtime.stop(house.project)
    first = await house.runtime.ensure(spec_of(house.project, epoch=7))
    assert (await house.runtime.alive())[house.project] == 7
    assert (await house.runtime.held())[house.project] == 7
    assert await house.runtime.outdated() == set()
    assert house.project in await house.runtime.found()
    await house.runtime.stop(house.project)
    again = await house.runtime.ensure(spec_of(house.project, epoch=8))
    assert (await house.runtime.alive())[house.project] == 8
    assert again.token == keys_of(house.project, 8).token != first.token
    assert await answers(agent, again)
    assert not await answers(agent, replace(again, token=first.token))


async def test_nothing_is_found_of_what_was_erased(house: House) -> None:
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.stop(house.project)
    assert house.project in await house.runtime.found()
    await house.runtime.stop(house.project, erase=True)
    assert house.project not in await house.runtime.found()


async def test_a_workspace_that_never_was_is_stopped_already(house: House) -> None:
    await house.runtime.stop(uuid4())
    await house.runtime.stop(uuid4(), erase=True)
