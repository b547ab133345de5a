"""Clusters for the tests of runtimes: an API, a node, and the runtime that uses them."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil

from tests.specs import INSTALLATION, spec_of
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.agent import NodeAgent
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.pretend import PretendNode
from vibe_app.settings import Settings, load_settings
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes import manifests, names
from vibe_app.workspaces.runtimes.kubernetes.cluster import Cluster
from vibe_app.workspaces.runtimes.kubernetes.names import pod_name
from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime
from vibe_app.workspaces.states import WorkspaceStatus

KEY = "a key for tests only, thirty-two bytes"


def cluster_settings(api: FakeApi, folder: Path, **more: Any) -> Settings:
    """Settings of an installation that uses this API."""
    given: dict[str, Any] = {
        "data": folder,
        "runtime": "kubernetes",
        "secret_key": KEY,
        "opencode_server_image": "registry.example.org/vibe:1",
        "kubernetes_config": str(api.kubeconfig(folder)),
        "start_timeout": 20,
    }
    return load_settings(**(given | more))


class PretendHouse:
    """The runtime of pods, on a node that pretends. Its API may be repeated for 2 s only."""

    def __init__(self, api: FakeApi, node: PretendNode, folder: Path, **more: Any) -> None:
        self.api = api
        self.node = node
        self.settings = cluster_settings(api, folder, **more)
        self.told: list[tuple[UUID, str, str | None]] = []
        self.endpoints: dict[UUID, Endpoint | None] = {}
        self.troubles: list[tuple[str, bool]] = []
        self.runtime = self.replica()
        self.project = uuid4()

    @property
    def pod(self) -> str:
        """The name of the project's pod."""
        return pod_name(self.project)

    def replica(self) -> KubernetesRuntime:
        """A runtime as another replica of the app has it; what it tells comes to the same list."""
        cluster = Cluster(self.settings.kubernetes_namespace, self.settings.kubeconfig, timeout=2.0)
        return KubernetesRuntime(self.settings, self._on_status, self._on_trouble, pace=0, cluster=cluster)

    async def leave(self, *, labelled: bool = True, installation: UUID = INSTALLATION) -> UUID:
        """Have what an earlier process, or another one, has left of a project of its own: all that there is.

        Args:
            labelled: Whether it says whose it is; earlier versions' did not, and counted no epochs.
            installation: Whose.
        """
        project = uuid4()
        spec = spec_of(project, epoch=1 if labelled else 0)
        left = {
            "persistentvolumeclaims": manifests.claim(project, self.settings, installation),
            "secrets": manifests.secret(spec, installation),
            "pods": manifests.pod(spec, self.settings, installation, pace=0),
        }
        for kind, manifest in left.items():
            if not labelled:
                del manifest["metadata"]["labels"][names.INSTALLATION_LABEL]
                manifest["metadata"]["annotations"] = {}
            self.api.put(kind, manifest)
        name = pod_name(project)
        await eventually(lambda: "podIP" in self.api.objects["pods"][name]["status"])
        return project

    def _on_trouble(self, project_id: UUID, sentence: str, final: bool) -> None:
        self.troubles.append((sentence, final))

    async def kill(self) -> None:
        """Let the pod's containers crash, and its node start them again."""
        await self.node.crash(self.pod)
        self.api.remove("pods", self.pod)

    async def _on_status(
        self, project_id: UUID, status: WorkspaceStatus, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        self.told.append((project_id, status, reason))
        self.endpoints[project_id] = endpoint


@asynccontextmanager
async def pretend_house(folder: Path, *, auto: bool = True, **more: Any) -> AsyncIterator[PretendHouse]:
    """A cluster that pretends, with its runtime not yet open."""
    async with FakeApi() as api, PretendNode(api, auto=auto) as node:
        yield PretendHouse(api, node, folder, **more)


class PodHouse:
    """The runtime of pods, on a node that runs the real processes of each pod."""

    def __init__(self, api: FakeApi, node: NodeAgent, folder: Path, **more: Any) -> None:
        self.api = api
        self.node = node
        # Real processes take their time on a busy machine.
        self.settings = cluster_settings(api, folder, **({"start_timeout": 90} | more))
        self.told: list[tuple[UUID, str, str | None]] = []
        self.endpoints: dict[UUID, Endpoint | None] = {}
        self.runtime = KubernetesRuntime(self.settings, self._on_status, pace=0)
        self.project = uuid4()

    async def _on_status(
        self, project_id: UUID, status: WorkspaceStatus, reason: str | None, endpoint: Endpoint | None
    ) -> None:
        self.told.append((project_id, status, reason))
        self.endpoints[project_id] = endpoint

    async def kill(self) -> None:
        """Kill every process of the pod."""
        pod = self.node.pods[pod_name(self.project)]
        doomed = [pid for container in pod.containers.values() for pid in container.pids()]
        for pid in doomed:
            # What a container runs for a moment may have ended since.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not any(map(psutil.pid_exists, doomed)))


@asynccontextmanager
async def pod_house(folder: Path, opencode: Path, **more: Any) -> AsyncIterator[PodHouse]:
    """A cluster with a node that runs the real processes, with its runtime not yet open."""
    async with FakeApi() as api, NodeAgent(api, folder / "node", opencode) as node:
        yield PodHouse(api, node, folder, **more)
