"""Addresses that the standard library's parser answers with an exception are no one's own."""

from __future__ import annotations

import pytest

from vibe_app.origins import is_same_origin, own_origin
from vibe_app.workspace_services.session_proxy import allowed

ODD = ["http://[::1", "https://u:p$$@[::1", "http://a]b"]


@pytest.mark.parametrize("address", ODD)
def test_an_origin_that_is_no_address_is_not_the_board_s_own(address: str) -> None:
    assert not is_same_origin(address, own_origin({"host": "board.example"}, "http"))
    assert not is_same_origin(address, own_origin({"host": address.partition("://")[2]}, "http"))


@pytest.mark.parametrize("address", ODD)
def test_an_attachment_that_is_no_address_is_refused(address: str) -> None:
    body = {"parts": [{"type": "file", "url": address}]}
    assert not allowed._is_inside(body["parts"][0]["url"], "/workspace")
