"""Addresses that the standard library's parser answers with an exception are no one's own."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from vibe_app.api import access
from vibe_app.sidecar.proxy import allowed
from vibe_app.web import auth

ODD = ["http://[::1", "https://u:p$$@[::1", "http://a]b"]


@pytest.mark.parametrize("address", ODD)
def test_an_origin_that_is_no_address_is_not_the_board_s_own(address: str) -> None:
    headers = [(b"origin", address.encode()), (b"host", b"board.example")]
    assert not access.is_own_origin(Request({"type": "http", "headers": headers}), silent=True)
    assert not auth.is_own_origin(address, {"HTTP_HOST": "board.example"})


@pytest.mark.parametrize("address", ODD)
def test_an_attachment_that_is_no_address_is_refused(address: str) -> None:
    body = {"parts": [{"type": "file", "url": address}]}
    assert not allowed._is_inside(body["parts"][0]["url"], "/workspace")
