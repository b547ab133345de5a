"""A workspace's real processes in pods: what its agent can reach, and what becomes of it when things end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.rehearsing import let_rehearse
from tests.specs import keys_of, spec_of, tenancy
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.containers import why_not
from tests.workspaces.runtimes.kubernetes.kube.houses import PodHouse, pod_house
from tests.workspaces.runtimes.kubernetes.probing import REFUSED, lay_out
from vibe_app.clients.gateway import GatewayClient
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.wire import Event, EventType, SidecarStatus, StartSession
from vibe_app.wire.gateway import Configuration, Provider
from vibe_app.wire.git import WantTree
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name, pod_name

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(why_not() is not None, reason=f"NO REAL PODS ON THIS MACHINE: {why_not()}"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, opencode: Path) -> AsyncIterator[PodHouse]:
    """A cluster of one node with real processes. OpenCode's container has 800 MiB."""
    folder = tmp_path_factory.mktemp("cluster")
    limits = "cpu=2,memory=800Mi"
    async with pod_house(folder, opencode, opencode_limits=limits) as house:
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agent() -> AsyncIterator[Agent]:
    async with Agent() as agent:
        yield agent


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def endpoint(house: PodHouse) -> Endpoint:
    """The house's project, ready, with the tree of a card."""
    return await treed(await house.runtime.ensure(spec_of(house.project)))


async def treed(endpoint: Endpoint) -> Endpoint:
    """Have card 1 have its tree."""
    async with WorkspaceClient() as client:
        await GitClient(client).tree(endpoint, 1, WantTree())
    return endpoint


def rehearsed(*commands: str) -> str:
    """A task whose agent runs these commands."""
    return "\n".join(f"rehearse: run {command}" for command in commands)


async def begun(agent: Agent, endpoint: Endpoint, *commands: str) -> str:
    """Start a session of such a task."""
    name = str(uuid4())
    await let_rehearse(endpoint, "http://127.0.0.1:3003")
    await treed(endpoint)
    start = StartSession(session_id=name, prompt=rehearsed(*commands), title="A task", tree=1)
    await agent.start(endpoint, start)
    return name


async def output(agent: Agent, endpoint: Endpoint, session: str) -> list[Event]:
    """Everything that a session says until it is over."""
    events: list[Event] = []
    async with asyncio.timeout(90):
        async for batch in agent.stream_batches(endpoint, session, 0):
            events += batch
            if events[-1].type is EventType.DONE:
                break
    return events


async def said(agent: Agent, endpoint: Endpoint, *commands: str) -> str:
    """What the agent's commands print."""
    events = await output(agent, endpoint, await begun(agent, endpoint, *commands))
    return "".join(event.text for event in events if event.type is EventType.OUTPUT)


def files(house: PodHouse, project: UUID) -> Path:
    """The files of card 1 on the node."""
    return house.node.volume(claim_name(project)) / "workspace" / "tasks" / "1"


# What a hostile repository may bring. It looks into every process that it may look into, again and
# again while OpenCode starts other programs.
SPY = """
for i in $(seq 300); do
  cat /proc/[0-9]*/environ
  for process in /proc/[0-9]*; do cat $process/root/run/secrets/*/* $process/fd/*; done
done > seen 2> refused < /dev/null &
env; export -p; cat /proc/self/environ /proc/$PPID/environ
cat /var/run/secrets/kubernetes.io/serviceaccount/token
find / -xdev -name '*token*' -o -xdev -name '*secret*'
"""
# OpenCode's own git may be made to run this.
HOOK = """#!/bin/sh
env > /workspace/tasks/1/hooked
cat /proc/$PPID/environ >> /workspace/tasks/1/hooked
"""


