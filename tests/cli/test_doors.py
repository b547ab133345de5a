"""What holds the ports of a pod's OpenCode passes on to OpenCode and to the gateway, and to nobody else."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import free_ports
from vibe_app.cli.doors import Doors
from vibe_app.wire.proof import proof_of
from vibe_app.workspaces.runtimes.relay import listen, lives, serve

TOKEN = "the token of the workspace"
SECRET = b"GET / HTTP/1.1\r\nAuthorization: Bearer the secret\r\n\r\n"


@asynccontextmanager
async def hearing(port: int, token: str = "") -> AsyncIterator[bytearray]:
    """Somebody who listens at a port and keeps what is said; with a token it proves that it knows it."""
    heard = bytearray()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(4096):
            heard.extend(said)
            client, server = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
            nonce = said.decode().partition("nonce=")[2].partition(" ")[0]
            body = f'{{"proof": "{proof_of(token or "no token", nonce, client, server)}"}}'
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", port)
    try:
        yield heard
    finally:
        server.close()


async def say(port: int) -> bytes:
    """Say the secret at a port; return the first that comes back, nothing where the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(SECRET)
        async with asyncio.timeout(10):
            return await reader.read(4096)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.fixture
def opencode() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for it."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
async def doors(opencode: subprocess.Popen[bytes], ports: dict[str, int]) -> AsyncIterator[Doors]:
    """Those that pass on."""
    made = Doors(**ports)
    passing = asyncio.create_task(made.serve(opencode.pid, TOKEN))
    yield made
    passing.cancel()
    await asyncio.gather(passing, return_exceptions=True)
    made.close()


@pytest.fixture
def ports() -> dict[str, int]:
    return dict(zip(("asked", "server", "asking", "models"), free_ports(4), strict=True))


async def test_the_password_comes_to_opencode_and_to_nobody_who_takes_its_port(
    doors: Doors, opencode: subprocess.Popen[bytes], ports: dict[str, int]
) -> None:
    async with hearing(ports["server"]) as heard:
        assert await say(ports["asked"])
        assert SECRET in heard
    opencode.kill()
    # Also before it is buried.
    await eventually(lambda: not lives(opencode.pid))
    async with hearing(ports["server"]) as heard:
        assert await say(ports["asked"]) == b""
        assert heard == b""
        # The twin: without a look at who listens, it is told.
        with listen(0) as unchecked:
            passing = asyncio.create_task(serve(unchecked, ports["server"]))
            assert await say(unchecked.getsockname()[1])
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
        assert SECRET in heard


async def test_the_token_comes_to_the_gateway_and_to_nobody_who_takes_its_port(
    doors: Doors, ports: dict[str, int]
) -> None:
    async with hearing(ports["models"], TOKEN) as heard:
        assert await say(ports["asking"])
        assert SECRET in heard
    async with hearing(ports["models"]) as heard:
        assert await say(ports["asking"]) == b""
        assert b"GET /proof?nonce=" in heard
        assert b"the secret" not in heard


def test_both_ports_are_held_before_anybody_is_let_through(ports: dict[str, int]) -> None:
    doors = Doors(**ports)
    try:
        for name in ("asked", "asking"):
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with pytest.raises(OSError, match="in use"):
                    other.bind(("0.0.0.0", ports[name]))
    finally:
        doors.close()


def test_who_never_was_does_not_live() -> None:
    assert not lives(2**22)
