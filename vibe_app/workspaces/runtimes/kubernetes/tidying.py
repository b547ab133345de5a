"""Ends the pods that do not run and that nobody can be waiting for any more.

Such a one is left by a process that died in the middle of a start, or crashes again and again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from vibe_app.aio import BROKEN, cancel
from vibe_app.errors import Unavailable
from vibe_app.workspaces.runtimes.kubernetes import pods
from vibe_app.workspaces.runtimes.kubernetes.ending import Ending
from vibe_app.workspaces.runtimes.kubernetes.pod_cache import PodCache
from vibe_app.workspaces.runtimes.kubernetes.pods import Pod

logger = logging.getLogger(__name__)

# Seconds.
_TIDY = 30.0
# How many times the limit of a start a pod may be down before it is given up.
_GIVEN_UP = 2
_NAME = "end abandoned pods"


class Tidier:
    """Looks after abandoned pods for as long as it is open.

    Args:
        cache: What is known of the pods.
        ending: What ends them.
        lock: Returns what is held while somebody starts or stops a project's workspace.
        limit: Seconds that a start may take.
    """

    def __init__(
        self, cache: PodCache, ending: Ending, lock: Callable[[UUID], asyncio.Lock], limit: float
    ) -> None:
        self._pods = cache
        self._ending = ending
        self._lock = lock
        self._limit = limit
        # The pod that does not run, and since when on the loop's clock.
        self._down: dict[UUID, tuple[str, float]] = {}
        self._task = asyncio.create_task(self._tidy(), name=_NAME)

    async def close(self) -> None:
        """Look after them no more."""
        await cancel(self._task)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY)
            for pod in self._pods.all():
                try:
                    await self._give_up(pod)
                except Unavailable as error:
                    logger.warning("workspace %s: %s", pod.project_id, error)
                except Exception:
                    # What befalls one of them must not end the care for all.
                    BROKEN[_NAME] += 1
                    logger.exception("workspace %s: its pod could not be given up", pod.project_id)

    async def _give_up(self, pod: Pod) -> None:
        """End a pod that has been down for too long."""
        lock, since = self._lock(pod.project_id), self._down_since(pod)
        if since is None or pod.preparing or lock.locked():
            return
        if asyncio.get_running_loop().time() - since > _GIVEN_UP * self._limit:
            logger.warning("workspace %s: its pod is given up: %s", pod.project_id, pods.step(pod))
            async with lock:
                await self._ending.end(pod.project_id)

    def _down_since(self, pod: Pod) -> float | None:
        """Since when this pod is known not to run; None where it does."""
        if pod.running:
            self._down.pop(pod.project_id, None)
            return None
        known = self._down.get(pod.project_id)
        if known is None or known[0] != pod.uid:
            known = self._down[pod.project_id] = (pod.uid, asyncio.get_running_loop().time())
        return known[1]
