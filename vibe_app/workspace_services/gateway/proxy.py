"""The agent's way out to the network: an HTTP proxy that lets pass what the project allows.

`CONNECT host:port` makes a tunnel, and a request with a whole `http://` address is sent on. A name is
resolved once, each number that it leads to is checked, and the connection is made to a number that was
checked: a name that leads elsewhere a moment later leads nowhere. Private addresses, this machine's own
among them, are never reached, whatever the policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import re
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlsplit

from vibe_app import networks

_LARGEST_HEAD = 64 * 1024
_MOST = 256
"""Connections at once: a tool that fetches many packages opens some tens."""
_HEAD = 30.0
_LOOK_UP = 15.0
_CONNECT = 15.0
IDLE = 300.0
"""Seconds without a byte in either direction after which a connection ends."""
_PIECE = 64 * 1024

_TARGET = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]{1,253})):(?P<port>[0-9]{1,5})")
_METHOD = re.compile(r"[A-Z]{3,20}")
_DROPPED = ("proxy-", "connection:", "keep-alive:", "te:", "upgrade:")
_log = logging.getLogger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Refused(Exception):
    """A request does not pass.

    Args:
        status: The HTTP status to answer with.
        sentence: Why, for whoever reads the command's output.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True)
class Asked:
    """Where a request wants to go, and what is to be said there first."""

    host: str
    port: int
    head: bytes = b""


class Proxy:
    """Listens where the agent's commands reach it.

    Args:
        idle: Seconds without a byte after which a connection ends.

    Attributes:
        policy: `closed`, `listed` or `open`.
        hosts: The list, in the form of `networks.check_host`.
    """

    def __init__(self, idle: float = IDLE) -> None:
        self.policy: Literal["closed", "listed", "open"] = "closed"
        self.hosts: tuple[str, ...] = ()
        self._idle = idle
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: The port is taken.
        """
        self._server = await asyncio.start_server(self._accept, host, port, limit=_LARGEST_HEAD)

    async def close(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except Refused as refused:
            await _refuse(writer, refused)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) > 2 * _MOST:
            return writer.transport.abort()
        async with asyncio.timeout(_HEAD):
            asked = parse(await _head(reader))
        if len(self._tasks) > _MOST:
            raise Refused(503, f"More than {_MOST} connections at once do not pass here.")
        self._check(asked.host, asked.port)
        onward, out = await _connect(asked)
        try:
            if asked.head:
                out.write(asked.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._pass((reader, writer), (onward, out))
        finally:
            out.close()

    def _check(self, host: str, port: int) -> None:
        if self.policy == "closed":
            raise Refused(403, f"{host} is not reached: this project's network is closed.")
        if self.policy == "listed" and not networks.is_listed(host, port, self.hosts):
            raise Refused(
                403, f"{host}:{port} is not reached: it is not among the hosts that this project allows."
            )

    async def _pass(self, one: Streams, other: Streams) -> None:
        """Pass bytes in both directions until either side breaks off, both ended, or nothing comes."""
        loop = asyncio.get_running_loop()
        quiet_until = loop.time() + self._idle

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal quiet_until
            while piece := await source.read(_PIECE):
                quiet_until = loop.time() + self._idle
                sink.write(piece)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

        pumps = {asyncio.create_task(pump(one[0], other[1])), asyncio.create_task(pump(other[0], one[1]))}
        waiting = pumps
        try:
            while waiting and (left := quiet_until - loop.time()) > 0:
                done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if any(task.exception() for task in done):
                    return
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


def parse(head: bytes) -> Asked:
    """Read the head of a request.

    Raises:
        Refused: It asks for nothing that a proxy does.
    """
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not _METHOD.fullmatch(parts[0]) or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(400, "This is no request to a proxy.")
    if any("\n" in line or "\r" in line for line in lines):
        raise Refused(400, "This is no request to a proxy: a line of it ends in an odd way.")
    method, target, version = parts
    if method == "CONNECT":
        return Asked(*_host_and_port(target))
    if not target.lower().startswith("http://"):
        raise Refused(400, "A request to a proxy names a whole http:// address, or is CONNECT host:port.")
    try:
        url = urlsplit(target)
        port = 80 if url.port is None else url.port
        name = url.hostname or ""
    except ValueError:
        raise Refused(400, "The address is none.") from None
    host, _ = _host_and_port(f"[{name}]:1" if ":" in name else f"{name}:1")
    if not 1 <= port <= 65535:
        raise Refused(400, "The address is none: a port is a number from 1 to 65535.")
    place = f"[{host}]" if ":" in host else host
    kept = [line for line in lines if not line.lower().startswith((*_DROPPED, "host:"))]
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    named = place if port == 80 else f"{place}:{port}"
    said = [f"{method} {path} {version}", f"Host: {named}", "Connection: close", *kept, "", ""]
    return Asked(host, port, "\r\n".join(said).encode("latin-1"))


def _host_and_port(target: str) -> tuple[str, int]:
    found = _TARGET.fullmatch(target)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise Refused(400, "The address is none: it looks like host:port.")
    return (found["six"] or found["name"]).lower().rstrip("."), int(found["port"])


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise Refused(431, "The request's head is too long.") from None


async def _connect(asked: Asked) -> Streams:
    """Connect to a number that the name leads to and that may be reached.

    Raises:
        Refused: None may, or none answers.
    """
    numbers = await resolve(asked.host, asked.port)
    allowed = [number for number in numbers if networks.is_allowed(number)]
    if not allowed:
        raise Refused(403, f"{asked.host} is not reached: it leads to a private address.")
    for number in allowed[:4]:
        try:
            async with asyncio.timeout(_CONNECT):
                reader, writer = await asyncio.open_connection(str(number), asked.port, limit=_LARGEST_HEAD)
        except OSError:
            continue
        # A public address of this very machine leads to what listens here.
        if writer.get_extra_info("sockname")[0] == writer.get_extra_info("peername")[0]:
            writer.close()
            raise Refused(403, f"{asked.host} is not reached: it leads to this machine.")
        return reader, writer
    raise Refused(502, f"{asked.host}:{asked.port} does not answer.")


async def resolve(host: str, port: int) -> list[networks.Number]:
    """Return the numbers that a name leads to.

    Raises:
        Refused: There are none.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(502, f"No address is known for {host}.") from None
    # A scope names an interface of this machine: such an address is a link-local one.
    numbers = (ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found)
    return list(dict.fromkeys(numbers))


async def _refuse(writer: asyncio.StreamWriter, refused: Refused) -> None:
    _log.info("The agent's proxy: %s", refused.sentence)
    body = json.dumps({"error": refused.sentence, "code": "network_refused"}).encode() + b"\n"
    reason = HTTPStatus(refused.status).phrase
    head = f"HTTP/1.1 {refused.status} {reason}\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\nX-Refused: {refused.sentence[:300]}\r\n\r\n"
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(head.encode("latin-1", "replace") + body)
        async with asyncio.timeout(5):
            await writer.drain()
