"""A reverse proxy before a real server, which does what proxies do wrong: a few lines of HTTP/1.1."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>\r\n"


class Proxy:
    """Passes each request on over a connection of its own, sockets of pages too.

    Attributes:
        url: Where it listens.
        host: What it writes into `Host`; nothing leaves what the browser said.
        path: The path below which it serves the board, without a slash at its end.
        sockets: Whether it passes on that a connection is to become a socket.
        answers: Its own answers: a status for each pattern of `METHOD /path` that it does not pass on.
    """

    def __init__(self, upstream: str, host: str = "", path: str = "") -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self.url = ""
        self.host = host
        self.path = path
        self.sockets = True
        self.answers: dict[str, int] = {}
        self._open: set[asyncio.Task[None]] = set()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a browser."""
        task = asyncio.create_task(self._served(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def end(self) -> None:
        """End what is open."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split("\r\n", 1)[0].split(" ")
        status = next((self.answers[each] for each in self.answers if re.match(each, f"{method} {path}")), 0)
        if not status and not path.startswith(f"{self.path}/"):
            status = 404
        if status:
            await self._answer(reader, writer, head, status)
            return
        head = head.replace(f" {path} ", f" {path[len(self.path) :]} ", 1)
        if self.host:
            head = re.sub(r"(?im)^host: .*?\r$", f"Host: {self.host}\r", head)
        if not self.sockets:
            head = re.sub(r"(?im)^upgrade: .*?\r\n", "", head)
        if not re.search(r"(?im)^upgrade:", head):
            head = re.sub(r"(?im)^connection: .*?\r\n", "", head).replace(
                "\r\n", "\r\nConnection: close\r\n", 1
            )
        below, above = await asyncio.open_connection(*self._upstream)
        above.write(head.encode("latin-1"))
        both = {asyncio.create_task(_pump(reader, above)), asyncio.create_task(_pump(below, writer))}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            above.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, status: int
    ) -> None:
        page = _PAGE.format(f"{status} of the proxy").encode()
        writer.write(f"HTTP/1.1 {status} Own\r\nContent-Type: text/html\r\nConnection: close\r\n".encode())
        writer.write(b"Content-Length: %d\r\n\r\n" % len(page) + page)
        await writer.drain()
        # As nginx lingers: what is still sent is read, so that the answer arrives.
        if length := re.search(r"(?im)^content-length: (\d+)", head):
            await reader.readexactly(int(length[1]))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def proxied(upstream: str, host: str = "", path: str = "") -> AsyncIterator[Proxy]:
    """A proxy on a free port of loopback."""
    made = Proxy(upstream, host, path)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await made.end()
