"""The agent's way out: what it lets pass, and what it refuses in spite of every trick."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import free_port
from vibe_app import networks
from vibe_app.workspace_services.gateway import proxy as proxies
from vibe_app.workspace_services.gateway.proxy import Proxy, Refused, parse

NAMES = {
    "public.example": ["203.0.113.7"],
    "files.example": ["203.0.113.7"],
    "inward.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "six.example": ["fd00::1"],
    "mixed.example": ["127.0.0.1", "203.0.113.7"],
}


class Site:
    """What stands in for the public internet: one server, on loopback, that says what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[bytes] = []
        self.connections = 0
        self.open = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while piece := await reader.read(65536):
                self.asked.append(piece)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Names lead where `NAMES` says, and 203.0.113.7 is public and leads to the site."""
    found = Site()
    server = await asyncio.start_server(found.accept, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    lookups: list[str] = []

    async def resolve(host: str, port: int) -> list[networks.Number]:
        lookups.append(host)
        if host not in NAMES:
            return [ipaddress.ip_address(host)]
        return [ipaddress.ip_address(number) for number in NAMES[host]]

    real = asyncio.open_connection

    async def connect(host: str, port: int, **more: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert host == "203.0.113.7", f"{host} was to be reached"
        reader, writer = await real("127.0.0.1", found.port, **more)
        monkeypatch.setattr(
            writer, "get_extra_info", lambda name, default=None: ("a", 1) if name == "sockname" else ("b", 1)
        )
        return reader, writer

    allowed = networks.is_allowed
    monkeypatch.setattr(
        networks, "is_allowed", lambda number: str(number) == "203.0.113.7" or allowed(number)
    )
    monkeypatch.setattr(proxies, "resolve", resolve)
    monkeypatch.setattr(proxies.asyncio, "open_connection", connect)
    found.lookups = lookups  # type: ignore[attr-defined]
    yield found
    server.close()


@asynccontextmanager
async def proxying(policy: str = "open", *hosts: str, idle: float = 60.0) -> AsyncIterator[int]:
    """Run a proxy; yields its port."""
    proxy, port = Proxy(idle), free_port()
    proxy.policy = policy  # type: ignore[assignment]
    proxy.hosts = hosts
    await proxy.open("127.0.0.1", port)
    try:
        yield port
    finally:
        await proxy.close()


async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await _real_connect("127.0.0.1", port)


_real_connect = asyncio.open_connection


async def said(port: int, request: bytes) -> bytes:
    """Send a request and return all that comes, to the connection's end."""
    reader, writer = await dial(port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_a_tunnel_passes_bytes_both_ways_until_an_end(site: Site) -> None:
    async with proxying() as port:
        reader, writer = await dial(port)
        writer.write(
            b"CONNECT public.example:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        for number in range(3):
            writer.write(b"\x16\x03 %d" % number)
            assert (await reader.readexactly(40)).endswith(b"hi")
        assert b"".join(site.asked) == b"\x16\x03 0\x16\x03 1\x16\x03 2"
        writer.close()
        await eventually(lambda: site.open == 0)


async def test_a_plain_request_is_sent_on_without_what_is_the_proxy_s(site: Site) -> None:
    async with proxying("listed", "public.example") as port:
        request = (
            b"GET http://Public.Example/a%20b?c=d#e HTTP/1.1\r\nHost: elsewhere.example\r\nAccept: */*\r\n"
            b"Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\r\n"
        )
        reader, writer = await dial(port)
        writer.write(request)
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert site.asked == [
        b"GET /a%20b?c=d HTTP/1.1\r\nHost: public.example\r\nConnection: close\r\nAccept: */*\r\n\r\n"
    ]


@pytest.mark.parametrize(
    ("policy", "hosts", "target", "reason"),
    [
        ("closed", (), "public.example:443", "network is closed"),
        ("closed", ("public.example",), "public.example:443", "network is closed"),
        ("listed", (), "public.example:443", "not among the hosts"),
        ("listed", ("files.example",), "public.example:443", "not among the hosts"),
        ("listed", ("public.example",), "public.example:22", "not among the hosts"),
        ("listed", ("*.example",), "203.0.113.7:443", "not among the hosts"),
        ("listed", ("public.example",), "evil.public.example:443", "not among the hosts"),
        ("listed", ("inward.example",), "inward.example:443", "private address"),
    ],
)
async def test_what_the_project_does_not_allow_is_refused_with_a_sentence(
    site: Site, policy: str, hosts: tuple[str, ...], target: str, reason: str
) -> None:
    async with proxying(policy, *hosts) as port:
        answer = await said(port, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 Forbidden")
        assert reason in answer.decode()
        plain = await said(port, f"GET http://{target}/ HTTP/1.1\r\n\r\n".encode())
        assert reason in plain.decode()
    assert site.connections == 0


@pytest.mark.parametrize("host", ["inward.example", "metadata.example", "mapped.example", "six.example"])
@pytest.mark.parametrize("policy", ["open", "listed"])
async def test_a_name_that_leads_to_a_private_address_is_refused(site: Site, host: str, policy: str) -> None:
    async with proxying(policy, host) as port:
        for request in (f"CONNECT {host}:443", f"GET http://{host}/"):
            answer = await said(port, f"{request} HTTP/1.1\r\n\r\n".encode())
            assert b"403" in answer.split(b"\r\n")[0]
            assert b"leads to a private address" in answer
    assert site.connections == 0


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "0.0.0.0", "10.1.1.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
        *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]"),
        "168.63.129.16",
    ],
)
async def test_a_private_address_itself_is_refused(site: Site, number: str) -> None:
    async with proxying() as port:
        answer = await said(port, f"CONNECT {number}:443 HTTP/1.1\r\n\r\n".encode())
        assert b"leads to a private address" in answer
    assert site.connections == 0


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433", "0", "017700000001"])
async def test_however_this_machine_is_written_it_is_not_reached(host: str) -> None:
    """With the system's own look-up, which understands all of these."""
    async with proxying() as port:
        answer = await said(port, f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 502", b"HTTP/1.1 400"))


async def test_a_name_is_looked_up_once_and_only_public_numbers_of_it_are_reached(site: Site) -> None:
    async with proxying() as port:
        reader, writer = await dial(port)
        writer.write(b"CONNECT mixed.example:443 HTTP/1.1\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert site.lookups == ["mixed.example"]  # type: ignore[attr-defined]
    assert site.connections == 1


async def test_a_public_address_of_this_very_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    monkeypatch.setattr(networks, "is_allowed", lambda number: True)
    async with proxying() as port:
        target = server.sockets[0].getsockname()[1]
        answer = await said(port, f"CONNECT 127.0.0.1:{target} HTTP/1.1\r\n\r\n".encode())
        assert b"leads to this machine" in answer
    server.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"nonsense",
        b"GET / HTTP/1.1",
        b"GET https://public.example/ HTTP/1.1",
        b"GET ftp://public.example/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http://public.example:0/ HTTP/1.1",
        b"GET http://public.example:99999/ HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"GET http://\xff/ HTTP/1.1",
        b"CONNECT public.example HTTP/1.1",
        b"CONNECT public.example:70000 HTTP/1.1",
        b"CONNECT public.example:443 HTTP/2",
        b"CONNECT a b:443 HTTP/1.1",
        b"connect public.example:443 HTTP/1.1",
        b"\x05\x01\x00",
    ],
)
async def test_what_is_no_request_to_a_proxy_is_told_so(site: Site, request_line: bytes) -> None:
    async with proxying() as port:
        answer = await said(port, request_line + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
    assert site.connections == 0


def test_a_line_within_a_header_is_refused() -> None:
    with pytest.raises(Refused, match="odd way"):
        parse(b"GET http://a.example/ HTTP/1.1\r\nA: b\nHost: c\r\n\r\n")


async def test_a_head_without_an_end_is_refused(site: Site) -> None:
    async with proxying() as port:
        reader, writer = await dial(port)
        writer.write(b"GET http://public.example/ HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b"431" in answer.split(b"\r\n")[0]
        writer.close()


async def test_a_connection_on_which_nothing_comes_is_ended(site: Site) -> None:
    async with proxying(idle=0.05) as port:
        reader, writer = await dial(port)
        writer.write(b"CONNECT public.example:443 HTTP/1.1\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await eventually(lambda: site.open == 0)


async def test_connections_are_bounded_and_the_rest_is_told_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "_MOST", 3)
    async with proxying() as port:
        held = [await dial(port) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"CONNECT public.example:443 HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        assert b"503" in await said(port, b"CONNECT public.example:443 HTTP/1.1\r\n\r\n")
        for _, writer in held:
            writer.close()
        await eventually(lambda: site.open == 0)

        async def passes() -> bool:
            reader, writer = await dial(port)
            writer.write(b"CONNECT public.example:443 HTTP/1.1\r\n\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return b"200" in answer

        await eventually(passes)
