"""What is known here of the cluster's pods: one watch, listed anew whenever it breaks.

Nobody asks the cluster's API for a pod's address or state; whoever needs one looks here.
The cache may be a moment old. Whoever acts on it finds out by acting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

from vibe_app.aio import BROKEN, cancel, forever
from vibe_app.wire import number
from vibe_app.workspaces.runtimes.kubernetes import pods
from vibe_app.workspaces.runtimes.kubernetes.cluster import Cluster, Gone
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import Raw, meta
from vibe_app.workspaces.runtimes.kubernetes.pods import Pod

logger = logging.getLogger(__name__)

OnChange = Callable[[UUID, Pod | None], Awaitable[None]]
"""Told of each change that the watch brings: the project, and its pod or None once that is gone."""

_NAME = "watch over pods"


class PodCache:
    """The pods of all workspaces as they were last seen.

    Args:
        cluster: Where they are.
        labels: Which pods are meant.
        on_change: Told of changes, one after the other.
    """

    def __init__(self, cluster: Cluster, labels: str, on_change: OnChange) -> None:
        self._cluster = cluster
        self._labels = labels
        self._on_change = on_change
        self._pods: dict[UUID, Pod] = {}
        self._news: dict[UUID, asyncio.Event] = {}
        self._watcher: asyncio.Task[None] | None = None
        # From where to watch, where that is known.
        self._version = ""

    async def open(self) -> None:
        """List the pods, and begin to keep the cache up to date.

        Raises:
            Unavailable: The cluster cannot be reached or refuses.
        """
        self._version = await self._list()
        self._watcher = asyncio.create_task(forever(_NAME, self._watch), name=_NAME)

    async def close(self) -> None:
        """Watch no more."""
        await cancel(self._watcher)
        self._watcher = None

    def pod(self, project_id: UUID) -> Pod | None:
        """A project's pod, if it has one."""
        return self._pods.get(project_id)

    def all(self) -> list[Pod]:
        """Every pod."""
        return list(self._pods.values())

    async def changed(self, project_id: UUID, seen: Pod | None, seconds: float) -> bool:
        """Return once the project's pod is another than `seen` or in another state, or time is over.

        Returns:
            Whether it is.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._pods.get(project_id) == seen:
                    await self._news.setdefault(project_id, asyncio.Event()).wait()
        return self._pods.get(project_id) != seen

    def take(self, raw: Raw) -> None:
        """Take over what an answer of the API says of a pod, unless more is known already."""
        if (pod := pods.read(raw)) is not None:
            self._take(pod)

    def _take(self, pod: Pod) -> bool:
        known = self._pods.get(pod.project_id)
        if known is not None and pod.version < known.version:
            return False
        self._pods[pod.project_id] = pod
        self._knock(pod.project_id)
        return True

    def forget(self, project_id: UUID, uid: str) -> bool:
        """Note that a pod is gone; False if another one, or none, is known."""
        known = self._pods.get(project_id)
        if known is None or known.uid != uid:
            return False
        del self._pods[project_id]
        self._knock(project_id)
        return True

    def _knock(self, project_id: UUID) -> None:
        if (event := self._news.pop(project_id, None)) is not None:
            event.set()

    async def _list(self) -> str:
        """List all pods anew; return the version from which to watch."""
        found, version = await self._cluster.list("pods", labels=self._labels)
        present: set[str] = set()
        for raw in found:
            present.add(meta(raw).get("uid", ""))
            await self._heard("LISTED", raw)
        read = number(version)
        for pod in self.all():
            # One that was made after the list was read is not in it.
            if pod.uid not in present and pod.version <= read and self.forget(pod.project_id, pod.uid):
                await self._tell(pod.project_id, None)
        return version

    async def _watch(self) -> None:
        """Follow the pods from where the list, or what was heard last, has left them."""
        version, self._version = self._version, ""
        while True:
            version = version or await self._list()
            try:
                async for change, raw in self._cluster.watch("pods", labels=self._labels, version=version):
                    version = meta(raw).get("resourceVersion") or version
                    await self._heard(change, raw)
            except Gone:
                version = ""

    async def _heard(self, change: str, raw: Raw) -> None:
        if change == "BOOKMARK":
            return
        try:
            pod = pods.read(raw)
        except Exception:
            # What one pod says of itself must not hide the others.
            BROKEN[_NAME] += 1
            logger.exception("a pod is not understood")
            return
        if pod is None:
            return
        if change != "DELETED":
            if self._take(pod):
                await self._tell(pod.project_id, pod)
        elif self.forget(pod.project_id, pod.uid):
            await self._tell(pod.project_id, None)

    async def _tell(self, project_id: UUID, pod: Pod | None) -> None:
        try:
            await self._on_change(project_id, pod)
        except Exception:
            # A listener's fault with one pod must not keep the news of the others from it.
            BROKEN[_NAME] += 1
            logger.exception("nobody could be told what became of the pod of workspace %s", project_id)
