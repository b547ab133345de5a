"""Ends workspaces' pods, also those whose node does not answer any more."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from vibe_app.errors import Unavailable
from vibe_app.workspaces.runtimes.kubernetes import manifests, names
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import meta
from vibe_app.workspaces.runtimes.kubernetes.objects import Objects
from vibe_app.workspaces.runtimes.kubernetes.pod_cache import PodCache

logger = logging.getLogger(__name__)

# Seconds.
_LOOK_AT_API = 2.0
_GRACE_MARGIN = 15.0


class Ending:
    """Ends pods and waits until they are gone.

    Args:
        objects: Where they are.
        cache: What is known of them.
    """

    def __init__(self, objects: Objects, cache: PodCache) -> None:
        self._objects = objects
        self._pods = cache

    async def end(self, project_id: UUID) -> None:
        """Delete the pod, if there is one, and return once it is gone.

        The API is asked even where no pod is known: an earlier process may have made one just now.
        """
        found = await self._objects.pod(project_id)
        if found is None:
            if (known := self._pods.pod(project_id)) is not None:
                self._pods.forget(project_id, known.uid)
            return
        self._pods.take(found)
        await self._objects.end_pod(project_id)
        await self.until_gone(project_id, meta(found).get("uid", ""))

    async def until_gone(self, project_id: UUID, uid: str) -> None:
        """Return once this pod is gone; where its node does not answer, have it forgotten by the cluster.

        Raises:
            Unavailable: It does not end.
        """
        clock = asyncio.get_running_loop().time
        name = names.pod_name(project_id)
        limit = manifests.GRACE + _GRACE_MARGIN
        for forced in (False, True):
            deadline = clock() + limit
            while clock() < deadline:
                pod = self._pods.pod(project_id)
                if pod is None or pod.uid != uid:
                    return
                if await self._pods.changed(project_id, pod, _LOOK_AT_API):
                    continue
                # The watch may be behind or broken: the API itself knows.
                found = await self._objects.pod(project_id)
                if found is None or meta(found).get("uid", "") != uid:
                    self._pods.forget(project_id, uid)
            if not forced:
                logger.warning("pod %s does not end: its node may be lost; it is removed by force", name)
                await self._objects.end_pod(project_id, forced=True)
        raise Unavailable(f"The workspace's pod {name} does not end: look at its node in the cluster.")
