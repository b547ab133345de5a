"""The ports of a pod's OpenCode that its first process holds, so that no command of the agent can take them.

In a pod all containers share one loopback. OpenCode and the gateway are sent secrets at their ports, and may
die in mid-run; who took such a port then would be sent the next one. This process holds a port for each, for
as long as any command of the agent can run, and passes a connection on only once it is known who is behind.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from threading import Thread

from vibe_app.errors import Unavailable
from vibe_app.wire import proof
from vibe_app.workspaces.runtimes.relay import listen, lives, serve

logger = logging.getLogger(__name__)


class Doors:
    """Takes the two ports; nobody is let through before `open`.

    Args:
        asked: Where OpenCode is asked.
        server: Where it listens itself.
        asking: Where OpenCode asks for models.
        models: Where the gateway answers.

    Raises:
        OSError: A port is taken.
    """

    def __init__(self, asked: int, server: int, asking: int, models: int) -> None:
        self._server, self._models = server, models
        self._asked, self._asking = listen(asked), listen(asking)

    def open(self, opencode: int, token: str) -> None:
        """Begin to pass on, in a thread of its own.

        Args:
            opencode: Its process id: while it lives, the port at which it listens is its own.
            token: What OpenCode sends to the gateway, which proves that it knows it.
        """
        Thread(target=asyncio.run, args=(self.serve(opencode, token),), name="doors", daemon=True).start()

    def close(self) -> None:
        """Give the ports back, where nobody is let through any more."""
        self._asked.close()
        self._asking.close()

    async def serve(self, opencode: int, token: str) -> None:
        """Pass on, until it is cancelled; what `open` does."""

        async def is_opencode(_: socket.socket) -> bool:
            return lives(opencode)

        async def is_gateway(far: socket.socket) -> bool:
            try:
                await proof.prove(_Connection(far), token)
            except Unavailable as error:
                logger.warning("port %d: %s", self._models, error.message)
                return False
            return True

        await asyncio.gather(
            serve(self._asked, self._server, is_opencode), serve(self._asking, self._models, is_gateway)
        )


class _Connection:
    """A socket, as `wire.proof` wants one."""

    def __init__(self, made: socket.socket) -> None:
        self._made = made

    async def read(self, max_bytes: int) -> bytes:
        """Return what has come; empty at the end."""
        return await asyncio.get_running_loop().sock_recv(self._made, max_bytes)

    async def write(self, buffer: bytes) -> None:
        """Send everything."""
        await asyncio.get_running_loop().sock_sendall(self._made, buffer)

    async def aclose(self) -> None:
        """End the connection."""
        self._made.close()

    def get_extra_info(self, info: str) -> tuple[str, int]:
        """Return one of the two ends."""
        return self._made.getsockname() if info == "client_addr" else self._made.getpeername()
