"""Connections that never say what they want, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from tests.waiting import eventually
from vibe_app.cli import timeouts

GET = b"GET / HTTP/1.1\r\nHost: board.test\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: board.test\r\nContent-Length: 4\r\n\r\n"


class Echo:
    """Answers with the body, and notes requests whose sender is gone."""

    def __init__(self) -> None:
        self.gone = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        if scope["path"] == "/refused":
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def port(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(timeouts, "HEAD", 0.5)
    monkeypatch.setattr(timeouts, "BODY", 0.5)
    monkeypatch.setattr(timeouts, "HALF_OPEN", 5)
    config = uvicorn.Config(echo, http=timeouts.TimedProtocol, ws="wsproto", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        await eventually(lambda: server.started)
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving
    assert not timeouts._half_open


async def said(port: int, *pieces: bytes) -> bytes:
    """Send pieces and then nothing; return what was answered until the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "pieces",
    [(), (b"GE",), (GET[:-2],), (POST,), (POST, b"ab")],
    ids=["nothing", "a part of a line", "no end of the head", "no body", "half a body"],
)
async def test_what_does_not_go_on_is_ended(port: int, echo: Echo, pieces: tuple[bytes, ...]) -> None:
    answer = await said(port, *pieces)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    await eventually(lambda: echo.gone == (POST in pieces))


async def trickled(port: int, start: bytes) -> bytes:
    """Send a byte now and then after the start; return what was answered until the server closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    answer = asyncio.create_task(reader.read())
    async with asyncio.timeout(30):
        while not answer.done():
            writer.write(b"X")
            await asyncio.wait({answer}, timeout=0.1)
    writer.close()
    return b"" if isinstance(answer.exception(), ConnectionResetError) else answer.result()


async def test_a_byte_now_and_then_does_not_keep_a_head_open(port: int) -> None:
    assert (await trickled(port, b""))[:12] in (b"HTTP/1.1 408", b"")


async def test_what_comes_after_its_answer_is_not_read_for_ever(port: int) -> None:
    start = b"POST /refused HTTP/1.1\r\nHost: board.test\r\nContent-Length: 1000000\r\n\r\na"
    assert (await trickled(port, start))[:12] in (b"HTTP/1.1 403", b"")


async def test_what_goes_on_is_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):  # the connection is kept, and its next request has its own time
        writer.write(POST[:20])
        await writer.drain()
        writer.write(POST[20:])
        for byte in (b"a", b"b", b"c", b"d"):
            writer.write(byte)
            await asyncio.sleep(0.2)  # together longer than BODY, each pause shorter
        assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(0.8)  # longer than a head may take: nothing was begun
    writer.write(GET)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.write(GET[:10])
    assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_half_open_connections_of_one_address_are_bounded(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "HEAD", 600.0)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
    await eventually(lambda: timeouts._half_open["127.0.0.1"] == 5)
    try:
        refused = await said(port)
    except ConnectionResetError:
        refused = b""
    assert refused == b""
    held[0][1].write(GET)  # who says what it wants makes room
    assert (await held[0][0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    _, another = await asyncio.open_connection("127.0.0.1", port)
    await eventually(lambda: timeouts._half_open["127.0.0.1"] == 5)
    for _, writer in [*held, (None, another)]:
        writer.close()
    await eventually(lambda: not timeouts._half_open)


async def test_a_socket_that_was_opened_stays_open(
    port: int, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: board.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    assert not timeouts._half_open
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(), 1.0)  # twice as long as a head or a body may take
    assert not caplog.records
    writer.close()
