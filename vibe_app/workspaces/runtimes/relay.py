"""Passes on connections of loopback, byte for byte, to a port whose listener has been looked at first.

A port that a process holds for as long as anything of the agent runs cannot be taken by the agent. So
whoever sends a secret sends it to such a port, and what stands behind it is asked, once it is connected
and before it is told anything, whether it is who it should be. Standard library only: it runs in the
keeper of a local sandbox, and in the first process of OpenCode's container.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"

Check = Callable[[socket.socket], Awaitable[bool]]
"""Is given the connection to whoever listens; False ends it, and nothing is passed on."""

_CHUNK = 64 << 10
_BACKLOG = 512
# proc_pid_stat(5), "flags": PF_EXITING of include/linux/sched.h, set before a process's files are closed.
_EXITING = 0x4


def listen(port: int) -> socket.socket:
    """Take a port of loopback.

    Raises:
        OSError: It is taken.
    """
    made = _socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((LOOPBACK, port))
    except OSError:
        made.close()
        raise
    made.listen(_BACKLOG)
    return made


async def serve(listener: socket.socket, port: int, check: Check | None = None) -> None:
    """Pass on each connection to `port` of this process's loopback, both ways, until it is cancelled."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    # Not a group: one that fails is no matter of the others.
    connections: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                near, _ = await loop.sock_accept(listener)
            except OSError:
                # Too many files are open, or whoever came is gone.
                await asyncio.sleep(0.1)
                continue
            connection = asyncio.create_task(_join(near, port, check))
            connections.add(connection)
            connection.add_done_callback(connections.discard)
    finally:
        for connection in connections:
            connection.cancel()


def lives(pid: int) -> bool:
    """Tell whether a process has not begun to end: as long as it has not, its ports are its own."""
    with suppress(OSError, ValueError, IndexError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return state not in "ZX" and not int(rest[5]) & _EXITING
    return False


async def _join(near: socket.socket, port: int, check: Check | None) -> None:
    with suppress(OSError), near, _socket() as far:
        for each in (near, far):
            each.setblocking(False)
            # Events are small, and none is to wait for the next one.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(far, (LOOPBACK, port))
        if check is None or await check(far):
            await asyncio.gather(_pour(near, far), _pour(far, near))


async def _pour(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while chunk := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(sink, chunk)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One end is gone: the other has nobody to talk to any more.
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
