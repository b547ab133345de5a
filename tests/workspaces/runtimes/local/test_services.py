"""The four services of a local workspace, each asked as the app asks it, with the real OpenCode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.specs import spec_of, tenancy
from tests.workspaces.runtimes.conftest import local_settings
from vibe_app.clients.files import FileReader
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import Call, WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.wire.files import ListFolder
from vibe_app.wire.git import WantTree
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.local import processes
from vibe_app.workspaces.runtimes.local.records import Record
from vibe_app.workspaces.runtimes.local.runtime import LocalRuntime


@pytest.fixture
async def client() -> AsyncIterator[WorkspaceClient]:
    async with WorkspaceClient() as client:
        yield client


async def sessions(client: WorkspaceClient, endpoint: Endpoint) -> object:
    """What OpenCode says of its sessions."""
    answer = await client.opencode(endpoint, Call("GET", "/session", [("task", "1")]))
    try:
        return json.loads(b"".join([piece async for piece in answer.pieces()]))
    finally:
        await answer.close()


async def test_all_five_answer_and_want_the_token(
    tmp_path: Path, opencode: Path, client: WorkspaceClient
) -> None:
    runtime, spec = LocalRuntime(local_settings(tmp_path, opencode), pace=0), spec_of(uuid4())
    await runtime.open(tenancy())
    try:
        endpoint = await runtime.ensure(spec)
        async with Agent() as agent:
            assert await agent.live(endpoint) == []
        assert (await GitClient(client).tree(endpoint, 1, WantTree())).made
        await FileReader(client, endpoint).list(ListFolder())
        assert await sessions(client, endpoint) == []
        stranger = replace(endpoint, token="wrong")
        for call in (FileReader(client, stranger).list(ListFolder()), sessions(client, stranger)):
            with pytest.raises(Unavailable, match="token"):
                await call
        services = processes.of_workspace(tmp_path, spec.project_id)[spec.project_id]
        record = Record.model_validate_json((tmp_path / "run" / f"{spec.project_id}.json").read_bytes())
        listening = {found.laddr.port for each in services for found in _listening(each)}
        assert listening == {
            *(record.opencode_port, record.sidecar_port, record.files_port, record.proxy_port),
            *(record.gateway_port, record.model_port, record.network_port),
        }
    finally:
        await runtime.close(keep=())


def _listening(process: psutil.Process) -> list[psutil._common.pconn]:
    found = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert all(each.laddr.ip == "127.0.0.1" for each in found)
    return found


BUILD = """
import sys
from pathlib import Path
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.local.records import Name, Record
from vibe_app.workspaces.runtimes.local.services import Services
from vibe_app.workspaces.runtimes.local.wall import Wall

services = Services(Settings(data=Path(sys.argv[1])), 1)
services.wall = Wall("bwrap", frozenset({"--args", "--perms", "--size", "--seccomp"}), True)
print(services.build(Name.OPENCODE, Record.model_validate_json(sys.argv[2])))
"""


def test_the_next_server_starts_opencode_from_the_same(tmp_path: Path) -> None:
    record = Record.new(uuid4(), 1).model_dump_json()
    found = {
        subprocess.run(
            [sys.executable, "-c", BUILD, str(tmp_path), record],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
