"""Whoever listens in a service's place learns nothing: a service proves itself before it is told anything."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest

from tests.waiting import eventually
from tests.workspace_services.gateway.gate import CONTROL, KEY, TOKEN, Gate, gateway
from tests.workspace_services.sidecar.stack import Stack
from vibe_app.aio import cancel
from vibe_app.clients.gateway import GatewayClient
from vibe_app.clients.services import Call, WorkspaceClient
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Unavailable
from vibe_app.wire import StartSession, proof
from vibe_app.wire.gateway import Budget, Configuration, Limits, Provider
from vibe_app.wire.proof import proof_of
from vibe_app.workspace_services.sidecar.gateway import Gateway
from vibe_app.workspaces.runtimes.base import Endpoint

PROVIDERS = Configuration(
    providers=(Provider(id="openai", dialect="openai", base_url="http://127.0.0.1:9/v1", key=KEY),)
)
PROMPT = "what only the sidecar is told"

# Writes down all that it is sent, and answers each request, once it is whole, in the same way.
SQUATTER = """
import re, socket, sys, threading
port, path, answer = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", port))
server.listen()
def listen(connection):
    asked = b""
    with connection, open(path, "ab", buffering=0) as file:
        while data := connection.recv(65536):
            file.write(data)
            asked += data
            head, ended, body = asked.partition(b"\\r\\n\\r\\n")
            length = re.search(rb"(?i)content-length: *(\\d+)", head)
            if not ended or len(body) < int(length[1] if length else 0):
                continue
            asked = b""
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
                               b"Content-Length: %d\\r\\n\\r\\n" % len(answer) + answer)
print("up", flush=True)
while True:
    threading.Thread(target=listen, args=(server.accept()[0],), daemon=True).start()
