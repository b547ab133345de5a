"""A pool of connections, closed while somebody is still asking."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest

from tests.waiting import eventually
from vibe_app.clients.pool import Pool

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Asking(Pool):
    """Asks for one page."""

    async def ask(self, url: str) -> str:
        return (await self._http.get(url)).text


@pytest.mark.parametrize("steps", range(1, 20))
async def test_a_pool_that_is_closed_leaves_no_connection_however_far_a_request_is(steps: int) -> None:
    there: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        there.discard(writer)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = Asking(httpx.Timeout(5))
        await pool.open()
        asking = asyncio.create_task(pool.ask(f"http://127.0.0.1:{port}/"))
        for _ in range(steps):
            await asyncio.sleep(0)
        await pool.close()
        (told,) = await asyncio.gather(asking, return_exceptions=True)
        assert told == "ok" or isinstance(told, httpx.HTTPError)
        await eventually(lambda: not there, 2)
