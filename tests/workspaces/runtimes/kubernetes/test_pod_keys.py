"""A repository that a pod reaches by ssh, with a deploy key and a pinned host key.

The pod's user has no name on this machine, as one may have none in an image.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.e2e.installation import PASSWORD, Api, Installation, installed
from tests.keyed import team_server, told
from tests.workspaces.runtimes.kubernetes.kube.agent import NodeAgent
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.containers import why_not
from tests.workspaces.runtimes.kubernetes.kube.houses import KEY
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"NO REAL PODS ON THIS MACHINE: {why_not()}"),
    pytest.mark.timeout(400),
]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeAgent]:
    """A cluster of one node."""
    async with FakeApi() as api, NodeAgent(api, tmp_path / "node", load_settings().opencode_binary) as node:
        yield node


@pytest.fixture
async def board(tmp_path: Path, migrated: Path, node: NodeAgent) -> AsyncIterator[Installation]:
    """A server whose workspaces are pods, which may reach this machine's end of their bridge."""
    environment = {
        "VIBE_RUNTIME": "kubernetes",
        "VIBE_KUBERNETES_CONFIG": str(node.api.kubeconfig(tmp_path)),
        "VIBE_SECRET_KEY": KEY,
        "OPENCODE_SERVER_IMAGE": "registry.example.org/vibe:1",
        "VIBE_REPOSITORY_NETWORKS": f"{node.subnet}.1/32",
    }
    (tmp_path / "data").mkdir()
    async with installed(tmp_path / "data", migrated, environment) as installation:
        yield installation


async def test_a_pod_clones_fetches_and_pushes_with_a_deploy_key(
    node: NodeAgent, board: Installation, tmp_path: Path
):
    account = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
    anybody = Api(board.url)
    login = await anybody("POST", "/auth/setup", json=account | {"setup_token": board.setup_token})
    await anybody.close()
    api = Api(board.url, login["access_token"])
    with team_server(tmp_path / "team", host=f"{node.subnet}.1") as server:
        project = await told(api, server)
        # No private key has stayed in the volume, which the agent's container has too.
        volume = node.volume(claim_name(UUID(project)))
        kept = [path for path in volume.rglob("*") if path.is_file() and not path.is_symlink()]
        assert kept
        assert not [path for path in kept if b"PRIVATE KEY" in path.read_bytes()]
        await api("DELETE", f"/projects/{project}", params={"confirm": "Keyed"})
    await api.close()
