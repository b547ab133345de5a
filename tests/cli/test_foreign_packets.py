"""What a stranger sends to the real server's socket: no traceback, few lines, and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import websocket

from tests.cli.conftest import Served
from vibe_app.web.packets import MOST_UNKNOWN

JOIN = "40/_event,"
FORGED = "x\n2026-01-01 00:00:00,000 INFO vibe_app: forged"
KEEP = "reflex___state____state.reflex___state____update_vars_internal_state.update_vars_internal"
EDITING = "reflex___state____state.vibe_app___web___components___drawer____drawer_state.editing_rx_state_"
EVENT = '42/_event,["event",{}]'


def event(**parts: object) -> str:
    """Return a packet with one event of a page."""
    return f"42/_event,{json.dumps(['event', parts])}"


KINDS: list[str | bytes] = [
    "x",
    "é",
    "9",
    "4",
    "4x",
    "47",
    "44/_event,",
    "43/_event,1[]",
    "451-/_event,[]",
    "42/_event,",
    "42/_event,7",
    "42/_event,{}",
    "42/_event,[]",
    "42/_event,[[]]",
    '42/_event,["disconnect"]',
    '42/_event,["connect"]',
    '42/_event,["event"]',
    '42/_event,["event","text"]',
    '42/_event,["event",{},{}]',
    '42/_event,["ping",1]',
    '42["event",{}]',
    '42/other,["event",{}]',
    "42/_event," + "[" * 50_000,
    '42/_event,["event",' + "9" * 5000 + "]",
    EVENT,
    event(name=1),
    event(name=FORGED),
    event(name="state.no_such_handler", payload={}),
    event(name="reflex___state____state.setvar", payload={"var_name": "router", "value": 1}),
    event(name="reflex___state____state.hydrate_and_load", payload={"no": "argument"}),
    event(name="reflex___state____state.hydrate_and_load", payload={"vars": 7}),
    event(name="reflex___state____state.hydrate_and_load", payload=[]),
    event(name="reflex___state____state.hydrate_and_load", payload={}, router_data={"pathname": 7}),
    event(name="reflex___state____state.hydrate_and_load", payload={}, router_data={"query": []}),
    event(name=KEEP, payload={"vars": {EDITING: ["x" * 100_000]}}),
    event(name=KEEP, payload={"vars": {EDITING: "x" * 100_000}}),
    event(name=KEEP, payload={"vars": {EDITING: 7}}),
    event(name=KEEP, payload={"vars": {"nosuch.state.x": "1", "": "1"}}),
    event(name="reflex___state____state.hydrate_and_load", payload={"vars": {"nosuch.state.x": "1"}}),
    event(
        name="reflex___state____state.vibe_app___web___components___project_settings____"
        "project_settings_state.set_typed_name",
        payload={"name": "\ud800"},
    ),
    JOIN,
    b"\x00\x01",
]


@contextmanager
def opened(served: Served, token: str = "a-tab") -> Iterator[websocket.WebSocket]:
    """Open a socket as a page does."""
    address = f"{served.url.replace('http', 'ws', 1)}/_event/?EIO=4&transport=websocket&token={token}"
    socket = websocket.create_connection(address, timeout=10, suppress_origin=True)
    try:
        assert str(socket.recv()).startswith("0")
        yield socket
    finally:
        socket.shutdown()


@contextmanager
def joined(served: Served, token: str = "a-tab") -> Iterator[websocket.WebSocket]:
    """Open a socket and join the pages' namespace."""
    with opened(served, token) as socket:
        socket.send(JOIN)
        assert str(socket.recv()).startswith(JOIN)
        yield socket


def answers(socket: websocket.WebSocket) -> bool:
    """Tell whether the server still answers a page's question on this socket."""
    with suppress(websocket.WebSocketException, OSError):
        socket.send('42/_event,["ping"]')
        while (said := socket.recv()) != "":
            if "pong" in str(said):
                return True
    return False


def send(socket: websocket.WebSocket, message: str | bytes) -> None:
    """Send a message, also to a socket that was closed meanwhile."""
    with suppress(websocket.WebSocketException, OSError):
        socket.send_binary(message) if isinstance(message, bytes) else socket.send(message)


@pytest.mark.parametrize("join", [True, False], ids=["a tab", "before its greeting"])
async def test_no_kind_of_message_breaks_a_handler_or_fills_the_log(served: Served, join: bool) -> None:
    with joined(served, "another-tab") as other:
        for kind in KINDS:
            if kind == JOIN and not join:
                continue
            with joined(served) if join else opened(served) as socket:
                for _ in range(MOST_UNKNOWN - 1):
                    send(socket, kind)
                assert answers(socket) is join, kind
        assert answers(other)
    said = log_of(served)
    assert "Traceback" not in said
    assert "forged" not in said
    assert 1 <= sum("no page sends" in line for line in said.splitlines()) <= 20
    assert len(said.splitlines()) < 40, said


async def test_a_socket_that_goes_on_with_it_is_closed(served: Served) -> None:
    with joined(served) as socket, joined(served, "another-tab") as other:
        for _ in range(300):
            send(socket, EVENT)
        assert not answers(socket)
        assert answers(other)
    assert "Traceback" not in log_of(served)


async def test_greetings_that_are_no_page_s(served: Served) -> None:
    for greeting in ("[]", '"x"', '{"event":7}', '{"event":{"name":"x"}}', '{"state_schema":["x"]}'):
        with opened(served) as socket:
            for _ in range(MOST_UNKNOWN - 1):
                send(socket, JOIN + greeting)
            assert not answers(socket), greeting
    with opened(served, token="") as nobody:
        for _ in range(MOST_UNKNOWN - 1):
            send(nobody, JOIN)
        assert not answers(nobody)
    assert "Traceback" not in log_of(served)


async def test_a_tab_of_another_version_is_told_so_whatever_it_asks_for(served: Served) -> None:
    greeting = {"event": {"name": "state.gone", "payload": {}}, "state_schema": "of-another-version"}
    with opened(served) as socket:
        socket.send(JOIN + json.dumps(greeting))
        said = [str(socket.recv()) for _ in range(2)]
        assert any("mismatch" in each for each in said), said
    assert "Traceback" not in log_of(served)


def log_of(served: Served) -> str:
    """End the server and return what it had said."""
    served.process.terminate()
    return served.process.communicate(timeout=15)[0]
