"""Who may open the pages' socket, and what its first packet brings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.web.conftest import Tab
from vibe_app.accounts.service import Grant
from vibe_app.vibe_app import app
from vibe_app.web.handshake import is_own_origin
from vibe_app.wiring import Services


def test_the_socket_asks_whether_the_origin_is_its_own():
    assert app.sio is not None
    assert app.sio.eio.cors_allowed_origins is is_own_origin


@pytest.mark.parametrize(
    ("origin", "headers", "own"),
    [
        ("http://127.0.0.1:8000", {"HTTP_HOST": "127.0.0.1:8000"}, True),
        ("http://board.example.org", {"HTTP_HOST": "board.example.org:80"}, True),
        (
            "https://board.example.org",
            {"HTTP_HOST": "board.example.org", "HTTP_X_FORWARDED_PROTO": "https"},
            True,
        ),
        ("https://board.example.org", {"HTTP_HOST": "board.example.org"}, False),
        (
            "https://board.example.org",
            {
                "HTTP_HOST": "10.0.0.7:8000",
                "HTTP_X_FORWARDED_HOST": "board.example.org",
                "HTTP_X_FORWARDED_PROTO": "https",
            },
            True,
        ),
        (None, {"HTTP_HOST": "127.0.0.1:8000"}, True),
        ("http://127.0.0.1:9999", {"HTTP_HOST": "127.0.0.1:8000"}, False),
        ("http://evil.example", {"HTTP_HOST": "127.0.0.1:8000"}, False),
        ("null", {"HTTP_HOST": "127.0.0.1:8000"}, False),
        ("http://127.0.0.1:8000", {}, False),
    ],
)
async def test_a_page_of_another_origin_is_none_of_ours(parts: Services, origin, headers, own):
    assert is_own_origin(origin, headers) is own


@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_the_scheme_is_that_of_the_connection(parts: Services, scheme):
    handshake = {"HTTP_HOST": "board.example.org", "asgi.scope": {"scheme": scheme}}
    assert is_own_origin("https://board.example.org", handshake)
    assert not is_own_origin("http://board.example.org", handshake)


@pytest.mark.parametrize("place", ["header", "packet"])
async def test_the_cookie_of_the_handshake_counts_beside_the_key(
    processor: dict[str, Tab], logins: dict[str, Grant], place: str
):
    login = logins["owner"]
    for key, known in ((login.key, True), ("", False), (logins["viewer"].key, False), (login.cookie, False)):
        tab = Tab(replace(login, key=key if place == "header" else ""), "/settings")
        processor[tab.sid] = tab
        await tab.connect(first={"key": key} if place == "packet" else None)
        await tab.call("RailState.load")
        assert (tab.var("RailState", "person") == "Owner") is known, key
        assert ("/login" in tab.told) is not known
        if key:
            assert key not in str(tab.deltas), "the key was sent back"
        await tab.disconnect()
