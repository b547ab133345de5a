"""Where the commands of a project's agent may go: kept by owners, checked, told to the gateway."""

from __future__ import annotations

import pytest

from tests.api.conftest import Board
from vibe_app.networks import reach


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("open", "open"),
        (" Closed ", "closed"),
        ("Example.org, *.example.org\nexample.org:8443", "example.org, *.example.org, example.org:8443"),
        ("example.org example.org", "example.org"),
        ("", "closed"),
    ],
)
async def test_an_owner_says_where_commands_may_go(board: Board, given: str, kept: str) -> None:
    answer = await board.owner.patch(board.path, json={"network": given})
    assert (answer.status_code, answer.json()["network"], answer.json()["network_in_force"]) == (
        200,
        kept,
        kept,
    )
    answer = await board.owner.patch(board.path, json={"network": None})
    assert (answer.json()["network"], answer.json()["network_in_force"]) == (None, "closed")


@pytest.mark.parametrize(
    "given", ["http://example.org", "a b/c", "example.org:99999", "*", "-", "a," * 100 + "??"]
)
async def test_what_is_no_host_is_refused_and_changes_nothing(board: Board, given: str) -> None:
    assert (await board.owner.patch(board.path, json={"network": "open"})).status_code == 200
    answer = await board.owner.patch(board.path, json={"network": given, "name": "Changed"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_network")
    found = (await board.owner.get(board.path)).json()
    assert (found["network"], found["name"] == "Changed") == ("open", False)


async def test_only_owners_say_it(board: Board) -> None:
    for client, status in (
        (board.editor, 403),
        (board.viewer, 403),
        (board.stranger, 403),
        (board.nobody, 401),
    ):
        assert (await client.patch(board.path, json={"network": "open"})).status_code == status


def test_too_many_hosts_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 200"):
        reach(" ".join(f"h{number}.example.org" for number in range(201)))
