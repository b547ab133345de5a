"""Who may open the pages' socket."""

from __future__ import annotations

import pytest

from vibe_app.vibe_app import app
from vibe_app.web.auth import is_own_origin


def test_the_socket_asks_whether_the_origin_is_its_own():
    assert app.sio is not None
    assert app.sio.eio.cors_allowed_origins is is_own_origin


@pytest.mark.parametrize(
    ("origin", "headers", "own"),
    [
        ("http://127.0.0.1:8000", {"HTTP_HOST": "127.0.0.1:8000"}, True),
        ("https://board.example.org", {"HTTP_HOST": "board.example.org"}, True),
        (
            "https://board.example.org",
            {"HTTP_HOST": "10.0.0.7:8000", "HTTP_X_FORWARDED_HOST": "board.example.org"},
            True,
        ),
        (None, {"HTTP_HOST": "127.0.0.1:8000"}, True),
        ("http://127.0.0.1:9999", {"HTTP_HOST": "127.0.0.1:8000"}, False),
        ("http://evil.example", {"HTTP_HOST": "127.0.0.1:8000"}, False),
        ("null", {"HTTP_HOST": "127.0.0.1:8000"}, False),
    ],
)
def test_a_page_of_another_origin_is_none_of_ours(origin, headers, own):
    assert is_own_origin(origin, headers) is own
