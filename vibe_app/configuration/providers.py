"""Providers of models: those that admins keep, and the one of the environment, which nobody changes.

A key is bound to its provider's id and address: an address that is changed in the database has no key,
and over the doors it is changed only together with the key.
"""

from __future__ import annotations

import logging

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from vibe_app.accounts.roles import Actor
from vibe_app.catalogue import BASE_URLS, DIALECTS, catalogue
from vibe_app.configuration.keyring import Keyring, Purpose, Sealed, Unreadable
from vibe_app.configuration.models import Provider
from vibe_app.configuration.schemas import NewProvider, ProviderPatch, ProviderView, clean_key
from vibe_app.db import Database, Transaction, rows_changed
from vibe_app.errors import Conflict, InvalidRequest, NotFound
from vibe_app.settings import Settings
from vibe_app.wire import gateway, now

log = logging.getLogger(__name__)

TOPIC = "providers"
"""Announced when what `for_gateway` returns may have changed."""
_OF_ENVIRONMENT = "This provider is set by the server's environment: change VIBE_MODEL there."


def identity(provider: str, base_url: str) -> str:
    """Return what a provider's key is bound to."""
    return f"{provider} {base_url}"


class Providers:
    """The verbs of providers.

    Args:
        database: Where they are kept.
        keyring: What their keys are sealed with.
        settings: Says the one of the environment.
    """

    def __init__(self, database: Database, keyring: Keyring, settings: Settings) -> None:
        self._database = database
        self._keyring = keyring
        self._fixed = _of_environment(settings)

    async def list(self, actor: Actor) -> list[ProviderView]:
        """Return all of them, by id; one of the environment in place of what is kept under its id.

        Raises:
            Forbidden: The asker is no admin.
        """
        actor.need_admin()
        async with self._database.read() as db:
            rows = await db.scalars(select(Provider))
            found = {row.id: _view(row) for row in rows}
        if (fixed := self._fixed) is not None:
            found[fixed.id] = self._fixed_view(fixed)
        return [found[name] for name in sorted(found)]

    async def read(self, actor: Actor, provider: str) -> ProviderView:
        """Return one.

        Raises:
            Forbidden: The asker is no admin.
            NotFound: There is none of this id.
        """
        for view in await self.list(actor):
            if view.id == provider:
                return view
        raise _unknown()

    async def add(self, actor: Actor, new: NewProvider) -> ProviderView:
        """Keep a provider.

        Raises:
            Forbidden: The asker is no admin.
            Conflict: There is one of this id.
        """
        actor.need_admin()
        self._need_ours(new.id)
        row = Provider(id=new.id, name=new.name, kind=new.kind, base_url=new.base_url, models=new.models)
        if new.key is not None:
            self._seal(row, new.key)
        try:
            async with self._database.transaction() as db:
                db.add(row)
                db.announce(TOPIC)
        except IntegrityError:
            raise Conflict("There is a provider of this id already.", "provider_exists") from None
        return _view(row)

    async def change(self, actor: Actor, provider: str, patch: ProviderPatch) -> ProviderView:
        """Change what is given of a provider.

        Raises:
            Forbidden: The asker is no admin.
            NotFound: There is none of this id.
            Conflict: It is of the environment.
            InvalidRequest: It has a key, which would go to another address without being given again.
        """
        actor.need_admin()
        self._need_ours(provider)
        given = patch.given()
        async with self._database.transaction() as db:
            row = await self._locked(db, provider)
            moved = given.get("base_url", row.base_url) != row.base_url
            if moved and row.key_id is not None and "key" not in given:
                raise InvalidRequest(
                    "A key is sent to the address that it was given for. Give the key again, together with "
                    "the new address, or null to take it away.",
                    "key_needed",
                )
            for name in ("name", "base_url", "models"):
                if name in given:
                    setattr(row, name, given[name])
            if "key" in given:
                self._seal(row, given["key"])
            row.updated_at = now()
            db.announce(TOPIC)
            await db.flush()
        return _view(row)

    async def remove(self, actor: Actor, provider: str) -> None:
        """Forget a provider and its key.

        Raises:
            Forbidden: The asker is no admin.
            NotFound: There is none of this id.
            Conflict: It is of the environment.
        """
        actor.need_admin()
        self._need_ours(provider)
        async with self._database.transaction() as db:
            done = await db.execute(delete(Provider).where(col(Provider.id) == provider))
            if rows_changed(done) != 1:
                raise _unknown()
            db.announce(TOPIC)

    async def give_key(self, provider: str, key: str) -> None:
        """Keep a provider's key in place of the one before; for whoever has the installation in hand.

        Raises:
            NotFound: There is none of this id.
            Conflict: It is of the environment.
            InvalidRequest: The key cannot be one.
        """
        self._need_ours(provider)
        async with self._database.transaction() as db:
            row = await self._locked(db, provider)
            self._seal(row, clean_key(key))
            row.updated_at = now()
            db.announce(TOPIC)
            await db.flush()

    async def for_gateway(self) -> tuple[gateway.Provider, ...]:
        """Return every provider with its key, for a workspace's gateway and for nobody else.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._database.read() as db:
            rows = list(await db.scalars(select(Provider).order_by(col(Provider.id))))
        fixed = () if self._fixed is None else (self._fixed,)
        ours = (self._opened(row) for row in rows if self._fixed is None or row.id != self._fixed.id)
        return (*fixed, *ours)

    def _opened(self, row: Provider) -> gateway.Provider:
        key = ""
        if row.key_id is not None and row.data is not None:
            try:
                sealed = Sealed(row.key_id, row.data)
                key = self._keyring.open(Purpose.PROVIDER, identity(row.id, row.base_url), sealed)
            except Unreadable:
                log.warning("the key of provider %s cannot be read, and is not used: give it again", row.id)
        return _for_gateway(row.id, row.base_url, key, row.kind, row.models)

    def _seal(self, row: Provider, key: str | None) -> None:
        if key is None:
            row.key_id = row.data = None
            return
        sealed = self._keyring.seal(Purpose.PROVIDER, identity(row.id, row.base_url), key)
        row.key_id, row.data = sealed.key_id, sealed.data

    async def _locked(self, db: Transaction, provider: str) -> Provider:
        row = await db.get(Provider, provider, with_for_update=True)
        if row is None:
            raise _unknown()
        return row

    def _need_ours(self, provider: str) -> None:
        if self._fixed is not None and provider == self._fixed.id:
            raise Conflict(_OF_ENVIRONMENT, "of_environment")

    def _fixed_view(self, fixed: gateway.Provider) -> ProviderView:
        return ProviderView(
            id=fixed.id,
            name=catalogue().names.get(fixed.catalogue, fixed.id),
            kind=fixed.dialect,
            base_url=fixed.base_url,
            has_key=bool(fixed.key),
            models=list(fixed.models),
            of_environment=True,
            updated_at=None,
        )


def _of_environment(settings: Settings) -> gateway.Provider | None:
    if settings.rehearsal:
        return None
    provider, _, model = settings.model.partition("/")
    if settings.model_base_url:
        return _for_gateway(provider, settings.model_base_url, settings.model_key, "openai", [model])
    kind = DIALECTS.get(provider, "openai")
    return _for_gateway(provider, BASE_URLS[provider], settings.model_key, kind, [model])


def _for_gateway(provider: str, base_url: str, key: str, kind: str, models: list[str]) -> gateway.Provider:
    # What a provider's models cost is known where it is asked itself, and not where something else is.
    prices = next((name for name, known in BASE_URLS.items() if known == base_url), "")
    return gateway.Provider.model_validate(
        {
            "id": provider,
            "dialect": kind,
            "base_url": base_url,
            "key": key,
            "catalogue": prices,
            "models": models,
        }
    )


def _view(row: Provider) -> ProviderView:
    return ProviderView.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "kind": row.kind,
            "base_url": row.base_url,
            "has_key": row.key_id is not None,
            "models": row.models,
            "of_environment": False,
            "updated_at": row.updated_at,
        }
    )


def _unknown() -> NotFound:
    return NotFound("There is no such provider.", "provider_not_found")
