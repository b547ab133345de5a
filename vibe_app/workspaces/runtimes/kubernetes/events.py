"""What the cluster says of why a workspace's pod does not come: its events, and those of its volume's claim.

Events are the only place where a cluster says why a volume cannot be attached or made; a pod's
own status says no more than that it waits. They are asked for only while a pod does not run.
"""

from __future__ import annotations

import asyncio
import logging
import re

from vibe_app.shapes import shaped
from vibe_app.wire import plain_text
from vibe_app.workspaces.runtimes.kubernetes.cluster import ApiError, Cluster
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import ClaimObject, EventObject
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name
from vibe_app.workspaces.runtimes.kubernetes.pods import Pod

logger = logging.getLogger(__name__)

FIRST_LOOK = 3.0
"""Seconds for which a pod may take its time before anybody asks why."""
_BETWEEN_LOOKS = 3.0
# Events of a claim that are no warnings, and still say what it waits for (Kubernetes 1.36,
# pkg/controller/volume/events/event.go).
_OF_CLAIMS = ("FailedBinding", "ExternalProvisioning", "ProvisioningFailed")
# Of these, and of warnings, the ones that say why a claim has no volume.
_UNBOUND = ("FailedBinding", "ProvisioningFailed", "VolumeMismatch", "ClaimLost")
# What stays so until somebody changes the cluster or the settings, in the words of the controller that
# binds (Kubernetes 1.36, pkg/controller/volume/persistentvolume/pv_controller.go). A provisioner's own
# failures may pass.
_NEVER = re.compile(r'no storage class is set|storageclass(es)?\.storage\.k8s\.io "[^"]*" not found')


class Causes:
    """Asks now and then why a pod does not run.

    Args:
        cluster: Where it is.

    Attributes:
        unbound: Why its claim has no volume, without a full stop; empty where it has one or nothing is said.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._next = asyncio.get_running_loop().time() + FIRST_LOOK
        self._known = ""
        self.unbound = ""

    @property
    def hopeless(self) -> bool:
        """Whether the claim stays without a volume for as long as nobody changes anything."""
        return _NEVER.search(self.unbound) is not None

    async def of(self, pod: Pod) -> str:
        """Return what was last said, without a full stop; empty where nothing was."""
        clock = asyncio.get_running_loop().time
        if clock() >= self._next:
            self._next = clock() + _BETWEEN_LOOKS
            await self.look(pod)
        return self._known

    async def look(self, pod: Pod) -> str:
        """Ask now; where the cluster does not answer, what was known stays."""
        try:
            of_pod = await self._events(f"involvedObject.uid={pod.uid},type=Warning")
            of_claim = await self._of_claim(claim_name(pod.project_id))
        except ApiError as error:
            logger.info("no events of workspace %s: %s", pod.project_id, error)
            return self._known
        self.unbound = _newest([event for event in of_claim if event.get("reason") in _UNBOUND])
        said = [sentence for events in (of_pod, of_claim) if (sentence := _newest(events))]
        self._known = "; ".join(dict.fromkeys(said))
        return self._known

    async def _of_claim(self, name: str) -> list[EventObject]:
        """Return what is said of a claim without a volume; of others it is past, as events last an hour."""
        about = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
        meant = [
            event
            for event in await self._events(about)
            if event.get("type") == "Warning" or event.get("reason") in _OF_CLAIMS
        ]
        claim = await self._cluster.read("persistentvolumeclaims", name) if meant else None
        if claim is None or (shaped(ClaimObject, claim).get("status") or {}).get("phase") == "Bound":
            return []
        return meant

    async def _events(self, fields: str) -> list[EventObject]:
        return shaped(list[EventObject], (await self._cluster.list("events", fields=fields))[0])


def with_cause(sentence: str, cause: str) -> str:
    """Add what the cluster says to a sentence that does not say so already; both end the same way."""
    if not cause or cause in sentence:
        return sentence
    stop = "." if sentence.endswith(".") else ""
    return f"{sentence.rstrip('.')}. The cluster says: {cause}{stop}"


def without_volume(cause: str) -> str:
    """Say that a workspace has no volume, and what to do."""
    return (
        f"The cluster has no volume for the workspace: {cause}."
        " Check VIBE_KUBERNETES_STORAGE_CLASS, VIBE_KUBERNETES_STORAGE and the cluster's storage classes."
    )


def _newest(events: list[EventObject]) -> str:
    if not events:
        return ""
    newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return " ".join(plain_text(newest.get("message", "")).split()).rstrip(".")[:600]
