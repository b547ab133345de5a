"""The death of the app by kill -9, with the real OpenCode: everything is found again, nothing is orphaned."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tests.rehearsing import let_rehearse
from tests.specs import spec_of, tenancy
from tests.waiting import kill
from tests.workspaces.runtimes.conftest import local_settings
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.wire import EventType, SidecarStatus, StartSession
from vibe_app.wire.git import WantTree
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Endpoint, Tenancy, WorkspaceSpec
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Name
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime

APP = """
import asyncio, dataclasses, json, sys
from pathlib import Path
from uuid import UUID
from tests.specs import spec_of, tenancy
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime
from vibe_app.settings import Settings

async def main():
    runtime = LocalRuntime(Settings(data=Path(sys.argv[1]), opencode=sys.argv[2]), pace=0)
    await runtime.open(tenancy())
    endpoint = await runtime.ensure(spec_of(UUID(sys.argv[3])))
    print(json.dumps(dataclasses.asdict(endpoint)), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def an_app(data: Path, opencode: Path, spec: WorkspaceSpec) -> AsyncIterator[Endpoint]:
    """Another process with the workspace ready; it is killed at the end."""
    app = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", APP, str(data), str(opencode), str(spec.project_id)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert app.stdout is not None
        line = await asyncio.wait_for(app.stdout.readline(), 60)
        found = json.loads(line)
        yield Endpoint(**found | {"notices": tuple(found["notices"])})
    finally:
        app.send_signal(signal.SIGKILL)
        await app.wait()


def running(data: Path) -> set[int]:
    return {process.pid for members in processes.of_workspace(data).values() for process in members}


def services(data: Path, spec: WorkspaceSpec) -> set[int]:
    """The numbers of its services, without the commands that come and go with OpenCode."""
    record = json.loads((data / "run" / f"{spec.project_id}.json").read_text())
    return {record[name]["pid"] for name in Name}


async def test_after_a_kill_of_the_app_the_workspace_goes_on_and_is_found_again(
    tmp_path: Path, opencode: Path
) -> None:
    spec = spec_of(uuid4())
    start = StartSession(session_id=str(uuid4()), prompt="Add a file notes.md that says hello", tree=1)
    runtime = LocalRuntime(local_settings(tmp_path, opencode), pace=0)
    async with Agent() as agent:
        async with an_app(tmp_path, opencode, spec) as endpoint:
            with pytest.raises(Unavailable, match="Another Vibe"):
                await runtime.open(tenancy())
            before = services(tmp_path, spec)
            await let_rehearse(endpoint)
            async with WorkspaceClient() as client:
                await GitClient(client).tree(endpoint, 1, WantTree())
            await agent.start(endpoint, start)
        await runtime.open(tenancy())
        try:
            assert await runtime.alive() == {spec.project_id: 1}
            assert await runtime.ensure(spec) == endpoint
            assert services(tmp_path, spec) == before
            assert before <= running(tmp_path)
            events = [event async for event in agent.stream(endpoint, start.session_id)]
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert events[-1].type is EventType.DONE
            state = await agent.state(endpoint, start.session_id)
            assert state is not None
            assert (state.status, state.error) == (SidecarStatus.COMPLETED, None)
            assert (tmp_path / "workspaces" / str(spec.project_id) / "tasks" / "1" / "notes.md").exists()
        finally:
            await runtime.close(keep=())
    assert running(tmp_path) == set()


async def test_after_a_kill_of_everything_but_one_service(tmp_path: Path, opencode: Path) -> None:
    spec = spec_of(uuid4())
    async with an_app(tmp_path, opencode, spec) as endpoint:
        record = json.loads((tmp_path / "run" / f"{spec.project_id}.json").read_text())
    await kill(record["opencode"]["pid"])
    runtime = LocalRuntime(local_settings(tmp_path, opencode), pace=0)
    await runtime.open(tenancy())
    try:
        assert await runtime.ensure(spec) == endpoint
        assert record["sidecar"]["pid"] in running(tmp_path)
    finally:
        await runtime.close(keep=())
    assert running(tmp_path) == set()


async def test_with_another_key_of_the_installation_everything_is_started_anew(
    tmp_path: Path, opencode: Path
) -> None:
    spec = spec_of(uuid4())
    keys = ServiceKeys.of("the next key", spec.project_id, spec.epoch)
    runtime = LocalRuntime(local_settings(tmp_path, opencode), pace=0)
    async with an_app(tmp_path, opencode, spec):
        before = services(tmp_path, spec)
    await runtime.open(Tenancy(uuid4(), lambda *_: keys, ()))
    try:
        # Ready means that the sidecar's password opens OpenCode.
        endpoint = await runtime.ensure(replace(spec, keys=keys))
        assert endpoint.token == keys.token
        assert not services(tmp_path, spec) & before
    finally:
        await runtime.close(keep=())
    assert running(tmp_path) == set()
