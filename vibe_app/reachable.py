"""Where a host is, and which of its addresses may be reached.

Whoever goes where somebody else's words send them asks here: a name is resolved once, what it leads to is
checked, and the caller then goes to one of these numbers and nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

from vibe_app.errors import InvalidRequest, Unavailable
from vibe_app.networks import Network, Number, is_allowed

_LONGEST_LOOK_UP = 20.0


async def reachable(host: str, port: int, private: Iterable[Network], fault: str) -> list[Number]:
    """Return the addresses of a host that may be reached, at least one.

    Args:
        host: Its name or number.
        port: The port that is meant.
        private: Networks of private addresses that are allowed.
        fault: How the sentence begins that says that its name leads nowhere.

    Raises:
        InvalidRequest: None of them may be (`private_address`).
        Unavailable: Its name leads nowhere.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LONGEST_LOOK_UP):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise Unavailable(
            f"{fault}: no address is known for {host}. Check the name, and that this machine can look names"
            " up."
        ) from error
    # A scope names an interface of this machine: such an address is a link-local one.
    numbers = (ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found)
    private = tuple(private)
    allowed = [number for number in dict.fromkeys(numbers) if is_allowed(number, private)]
    if not allowed:
        raise InvalidRequest(
            "The repository's address leads to a private network, which is not reached from here."
            " Whoever runs this board can allow networks with VIBE_REPOSITORY_NETWORKS.",
            "private_address",
        )
    return allowed
