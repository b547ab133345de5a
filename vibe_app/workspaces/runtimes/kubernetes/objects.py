"""The claim, the Secret and the pod of each workspace in the cluster: made, labelled, found and deleted.

Everything is labelled with the installation's id, and what bears another one's is never touched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from vibe_app.errors import CannotStart, Unavailable
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.base import Tenancy, WorkspaceSpec
from vibe_app.workspaces.runtimes.kubernetes import manifests, names, pods
from vibe_app.workspaces.runtimes.kubernetes.cluster import Cluster, Kind
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import Raw, meta

# Seconds.
_LETTING_GO = 30.0
_KINDS: tuple[Kind, ...] = ("pods", "persistentvolumeclaims", "secrets")


@dataclass(frozen=True)
class Made:
    """What became of a wish for a pod.

    Args:
        pod: The pod, as the API describes it.
        new: Whether it was made now, and not found.
        anew: Whether its files had been lost, and begin empty.
    """

    pod: Raw
    new: bool
    anew: bool


class Objects:
    """What an installation has in a namespace.

    Args:
        cluster: The namespace.
        settings: The installation's settings.
        tenancy: Whose these are.
        pace: Factor on the rehearsal model's pauses.
    """

    def __init__(self, cluster: Cluster, settings: Settings, tenancy: Tenancy, pace: float) -> None:
        self._cluster = cluster
        self._settings = settings
        self._tenancy = tenancy
        self._pace = pace
        self._marks: dict[UUID, str] = {}

    @property
    def labels(self) -> str:
        """The selector of everything that is this installation's."""
        return f"app={names.APP},{names.INSTALLATION_LABEL}={self._tenancy.installation}"

    async def adopt(self) -> None:
        """Label what an earlier version made without the installation's id, of our projects alone.

        Raises:
            ApiError: It cannot be found or labelled.
        """
        unlabelled = f"app={names.APP},!{names.INSTALLATION_LABEL}"
        for kind in _KINDS:
            for raw in (await self._cluster.list(kind, labels=unlabelled))[0]:
                if pods.project_of(raw) in self._tenancy.projects:
                    await self._label(kind, raw)

    async def make(self, spec: WorkspaceSpec) -> Made:
        """Make the claim, the Secret and the pod, whichever is missing.

        Raises:
            CannotStart: One of that name belongs to another installation.
            Unavailable: The cluster refuses, or the claim is about to go.
        """
        project_id, ours = spec.project_id, self._tenancy.installation
        claim = manifests.claim(project_id, self._settings, ours)
        found, new_claim = await self._cluster.create("persistentvolumeclaims", claim)
        found = await self._label("persistentvolumeclaims", found)
        if meta(found).get("deletionTimestamp"):
            raise Unavailable("The workspace's volume is being deleted: try again in a minute.")
        secret = manifests.secret(spec, ours)
        found, _ = await self._cluster.create("secrets", secret)
        found = await self._label("secrets", found)
        if found.get("data") != secret["data"]:
            await self._cluster.patch("secrets", secret["metadata"]["name"], {"data": secret["data"]})
        pod, new = await self._cluster.create("pods", self._pod(spec))
        return Made(await self._label("pods", pod), new, new_claim and spec.remade)

    async def pod(self, project_id: UUID) -> Raw | None:
        """Return the pod of a project as the API has it, or None if there is none.

        Raises:
            CannotStart: It is another installation's.
            ApiError: Nobody can tell.
        """
        raw = await self._cluster.read("pods", names.pod_name(project_id))
        return None if raw is None else self._ours(raw)

    async def end_pod(self, project_id: UUID, *, forced: bool = False) -> None:
        """Ask for the end of a project's pod, `forced` without its node.

        Raises:
            ApiError: The cluster refuses.
        """
        await self._cluster.delete("pods", names.pod_name(project_id), grace=0 if forced else None)

    async def erase(self, project_id: UUID) -> None:
        """Delete what a workspace keeps between two pods, and return once it is gone.

        Raises:
            CannotStart: It is another installation's.
            Unavailable: The cluster refuses, or does not let go of it.
        """
        kept: tuple[tuple[Kind, str], ...] = (
            ("secrets", names.secret_name(project_id)),
            ("persistentvolumeclaims", names.claim_name(project_id)),
        )
        for kind, name in kept:
            if (raw := await self._cluster.read(kind, name)) is not None:
                self._ours(raw)
                await self._cluster.delete(kind, name)
                await self._until_gone(kind, name, meta(raw).get("uid", ""))

    async def _until_gone(self, kind: Kind, name: str, uid: str) -> None:
        """Return once an object is gone: a claim stays for a while, as the cluster protects what pods use."""
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + _LETTING_GO, 0.05
        while (raw := await self._cluster.read(kind, name)) and meta(raw).get("uid", "") == uid:
            if clock() > deadline:
                raise Unavailable(
                    f"The cluster does not let go of {name}: look at its finalizers and its pods."
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def found(self) -> set[UUID]:
        """Return the projects of which a claim or a Secret is here.

        Raises:
            ApiError: The cluster does not tell.
        """
        found: set[UUID] = set()
        for kind in _KINDS[1:]:
            for raw in (await self._cluster.list(kind, labels=self.labels))[0]:
                if (project_id := pods.project_of(raw)) is not None:
                    found.add(project_id)
        return found

    def mark(self, project_id: UUID) -> str:
        """Return the fingerprint of the settings with which a project's pod would be started now."""
        if project_id not in self._marks:
            wanted = self._pod(WorkspaceSpec(project_id))
            self._marks[project_id] = wanted["metadata"]["annotations"][names.SETTINGS_MARK]
        return self._marks[project_id]

    def _pod(self, spec: WorkspaceSpec) -> dict[str, Any]:
        return manifests.pod(spec, self._settings, self._tenancy.installation, pace=self._pace)

    async def _label(self, kind: Kind, raw: Raw) -> Raw:
        """Label an object as this installation's, where it bears no label yet; return it as it is then."""
        known = meta(self._ours(raw))
        if names.INSTALLATION_LABEL in (known.get("labels") or {}):
            return raw
        label = {names.INSTALLATION_LABEL: str(self._tenancy.installation)}
        change = {"metadata": {"labels": label}}
        return await self._cluster.patch(kind, known.get("name", ""), change) or raw

    def _ours(self, raw: Raw) -> Raw:
        """Return an object that is this installation's or bears no label."""
        ours, known = str(self._tenancy.installation), meta(raw)
        if (known.get("labels") or {}).get(names.INSTALLATION_LABEL, ours) == ours:
            return raw
        raise CannotStart(
            f"In the cluster, {known.get('name')} belongs to another installation of Vibe."
            " Give each a namespace of its own: VIBE_KUBERNETES_NAMESPACE."
        )
