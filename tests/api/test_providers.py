"""Providers of models over the API: for admins, and a key goes in and never out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import update

from tests.api.conftest import Board
from vibe_app.configuration.models import Provider
from vibe_app.wire import gateway
from vibe_app.wiring import services

KEY = "sk-0123456789abcdef"
HOUSE = {
    "id": "house",
    "name": "  Our own\tmodels ",
    "kind": "openai",
    "base_url": "http://10.1.2.3:11434/v1/",
    "key": KEY,
    "models": ["qwen3-coder", "llama", "llama"],
}


async def made(board: Board, **change: Any) -> httpx.Response:
    return await board.admin.post("/providers", json=HOUSE | change)


async def handed_out() -> dict[str, gateway.Provider]:
    return {provider.id: provider for provider in await services().providers.for_gateway()}


async def test_a_provider_is_kept_changed_and_forgotten_and_its_key_never_shown(board: Board) -> None:
    answer = await made(board)
    assert answer.status_code == 201
    view = answer.json()
    assert view.pop("updated_at").endswith("Z")
    assert view == {
        "id": "house",
        "name": "Our own models",
        "kind": "openai",
        "base_url": "http://10.1.2.3:11434/v1",
        "has_key": True,
        "models": ["llama", "qwen3-coder"],
        "of_environment": False,
    }
    found = (await handed_out())["house"]
    assert (found.dialect, found.base_url, found.key) == ("openai", "http://10.1.2.3:11434/v1", KEY)
    changed = await board.admin.patch("/providers/house", json={"name": "House", "models": []})
    assert (changed.json()["name"], changed.json()["models"]) == ("House", [])
    assert (await handed_out())["house"].key == KEY
    listed = await board.admin.get("/providers")
    assert listed.json()["total_count"] == 1
    without = await board.admin.patch("/providers/house", json={"key": None})
    assert not without.json()["has_key"]
    assert (await handed_out())["house"].key == ""
    for each in (answer, changed, listed, without, await board.admin.get("/providers/house")):
        assert KEY not in each.text
        assert "key_id" not in each.text
    assert (await board.admin.delete("/providers/house")).status_code == 204
    assert (await board.admin.get("/providers/house")).status_code == 404
    assert await handed_out() == {}
    assert KEY not in repr(found)


async def test_a_key_goes_to_no_other_address_than_it_was_given_for(board: Board) -> None:
    await made(board)
    elsewhere = {"base_url": "https://evil.example.org/v1"}
    refused = await board.admin.patch("/providers/house", json=elsewhere)
    assert (refused.status_code, refused.json()["code"]) == (400, "key_needed")
    same = await board.admin.patch("/providers/house", json={"base_url": HOUSE["base_url"]})
    assert same.status_code == 200
    assert (await handed_out())["house"].key == KEY
    moved = await board.admin.patch("/providers/house", json=elsewhere | {"key": "another"})
    assert moved.status_code == 200
    assert (await handed_out())["house"].key == "another"
    async with services().database.transaction() as db:
        await db.execute(update(Provider).values(base_url="https://elsewhere.example.org/v1"))
    assert (await handed_out())["house"].key == ""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"id": "House"}, "invalid_provider"),
        ({"id": "a/b"}, "invalid_provider"),
        ({"id": ".."}, "invalid_provider"),
        ({"id": "rehearsal"}, "invalid_provider"),
        ({"id": "x" * 65}, "invalid_provider"),
        ({"name": " "}, "invalid_name"),
        ({"kind": "azure"}, "invalid_request"),
        ({"base_url": "https://key@example.org/v1"}, "invalid_address"),
        ({"base_url": "https://example.org/v1?key=1"}, "invalid_address"),
        ({"base_url": "https://example.org/{env:HOME}"}, "invalid_address"),
        ({"base_url": "file:///etc/passwd"}, "invalid_address"),
        ({"base_url": "https:///v1"}, "invalid_address"),
        ({"base_url": "https://[::1/v1"}, "invalid_address"),
        ({"base_url": "https://example.org:99999/v1"}, "invalid_address"),
        ({"base_url": "https://example.org/v1/chat/completions"}, "invalid_address"),
        ({"base_url": "http://169.254.169.254/v1"}, "invalid_address"),
        ({"base_url": "http://[::ffff:169.254.169.254]/v1"}, "invalid_address"),
        ({"base_url": "https://example.org/v1\r\nHost: x"}, "invalid_address"),
        ({"key": ""}, "invalid_key"),
        ({"key": "a\nb"}, "invalid_key"),
        ({"key": "schlüssel"}, "invalid_key"),
        ({"models": ["a b"]}, "invalid_models"),
        ({"models": ["{env:HOME}"]}, "invalid_models"),
        ({"secret": 1}, "invalid_request"),
    ],
)
async def test_what_cannot_be_a_provider_is_refused_in_words(
    board: Board, change: dict[str, Any], code: str
) -> None:
    answer = await made(board, **change)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert KEY not in answer.text
    assert await handed_out() == {}


async def test_a_refused_key_is_not_repeated(board: Board) -> None:
    for body in ({"key": KEY + "\n" + KEY}, {"key": [KEY]}, {"key": KEY + "ü", "base_url": "x"}):
        answer = await made(board, **body)
        assert answer.status_code == 400
        assert KEY not in answer.text


async def test_providers_are_for_admins(board: Board) -> None:
    await made(board)
    for role in ("owner", "editor", "viewer", "stranger"):
        client = board.clients[role]
        for answer in (
            await client.get("/providers"),
            await client.get("/providers/house"),
            await client.post("/providers", json=HOUSE | {"id": "mine"}),
            await client.patch("/providers/house", json={"name": "Mine"}),
            await client.delete("/providers/house"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "not_an_admin"), role
    assert (await board.admin.get("/providers")).json()["providers"][0]["name"] == "Our own models"


async def test_a_second_one_of_the_same_id_is_refused(board: Board) -> None:
    await made(board)
    again = await made(board, name="Another")
    assert (again.status_code, again.json()["code"]) == (409, "provider_exists")
    for answer in (
        await board.admin.patch("/providers/nobody", json={"name": "x"}),
        await board.admin.delete("/providers/nobody"),
        await board.admin.delete("/providers/..%2Fusers"),
    ):
        assert answer.status_code == 404