async def test_the_agent_s_commands_find_no_secret(house, agent, endpoint):
    folder = files(house, house.project)
    for name, script in (("spy", SPY), ("hook", HOOK)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    text = await said(
        agent,
        endpoint,
        "sh spy; echo spied",
        "git config core.fsmonitor /workspace/tasks/1/hook; git status --short",
        "rg nothing; git log; ls -la /proc/1; sleep 2",
    )
    found = text.encode() + b"".join((folder / name).read_bytes() for name in ("seen", "hooked"))
    # What looks into everybody's open files also takes from its own command's output.
    assert b"spied" in found
    assert b"VIBE_PROJECT_ID" in found, "the commands could look at nothing: this proves nothing"
    mine = keys_of(house.project)
    for secret in (mine.token, mine.password, mine.rehearsal_key, mine.model_token):
        assert secret.encode() not in found


async def test_opencode_answers_the_agent_s_commands_only_with_its_password(house, agent, endpoint):
    text = await said(
        agent,
        endpoint,
        "for path in session api/session event; do"
        " curl -s -o /dev/null -w '%{http_code} ' http://127.0.0.1:3000/$path; done",
    )
    assert text.startswith("401 401 401")


async def test_in_a_pod_the_probes_of_the_wall_are_refused_too(house, agent, endpoint, tmp_path):
    folder = files(house, house.project)
    for name in ("secret.key", "vibe.db"):
        (tmp_path / name).write_text("SECRET-0123456789abcdef")
    lay_out(folder, tmp_path, str(uuid4()))
    text = await said(agent, endpoint, "python3 -m inside . && echo all tried")
    assert "all tried" in text
    results = json.loads((folder / "results.json").read_text())
    assert set(results) == set(REFUSED)
    assert {name: what for name, what in results.items() if not what.startswith("-")} == {}


async def test_another_project_s_files_and_services_are_out_of_reach(house, agent, endpoint):
    other = uuid4()
    theirs = await house.runtime.ensure(spec_of(other))
    await said(agent, theirs, "echo a-secret-of-theirs > plan.md")
    assert (files(house, other) / "plan.md").read_text() == "a-secret-of-theirs\n"
    text = await said(
        agent,
        endpoint,
        "find / -name plan.md 2>/dev/null; ls -d /workspace /volume 2>&1; true",
        f"curl -s -o /dev/null -w '%{{http_code}}' {theirs.url}/sessions; true",
        f"curl -s -o /dev/null -w ' %{{http_code}}' '{theirs.files_url}/files?path='; true",
    )
    assert "plan.md" not in text
    assert "401 401" in text.replace("\n", "")
    await house.runtime.stop(other, erase=True)


async def test_a_stop_leaves_nothing_running_beside_opencode(house, agent, endpoint):
    session = await begun(agent, endpoint, "(setsid sleep 4711 &) ; sleep 4712")
    container = house.node.pods[pod_name(house.project)].containers["opencode-server"]
    await eventually(lambda: container.runs("4711") and container.runs("4712"), 60)
    state = await agent.stop(endpoint, session)
    assert state.status is SidecarStatus.CANCELLED
    assert not container.runs("4711")
    assert not container.runs("4712")


async def test_a_command_that_fills_the_memory_ends_its_own_session_and_nothing_else(house, agent, endpoint):
    if house.node.pods[pod_name(house.project)].containers["opencode-server"].unlimited:
        pytest.skip("NO LIMITS OF MEMORY ON THIS MACHINE")
    other = uuid4()
    theirs = await house.runtime.ensure(spec_of(other))
    waiting = await begun(agent, theirs, "sleep 300")
    session = await begun(agent, endpoint, "head -c 2000M /dev/zero | tail > /dev/null; sleep 60")
    events = await output(agent, endpoint, session)
    assert events[-1].text.startswith("Session failed: ")
    state = await agent.state(endpoint, session)
    assert state is not None
    assert state.status is SidecarStatus.FAILED
    told = await agent.state(theirs, waiting)
    assert told is not None
    assert told.status is SidecarStatus.RUNNING
    again = await house.runtime.ensure(spec_of(house.project))
    assert again == endpoint
    assert "still here" in await said(agent, again, "echo still here")
    assert any("used up its memory" in (reason or "") for _, _, reason in house.told)
    await house.runtime.stop(other, erase=True)


async def test_what_the_agent_did_and_said_outlives_its_pod(house, agent, endpoint):
    session = await begun(agent, endpoint, "echo kept > kept.txt")
    before = await output(agent, endpoint, session)
    await house.runtime.stop(house.project)
    after = await house.runtime.ensure(spec_of(house.project))
    assert after.url != endpoint.url
    assert "kept" in await said(agent, after, "cat kept.txt")
    assert await output(agent, after, session) == before
    assert list((house.node.volume(claim_name(house.project)) / "opencode").rglob("opencode.db"))


async def test_a_session_whose_pod_is_deleted_is_known_to_the_next(house, agent, endpoint):
    now = await house.runtime.ensure(spec_of(house.project))
    session = await begun(agent, now, "sleep 300")
    await eventually(
        lambda: house.node.pods[pod_name(house.project)].containers["opencode-server"].runs("300"), 60
    )
    house.api.remove("pods", pod_name(house.project))
    await eventually(lambda: house.told[-1] == (house.project, "stopped", None))
    after = await house.runtime.ensure(spec_of(house.project))
    events = await output(agent, after, session)
    assert events[-1].text.startswith("Session failed: ")


# Waits until the ports of the sidecar and of the gateway are free, takes them, writes down what it hears.
# It tries for those of OpenCode as well.
SQUATTER = """
import pathlib, socket, threading, time
here = pathlib.Path("/workspace/tasks/1")
answer = b'{"configured": true, "journal": "aa", "last": 0, "sessions": [], "proof": "%s"}' % (b"0" * 64)
def hear(connection, name):
    with connection, open(here / name, "ab", buffering=0) as file:
        while data := connection.recv(65536):
            file.write(data)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
                               b"Content-Length: %d\\r\\n\\r\\n" % len(answer) + answer)
def squat(port):
    while True:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("0.0.0.0", port))
            server.listen()
            break
        except OSError:
            server.close()
    (here / f"taken-{port}").touch()
    while True:
        threading.Thread(target=hear, args=(server.accept()[0], f"heard-{port}"), daemon=True).start()
for port in (3000, 3003, 3004, 3005, 3009):
    threading.Thread(target=squat, args=(port,), daemon=True).start()
(here / "squatting").touch()
while not (here / "over").exists():
    time.sleep(0.05)
"""


async def test_a_command_that_takes_the_ports_of_dead_services_is_told_nothing(house, agent):
    project = uuid4()
    endpoint = await treed(await house.runtime.ensure(spec_of(project)))
    folder, secrets = files(house, project), keys_of(project)
    (folder / "squat.py").write_text(SQUATTER)
    squatting = "setsid python3 squat.py >squat.log 2>&1 & while test ! -e enough; do sleep 0.1; done"
    await begun(agent, endpoint, squatting)
    await eventually((folder / "squatting").exists, 60)
    house.node.pods[pod_name(project)].containers["opencode-server-sidecar"].kill()
    await eventually(lambda: all((folder / f"taken-{port}").exists() for port in (3003, 3004, 3005)), 60)

    provider = Provider(id="p", dialect="openai", base_url="http://127.0.0.1:9/v1", key="sk-of-the-provider")
    configuration = Configuration(providers=(provider,))
    start = StartSession(session_id=str(uuid4()), prompt="told to nobody else")
    async with GatewayClient() as gateway:
        with pytest.raises(Unavailable, match="does not prove"):
            await gateway.configure(endpoint, configuration)
        with pytest.raises(Unavailable, match="does not prove"):
            await agent.start(endpoint, start)
        heard = b"".join((folder / f"heard-{port}").read_bytes() for port in (3003, 3005))
        assert heard.count(b"GET /proof?nonce=") == 2
        for secret in (secrets.token, provider.key, start.prompt):
            assert secret.encode() not in heard
        # The twin: who asks as earlier versions did, tells it everything.
        trusting = replace(endpoint, proves=False)
        assert (await gateway.configure(trusting, configuration)).configured
        with pytest.raises(Unavailable):
            await agent.start(trusting, start)
        heard = b"".join((folder / f"heard-{port}").read_bytes() for port in (3003, 3005))
        for secret in (secrets.token, provider.key, start.prompt):
            assert secret.encode() in heard
    # Now OpenCode asks for the next step, and is not let through to who took the gateway's port.
    (folder / "enough").touch()
    asked = folder / "heard-3004"
    await eventually(lambda: asked.exists() and b"GET /proof?nonce=" in asked.read_bytes(), 60)
    assert secrets.model_token.encode() not in asked.read_bytes()
    assert b"POST" not in asked.read_bytes()
    assert not [port for port in (3000, 3009) if (folder / f"taken-{port}").exists()]
    (folder / "over").touch()
    await house.runtime.stop(project, erase=True)


async def test_a_repository_that_cannot_be_cloned_is_told(house):
    project = uuid4()
    with pytest.raises(Unavailable, match="The repository could not be cloned: "):
        await house.runtime.ensure(spec_of(project, "file:///nowhere/at/all"))
    assert project not in await house.runtime.alive()
    await house.runtime.stop(project, erase=True)
