"""Providers of models: the one of the environment, keys that are rotated, and what a gateway is handed."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from vibe_app.accounts.roles import Actor, UserRole
from vibe_app.configuration.kept import everything
from vibe_app.configuration.keyring import Keyring
from vibe_app.configuration.providers import Providers
from vibe_app.configuration.rotation import rotate
from vibe_app.configuration.schemas import NewProvider, ProviderPatch
from vibe_app.db import Database
from vibe_app.errors import Conflict
from vibe_app.settings import load_settings

ADMIN = Actor(uuid4(), UserRole.ADMIN, "ada@example.org", "Ada")
KEY = "sk-0123456789abcdef"


def house(provider: str = "house") -> NewProvider:
    return NewProvider(
        id=provider, name="House", kind="anthropic", base_url="http://models.lan/v1", key=KEY, models=["one"]
    )


def providers(database: Database, data: Path, *keys: str, **settings: str) -> Providers:
    return Providers(database, Keyring(keys or ("key",)), load_settings(data=data, **settings))


async def test_the_one_of_the_environment_is_shown_and_cannot_be_changed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "another, which nobody asked for")
    await providers(database, tmp_path).add(ADMIN, house("anthropic"))
    fixed = providers(database, tmp_path, model="anthropic/claude-sonnet-4-5")
    (view,) = await fixed.list(ADMIN)
    assert (view.name, view.of_environment, view.has_key) == ("Anthropic", True, True)
    assert (view.base_url, view.models) == ("https://api.anthropic.com/v1", ["claude-sonnet-4-5"])
    (handed,) = await fixed.for_gateway()
    assert (handed.dialect, handed.key, handed.catalogue) == ("anthropic", KEY, "anthropic")
    with pytest.raises(Conflict, match="environment"):
        await fixed.change(ADMIN, "anthropic", ProviderPatch(name="Mine"))
    with pytest.raises(Conflict, match="environment"):
        await fixed.remove(ADMIN, "anthropic")
    with pytest.raises(Conflict, match="environment"):
        await fixed.give_key("anthropic", "mine")
    assert KEY not in repr(handed) + repr(view) + repr(house())


async def test_an_endpoint_of_ones_own_has_no_price_but_a_key(database: Database, tmp_path: Path) -> None:
    own = providers(
        database, tmp_path, model="openai/local", model_base_url="http://127.0.0.1:1/v1", model_api_key=KEY
    )
    (handed,) = await own.for_gateway()
    assert (handed.id, handed.dialect, handed.base_url) == ("openai", "openai", "http://127.0.0.1:1/v1")
    assert (handed.key, handed.catalogue) == (KEY, "")
    assert handed.models == ("local",)
    assert await providers(database, tmp_path).for_gateway() == ()


async def test_keys_of_providers_are_put_under_a_new_key_too(database: Database, tmp_path: Path) -> None:
    old = providers(database, tmp_path, "old")
    await old.add(ADMIN, house())
    await old.add(ADMIN, NewProvider(id="open", name="Open", kind="openai", base_url="http://open.lan/v1"))
    assert (await rotate(database, Keyring(["new", "old"]))).count == 1
    handed = await providers(database, tmp_path, "new").for_gateway()
    assert {each.id: each.key for each in handed} == {"house": KEY, "open": ""}
    assert {each.id: each.key for each in await old.for_gateway()} == {"house": "", "open": ""}
    async with database.transaction() as db:
        (kept,) = await everything(db)
        assert kept.place == "provider/house"
        await kept.remove(db)
    views = await old.list(ADMIN)
    assert [view.has_key for view in views] == [False, False]


async def test_a_gateway_is_told_which_models_may_be_asked(database: Database, tmp_path: Path) -> None:
    ours = providers(database, tmp_path)
    await ours.add(ADMIN, house())
    assert [each.models for each in await ours.for_gateway()] == [("one",)]
    await ours.change(ADMIN, "house", ProviderPatch(models=[]))
    assert [each.models for each in await ours.for_gateway()] == [()]
