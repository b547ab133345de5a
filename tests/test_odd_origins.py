"""Addresses that somebody else wrote: such as the parser breaks on, and where a browser may be sent."""

from __future__ import annotations

import pytest

from vibe_app.origins import HOME, is_same_origin, own_origin, page_or_home
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


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("/settings/people", True),
        ("/settings?x=1", True),
        ("/settings/people/../../api", False),
        ("/settings//evil.example", False),
        ("//evil.example", False),
        ("https://evil.example/settings", False),
        ("javascript:alert(1)", False),
        ("/\\evil.example", False),
        ("/api/docs", False),
    ],
)
def test_a_browser_is_sent_back_to_pages_alone(address: str, kept: bool):
    assert page_or_home(address) == (address if kept else HOME)
