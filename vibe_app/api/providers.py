"""Routes of the providers of models. For admins; no answer holds a key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.api.schemas import Page, PageSize
from vibe_app.configuration import schemas
from vibe_app.wiring import services

providers = APIRouter(prefix="/providers", tags=["providers"])

_Provider = Annotated[str, Path(description="The provider's id", max_length=200)]


@providers.get("", responses=errors(400))
async def list_providers(actor: Asker, page: Page = 1, page_size: PageSize = 20) -> schemas.ProviderList:
    """List the providers of models, by id, without their keys. For admins."""
    views = await services().providers.list(actor)
    start = (page - 1) * page_size
    return schemas.ProviderList(providers=views[start : start + page_size], total_count=len(views))


@providers.post("", status_code=201, responses=errors(400, 409, 413))
async def create_provider(actor: Asker, body: schemas.NewProvider) -> schemas.ProviderView:
    """Keep a provider. Its key is encrypted, and shown to nobody. For admins."""
    return await services().providers.add(actor, body)


@providers.get("/{provider}", responses=errors(400, 404))
async def read_provider(actor: Asker, provider: _Provider) -> schemas.ProviderView:
    """Return one provider, without its key. For admins."""
    return await services().providers.read(actor, provider)


@providers.patch("/{provider}", responses=errors(400, 404, 409, 413))
async def change_provider(
    actor: Asker, provider: _Provider, body: schemas.ProviderPatch
) -> schemas.ProviderView:
    """Change what is given of a provider. With another address its key must be given again. For admins."""
    return await services().providers.change(actor, provider, body)


@providers.delete("/{provider}", status_code=204, responses=errors(400, 404, 409))
async def delete_provider(actor: Asker, provider: _Provider) -> None:
    """Forget a provider and its key. For admins."""
    await services().providers.remove(actor, provider)