"""
STATE = {"configured": True, "journal": "a" * 32, "last": 0}


class Squatter:
    """A process of somebody else's at a service's port."""

    def __init__(self, port: int, folder: Path, answer: object) -> None:
        self.heard_at = folder / f"heard-{port}"
        self.heard_at.write_bytes(b"")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SQUATTER, str(port), str(self.heard_at), json.dumps(answer)],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"

    @property
    def heard(self) -> bytes:
        """All that it was sent."""
        return self.heard_at.read_bytes()

    def close(self) -> None:
        """Let the port go."""
        self._process.kill()
        self._process.communicate(timeout=10)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gateway(tmp_path) as gate:
        yield gate


def of(gate: Gate, *, proves: bool = True) -> Endpoint:
    return Endpoint("", CONTROL, gateway_url=f"http://127.0.0.1:{gate.control_port}", proves=proves)


@pytest.mark.parametrize("lie", [{"proof": "0" * 64}, {"proof": None}, [], STATE])
async def test_who_takes_a_dead_gateway_s_port_is_told_neither_token_nor_key(
    gate: Gate, tmp_path: Path, lie: object
):
    async with GatewayClient() as client:
        assert (await client.configure(of(gate), PROVIDERS)).configured
        gate.kill()
        with closing(Squatter(gate.control_port, tmp_path, lie)) as squatter:
            with pytest.raises(Unavailable, match="does not prove") as caught:
                await client.configure(of(gate), PROVIDERS)
            assert caught.value.code == "not_proven"
            with pytest.raises(Unavailable, match="does not prove"):
                await client.register(of(gate), "s1", Budget(limits=Limits(requests=1)))
        heard = squatter.heard
        assert heard.count(b"GET /proof?nonce=") == 2
        assert CONTROL.encode() not in heard
        assert KEY.encode() not in heard
        assert b"requests" not in heard
        # The service itself comes back, and the same client goes on with it.
        await gate.start()
        assert (await client.configure(of(gate), PROVIDERS)).configured


async def test_what_is_said_without_a_proof_is_heard_by_who_listens(gate: Gate, tmp_path: Path):
    """The twin: as earlier versions asked, everything is given away."""
    gate.kill()
    with closing(Squatter(gate.control_port, tmp_path, STATE)) as squatter:
        async with GatewayClient() as client:
            assert (await client.configure(of(gate, proves=False), PROVIDERS)).configured
    assert CONTROL.encode() in squatter.heard
    assert KEY.encode() in squatter.heard


async def test_who_takes_a_dead_sidecar_s_port_is_told_nothing(tmp_path: Path):
    stack = Stack(tmp_path)
    start = StartSession(session_id="s1", prompt=PROMPT)
    asked = Call("POST", "/anything", content=PROMPT.encode())
    try:
        stack.start_sidecar()
        endpoint = Endpoint(stack.url, stack.token, proves=True)
        async with Agent() as agent, WorkspaceClient() as client:

            async def answers() -> bool:
                try:
                    return await agent.live(endpoint) == []
                except Unavailable:
                    return False

            await eventually(answers, 30)
            assert stack.sidecar is not None
            stack.sidecar.kill()
            stack.sidecar.wait(10)
            with closing(Squatter(stack.port, tmp_path, {"sessions": []})) as squatter:
                for wanted in (agent.start(endpoint, start), agent.live(endpoint)):
                    with pytest.raises(Unavailable, match="does not prove"):
                        await wanted
                with pytest.raises(Unavailable, match="does not prove"):
                    await anext(agent.stream_batches(endpoint, "s1"))
                with pytest.raises(Unavailable, match="does not prove"):
                    await client.ask(stack.url, endpoint, asked)
                heard = squatter.heard
                assert heard.count(b"GET /proof?nonce=") == 4
                assert stack.token.encode() not in heard
                assert PROMPT.encode() not in heard
                # The twin: the same calls, as an earlier version's services were asked.
                told = Endpoint(stack.url, stack.token)
                assert await agent.live(told) == []
                await (await client.ask(stack.url, told, asked)).close()
                assert stack.token.encode() in squatter.heard
                assert PROMPT.encode() in squatter.heard
    finally:
        stack.close()


async def test_the_sidecar_tells_nothing_to_who_takes_its_gateway_s_port(gate: Gate, tmp_path: Path):
    client = Gateway(f"http://127.0.0.1:{gate.control_port}", CONTROL)
    await gate.session("s1", requests=1)
    await client.belongs("ses_1", "s1")
    gate.kill()
    try:
        squatter = Squatter(gate.control_port, tmp_path, STATE)
        with closing(squatter), pytest.raises(Unavailable, match="does not prove"):
            await client.belongs("ses_2", "s1")
        assert b"GET /proof?nonce=" in squatter.heard
        assert CONTROL.encode() not in squatter.heard
        assert b"ses_2" not in squatter.heard
    finally:
        await client.close()


@asynccontextmanager
async def relay(port: int, to: int, heard: list[bytes], answered: list[bytes]) -> AsyncIterator[int]:
    """Pass on, at a port, all that is said to another one; 0 takes any port."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: list[bytes]) -> None:
        while data := await reader.read(65536):
            record.append(data)
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            accepted.add(task)
        with closing(writer):
            far, near = await asyncio.open_connection("127.0.0.1", to)
            with closing(near):
                await asyncio.gather(copy(reader, near, heard), copy(far, writer, answered))

    accepted: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(accept, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await cancel(*accepted)


async def test_an_answer_that_the_real_service_gave_somebody_else_is_no_proof(gate: Gate):
    heard: list[bytes] = []
    answered: list[bytes] = []
    async with relay(0, gate.control_port, heard, answered) as port, GatewayClient() as client:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(Unavailable, match="does not prove"):
            await client.configure(Endpoint("", CONTROL, gateway_url=url, proves=True), PROVIDERS)
        assert CONTROL.encode() not in b"".join(heard)
        assert KEY.encode() not in b"".join(heard)
        # What was passed on is a proof, though of another connection; and the twin is passed on as well.
        assert b'{"proof":"' in b"".join(answered)
        told = Endpoint("", CONTROL, gateway_url=url)
        assert (await client.configure(told, PROVIDERS)).configured
        assert KEY.encode() in b"".join(heard)


async def test_a_connection_that_was_taken_before_the_service_came_back_gets_no_proof(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    """It waits with its answer until the real service listens at the very same port, and asks that."""
    gate.kill()
    # How long it may wait is not what is tried here.
    monkeypatch.setattr(proof, "_SECONDS", 60.0)
    heard = b""
    taken: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", gate.control_port)
    async with GatewayClient(connect=60, answer=60) as client:
        configuring = asyncio.create_task(client.configure(of(gate), PROVIDERS))
        reader, writer = await taken
        heard += await reader.readuntil(b"\r\n\r\n")
        server.close()
        await gate.start()
        far, near = await asyncio.open_connection("127.0.0.1", gate.control_port)
        near.write(heard)
        passed_on = await far.readuntil(b"}")
        writer.write(passed_on)
        assert b'{"proof":"' in passed_on
        with pytest.raises(Unavailable, match="does not prove"):
            await configuring
        heard += await reader.read()
        assert CONTROL.encode() not in heard
        assert KEY.encode() not in heard
        near.close()
        writer.close()


async def test_a_proof_is_for_everybody_and_for_one_connection_alone(gate: Gate):
    nonce = "a" * 64
    async with httpx.AsyncClient(base_url=str(gate.control.base_url), trust_env=False) as client:
        lies = {"x-forwarded-for": "10.1.2.3", "forwarded": "for=10.1.2.3"}
        async with client.stream("GET", "/proof", params={"nonce": nonce}, headers=lies) as answer:
            stream = answer.extensions["network_stream"]
            ends = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
            found = json.loads(await answer.aread())["proof"]
        assert found == proof_of(CONTROL, nonce, *ends)
        (host, port), server = ends
        assert found != proof_of(CONTROL, nonce, (host, port + 1), server)
        assert found != proof_of(CONTROL, nonce, ("127.0.0.2", port), server)
        assert found != proof_of(CONTROL, nonce, (host, port), (server[0], server[1] + 1))
        assert found != proof_of(CONTROL, "b" * 64, *ends)
        assert found != proof_of("another token", nonce, *ends)
        for wrong in ("", "short", "A" * 64, "a" * 129):
            assert (await client.get("/proof", params={"nonce": wrong})).status_code == 400
        # Nothing else is open, and the agent's port proves that it knows another token.
        assert (await client.post("/proof", params={"nonce": nonce})).status_code == 401
        assert (await client.get("/usage")).status_code == 401
    async with gate.opencode.stream("GET", "/proof", params={"nonce": nonce}) as answer:
        stream = answer.extensions["network_stream"]
        ends = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
        assert json.loads(await answer.aread())["proof"] == proof_of(TOKEN, nonce, *ends)


def test_ways_of_writing_an_address_are_one_address():
    for host in ("::ffff:10.0.0.1", "10.0.0.1"):
        assert proof_of("t", "n", (host, 1), ("10.0.0.2", 2)) == proof_of(
            "t", "n", ("10.0.0.1", 1), ("::ffff:10.0.0.2", 2)
        )
    assert proof_of("t", "n", ("fe80::1%eth0", 1), ("::1", 2)) == proof_of(
        "t", "n", ("fe80:0::1", 1), ("0::1", 2)
    )
