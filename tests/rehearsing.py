"""What the engine does before a session, for tests that speak to a workspace without one."""

from __future__ import annotations

from vibe_app.clients.gateway import GatewayClient
from vibe_app.wire.gateway import Budget, Configuration, Provider
from vibe_app.workspaces.runtimes.base import Endpoint


async def let_rehearse(endpoint: Endpoint, beside: str = "") -> None:
    """Tell a workspace's gateway of the rehearsal model, for whoever asks.

    Args:
        endpoint: The workspace.
        beside: Where the gateway finds the sidecar; by default where everybody does.
    """
    rehearsal = Provider(
        id="rehearsal",
        dialect="openai",
        base_url=f"{beside or endpoint.url}/rehearsal/v1",
        key=endpoint.rehearsal_key,
        free=True,
    )
    async with GatewayClient() as client:
        await client.configure(endpoint, Configuration(providers=(rehearsal,), talks=Budget()))
