"""What a workspace's gateway may ask and let pass: the installation's providers, and the network."""

from __future__ import annotations

from vibe_app.configuration.providers import Providers
from vibe_app.networks import reach
from vibe_app.settings import Settings
from vibe_app.wire.gateway import Network, Provider
from vibe_app.workspaces.runtimes.base import Endpoint

REHEARSAL = "rehearsal"
# The sidecar's port in a pod, whose containers share an address.
_BESIDE = "http://127.0.0.1:3003"


class ModelAccess:
    """What the gateways of this installation are handed.

    Args:
        providers: Those that are kept, and the one of the environment.
        settings: Say whether the rehearsal model answers, and where workspaces live.
    """

    def __init__(self, providers: Providers, settings: Settings) -> None:
        self._providers = providers
        self._settings = settings

    async def providers(self, endpoint: Endpoint) -> tuple[Provider, ...]:
        """Return the providers that a workspace's gateway may ask, with their keys.

        Args:
            endpoint: The workspace; its sidecar answers as the rehearsal model.

        Raises:
            Unavailable: The database does not answer.
        """
        kept = await self._providers.for_gateway()
        if not self._settings.rehearsal:
            return kept
        beside = _BESIDE if self._settings.runtime == "kubernetes" else endpoint.url
        rehearsal = Provider(
            id=REHEARSAL,
            dialect="openai",
            base_url=f"{beside}/rehearsal/v1",
            key=endpoint.rehearsal_key,
            free=True,
        )
        return (rehearsal, *(each for each in kept if each.id != REHEARSAL))

    def network(self, own: str | None) -> Network:
        """Return where the commands of a workspace's agent may go.

        Args:
            own: The project's own rule; None for the installation's.
        """
        policy, hosts = reach(self._settings.network if own is None else own)
        return Network(policy=policy, hosts=hosts)
