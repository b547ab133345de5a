"""How a service proves that it is the one that knows the token, before it is sent the token or anything else.

Where a service has died, a process of the agent may listen at its port: in a pod all containers share one
loopback. So the first thing that a client says on each new connection is

    GET /proof?nonce=<32 to 128 hex digits>      answered {"proof": "<64 hex digits>"}, without the token

and nothing follows where the answer is not HMAC-SHA256, with the token as its key, of the nonce and of both
ends of this connection, as each side's own kernel names them. No two connections have the same two ends at
once, so an answer that somebody fetched from the real service over a connection of their own is none here.
It does not hold across something that rewrites addresses between the two, which pods do not have
(kubernetes.io/docs/concepts/services-networking: pods reach each other without NAT).

Of httpx this needs its `trace` extension alone (www.encode.io/httpcore/extensions, "trace"): it is told of
each new connection, before anything was written to it.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Protocol, TypedDict, TypeVar

from vibe_app.errors import Unavailable

PATH = "/proof"
NONCE = re.compile("[0-9a-f]{32,128}")

End = tuple[str, int]
"""An address and a port."""

_SECONDS = 10.0
_LARGEST = 4096
_CONNECTED = "connection.connect_tcp.complete"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]{1,4})\r\n")


class Proof(TypedDict):
    """What a service answers to `GET /proof`."""

    proof: str


class Stream(Protocol):
    """A connection that was just made: httpcore's `AsyncNetworkStream`."""

    async def read(self, max_bytes: int) -> bytes: ...

    async def write(self, buffer: bytes) -> None: ...

    async def aclose(self) -> None: ...

    def get_extra_info(self, info: str) -> Any: ...


class Request(Protocol):
    """As much of httpx's request as is used."""

    extensions: Any

    @property
    def headers(self) -> Any: ...


R = TypeVar("R", bound=Request)


def proof_of(token: str, nonce: str, client: End, server: End) -> str:
    """Return what proves the knowledge of a token, for one connection.

    Args:
        token: The service's.
        nonce: What the client drew for this connection.
        client: The end of it that asked.
        server: The end of it that answers.

    Raises:
        ValueError: An end is no address.
    """
    ends = " ".join(f"{_address(host)} {port}" for host, port in (client, server))
    return hmac.digest(token.encode(), f"vibe proof 1 {nonce} {ends}".encode(), "sha256").hex()


def signed_in(token: str, *, proves: bool = True) -> Callable[[R], R]:
    """Make the `auth` of a request: the token, which goes over proven connections alone.

    Args:
        token: The service's.
        proves: Whether the service can prove itself. A service that was started by a version which
            did not know of this cannot, and is sent its token as that version did.

    Returns:
        For httpx. A request with it raises `Unavailable` where the other side does not prove itself.
    """

    def sign(request: R) -> R:
        request.headers["Authorization"] = f"Bearer {token}"
        if proves:
            request.extensions = {**request.extensions, "trace": traced}
        return request

    async def traced(event: str, info: dict[str, Any]) -> None:
        if event == _CONNECTED:
            await prove(info["return_value"], token)

    return sign


async def prove(stream: Stream, token: str) -> None:
    """Have the other side of a new connection prove that it knows the token; close it where it does not.

    Raises:
        Unavailable: It does not prove it.
    """
    proven = False
    try:
        async with asyncio.timeout(_SECONDS):
            proven = await _proves(stream, token)
    except TimeoutError as error:
        raise Unavailable("A service of the workspace does not answer in time.", "unreachable") from error
    finally:
        if not proven:
            await stream.aclose()
    if not proven:
        raise Unavailable(
            "What answers at the port of a service of the workspace does not prove that it is the service,"
            " so it was told nothing: restart the workspace.",
            "not_proven",
        )


async def _proves(stream: Stream, token: str) -> bool:
    nonce = secrets.token_hex(32)
    ends = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
    await stream.write(f"GET {PATH}?nonce={nonce} HTTP/1.1\r\nHost: service\r\n\r\n".encode())
    answer = b""
    while not _is_whole(answer):
        if len(answer) > _LARGEST or not (piece := await stream.read(_LARGEST)):
            return False
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return False
    client, server = ((str(end[0]), int(end[1])) for end in ends)
    try:
        given = json.loads(body)["proof"]
        return hmac.compare_digest(given.encode(), proof_of(token, nonce, client, server).encode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _is_whole(answer: bytes) -> bool:
    """Whether an answer has come to its end; nothing comes behind it, since nothing else was asked."""
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(gap) and (length is None or len(body) >= int(length[1]))


def _address(host: str) -> str:
    found = ipaddress.ip_address(host.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)
