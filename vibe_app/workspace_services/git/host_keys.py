"""Looks up by which keys an ssh server is recognised, for a person to compare and confirm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from vibe_app.addresses import Address
from vibe_app.errors import Unavailable
from vibe_app.networks import Network
from vibe_app.reachable import reachable
from vibe_app.workspace_services.git.program import environment, kill

_KINDS = "ed25519,ecdsa,rsa"
_LONGEST = 30.0
_MOST = 64 << 10


async def scan(address: Address, private: Iterable[Network]) -> list[str]:
    """Return what a server shows, as lines `type key`. Nothing of it is proven.

    Raises:
        InvalidRequest: It is at an address that is not allowed.
        Unavailable: It does not answer as an ssh server does, or there is no ssh here.
    """
    port = address.port or 22
    fault = "The host key could not be looked up"
    [number, *_] = await reachable(address.host, port, private, fault)
    try:
        process = await asyncio.create_subprocess_exec(
            *("ssh-keyscan", "-T", "10", "-p", str(port), "-t", _KINDS, "--", str(number)),
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Unavailable("There is no ssh on this machine: install it (Debian: openssh-client).") from error
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_LONGEST):
            said = await process.stdout.read(_MOST)
            while more := await process.stdout.read(_MOST):
                said = (said + more)[:_MOST]
    except TimeoutError as error:
        raise Unavailable(f"{fault}: {address.host} does not answer in time.") from error
    finally:
        await kill(process)
    lines = [line.split() for line in said.decode("utf-8", "replace").splitlines()]
    found = [" ".join(words[1:3]) for words in lines if len(words) >= 3 and not words[0].startswith("#")]
    if not found:
        raise Unavailable(f"{fault}: {address.host} does not answer as an ssh server at port {port}.")
    return found
