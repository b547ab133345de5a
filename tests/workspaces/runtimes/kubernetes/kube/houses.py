"""Clusters for the tests of runtimes: an API, a node, and the runtime that uses them."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil

from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.agent import NodeAgent
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.pretend import PretendNode
from vibe_app.settings import Settings, load_settings
from vibe_app.workspaces.runtimes.kubernetes.cluster import Cluster
from vibe_app.workspaces.runtimes.kubernetes.manifests import pod_name
from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime

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
        self.troubles: list[str] = []
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

    def _on_trouble(self, project_id: UUID, sentence: str) -> None:
        self.troubles.append(sentence)

    async def kill(self) -> None:
        """Let the pod's containers crash, and its node start them again."""
        await self.node.crash(self.pod)
        self.api.remove("pods", self.pod)

    async def _on_status(self, project_id: UUID, status: str, reason: str | None) -> None:
        self.told.append((project_id, status, reason))


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
        self.runtime = KubernetesRuntime(self.settings, self._on_status, pace=0)
        self.project = uuid4()

    async def _on_status(self, project_id: UUID, status: str, reason: str | None) -> None:
        self.told.append((project_id, status, reason))

    async def kill(self) -> None:
        """Kill every process of the pod."""
        pod = self.node.pods[pod_name(self.project)]
        doomed = [pid for container in pod.containers.values() for pid in container.pids()]
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not any(map(psutil.pid_exists, doomed)))


@asynccontextmanager
async def pod_house(folder: Path, opencode: Path, **more: Any) -> AsyncIterator[PodHouse]:
    """A cluster with a node that runs the real processes, with its runtime not yet open."""
    async with FakeApi() as api, NodeAgent(api, folder / "node", opencode) as node:
        yield PodHouse(api, node, folder, **more)
