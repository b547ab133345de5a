"""What the gateway adds to a request: to the first token, and to a stream, against asking directly.

A provider of its own process answers at once, or one chunk every few milliseconds as models do. The same
client asks it directly and through the gateway by turns, each with its connections kept open, as
OpenCode does. The gateway journals and counts as always.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from bench.figures import Figure, percentile, spread
from bench.server import NotReady
from tests.workspace_services.gateway.gate import TOKEN, Gate
from tests.workspace_services.gateway.gate import gateway as running
from vibe_app.wire.gateway import Provider

CHUNKS = 1000
PAUSE = 0.01
"""Seconds between two chunks: a model that says a hundred tokens a second."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LENGTH = 60_000
"""Characters of a request, as in the middle of a session."""


async def serve() -> None:
    """Be the provider: `chunks` and `pause` of the request's JSON say what is answered."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                writer.write(_HEAD)
                began = time.perf_counter()
                for number in range(asked["chunks"]):
                    if (ahead := began + number * asked["pause"] - time.perf_counter()) > 0:
                        await asyncio.sleep(ahead)
                    _chunk(
                        writer,
                        {"choices": [{"index": 0, "delta": {"content": f"word {number} "}}], "usage": None},
                    )
                    await writer.drain()
                usage = {"prompt_tokens": 100, "completion_tokens": asked["chunks"]}
                _chunk(writer, {"choices": [], "usage": usage})
                writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def _chunk(writer: asyncio.StreamWriter, event: object) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@asynccontextmanager
async def provider() -> AsyncIterator[str]:
    """Run the provider as a process of its own; yields its address."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.gateway", stdout=PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await asyncio.wait_for(process.stdout.readline(), 20))}"
    finally:
        process.kill()
        await process.wait()


async def timed(client: httpx.AsyncClient, url: str, chunks: int, pause: float) -> tuple[float, float]:
    """Ask once; return after how many seconds the first chunk came, and the last."""
    body = {"model": "gpt-4o-mini", "chunks": chunks, "pause": pause, "messages": "x" * _LENGTH}
    began = time.perf_counter()
    first, size = 0.0, 0
    async with client.stream("POST", url, json=body) as response:
        if response.status_code != 200:
            raise NotReady(f"{url} answers {response.status_code}: {(await response.aread())[:300]!r}")
        async for piece in response.aiter_raw():
            first = first or time.perf_counter() - began
            size += len(piece)
    if size < chunks * 50:
        raise NotReady(f"{url} answered {size} bytes only.")
    return first, time.perf_counter() - began


async def compared(
    client: httpx.AsyncClient, direct: str, through: str, count: int, chunks: int, pause: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Ask directly and through the gateway by turns."""
    sides: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for number in range(count + 1):
        for side, url in zip(sides, (direct, through), strict=True):
            found = await timed(client, url, chunks, pause)
            if number:  # the first of each opens the connections
                side.append(found)
    return sides


async def run(quick: bool) -> list[Figure]:
    """Measure; `quick` takes fewer samples."""
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        async with provider() as url, running(Path(folder)) as gate:
            return await _figures(gate, url, quick)


async def _figures(gate: Gate, url: str, quick: bool) -> list[Figure]:
    await gate.configure(Provider(id="p", dialect="openai", base_url=url, key="sk-x", catalogue="openai"))
    await gate.session("s", "ses_1")
    direct, through = f"{url}/chat/completions", f"{gate.url}/p/chat/completions"
    headers = {"authorization": f"Bearer {TOKEN}", "x-session-id": "ses_1"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as client:
        plain, passed = await compared(client, direct, through, 20 if quick else 200, 1, 0)
        firsts = [[first * 1000 for first, _ in side] for side in (plain, passed)]
        added = percentile(firsts[1], 50) - percentile(firsts[0], 50)
        plain, passed = await compared(client, direct, through, 1 if quick else 6, CHUNKS, PAUSE)
        paced = [percentile([last for _, last in side], 50) for side in (plain, passed)]
        plain, passed = await compared(client, direct, through, 2 if quick else 20, CHUNKS, 0)
        rushed = [percentile([last for _, last in side], 50) for side in (plain, passed)]
    assert gate.process is not None
    memory = psutil.Process(gate.process.pid).memory_info().rss / 1e6
    return [
        Figure(
            "Gateway: time to the first token, added",
            added,
            "ms",
            5,
            f"{spread(firsts[1])} through it, {spread(firsts[0])} directly",
        ),
        Figure(
            f"Gateway: a stream of {CHUNKS:,} chunks, {1 / PAUSE:g} a second, added",
            (paced[1] / paced[0] - 1) * 100,
            "%",
            2,
            f"{paced[1]:.2f} s and {paced[0]:.2f} s",
        ),
        Figure(
            f"Gateway: {CHUNKS:,} chunks as fast as can be",
            rushed[1] * 1000,
            "ms",
            note=f"{rushed[0] * 1000:.0f} ms directly",
        ),
        Figure("Gateway: memory after that", memory, "MB", note="resident"),
    ]


if __name__ == "__main__":
    asyncio.run(serve())
