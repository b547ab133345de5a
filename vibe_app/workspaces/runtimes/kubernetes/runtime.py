"""Workspaces as pods of a cluster, each on a volume of its own.

Names derive from the project's id; everything is labelled with the installation's id and found by
it, so that two installations in one namespace do not see each other's. One watch keeps a cache of
the pods; no request asks the cluster's API for an address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from vibe_app.aio import cancel
from vibe_app.errors import CannotStart, Unavailable, VibeError
from vibe_app.settings import Settings
from vibe_app.wire import plain_text
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import (
    FILES_GONE,
    Endpoint,
    OnStatus,
    OnTrouble,
    Progress,
    Tenancy,
    WorkspaceSpec,
)
from vibe_app.workspaces.runtimes.kubernetes import containers, names, pods
from vibe_app.workspaces.runtimes.kubernetes.cluster import ApiError, Cluster
from vibe_app.workspaces.runtimes.kubernetes.ending import Ending
from vibe_app.workspaces.runtimes.kubernetes.events import Causes, with_cause, without_volume
from vibe_app.workspaces.runtimes.kubernetes.knocking import answers
from vibe_app.workspaces.runtimes.kubernetes.objects import Objects
from vibe_app.workspaces.runtimes.kubernetes.pod_cache import PodCache
from vibe_app.workspaces.runtimes.kubernetes.pods import Pod
from vibe_app.workspaces.runtimes.kubernetes.tidying import Tidier
from vibe_app.workspaces.states import WorkspaceStatus

logger = logging.getLogger(__name__)

# Seconds.
_LOOK = 0.25
_LOOK_AT_LOG = 1.0
# The part of that limit for which a claim may be without a volume, while its provisioner fails.
_PROVISIONING = 0.5


@dataclass
class _Workspace:
    project_id: UUID
    # The pod that has been seen at work: only then does what befalls it concern the board.
    worked: str = ""
    status: WorkspaceStatus = WorkspaceStatus.STOPPED
    reason: str | None = None
    endpoint: Endpoint | None = None
    start: asyncio.Task[VibeError | None] | None = None
    listeners: list[Progress] = field(default_factory=list[Progress])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def starting(self) -> bool:
        return self.start is not None and not self.start.done()


class KubernetesRuntime:
    """The runtime of a cluster; see `Runtime` for what its verbs promise.

    Args:
        settings: The installation's settings.
        on_status: Told of each change of a workspace's status.
        on_trouble: Told when a service that runs may need, or a pod, ends unasked.
        pace: Factor on the rehearsal model's pauses: 1 for people, 0 for tests.
        cluster: The client, in place of one that the settings describe.
    """

    def __init__(
        self,
        settings: Settings,
        on_status: OnStatus | None = None,
        on_trouble: OnTrouble | None = None,
        *,
        pace: float = 1.0,
        cluster: Cluster | None = None,
    ) -> None:
        self._cluster = cluster or Cluster(settings.kubernetes_namespace, settings.kubeconfig)
        self._tenancy: Tenancy
        self._objects: Objects
        self._pods: PodCache
        self._ending: Ending
        self._remade: set[UUID] = set()
        self._settings = settings
        self._on_status = on_status
        self._on_trouble = on_trouble
        self._pace = pace
        self._workspaces: dict[UUID, _Workspace] = {}
        self._tidier: Tidier | None = None

    async def open(self, tenancy: Tenancy) -> None:
        """Find the workspaces that run, and begin to watch them.

        Args:
            tenancy: Whose workspaces these are.

        Raises:
            Unavailable: The cluster cannot be reached or refuses.
        """
        self._tenancy = tenancy
        self._objects = Objects(self._cluster, self._settings, tenancy, self._pace)
        self._pods = PodCache(self._cluster, self._objects.labels, self._befallen)
        self._ending = Ending(self._objects, self._pods)
        self._workspaces.clear()
        await self._cluster.open()
        try:
            await self._objects.adopt()
            await self._pods.open()
        except BaseException:
            await self._cluster.close()
            raise
        self._tidier = Tidier(
            self._pods,
            self._ending,
            lambda project_id: self._workspace(project_id).lock,
            self._settings.start_timeout,
        )

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Let go. Every workspace goes on, whatever `keep` says: the next that opens takes them over."""
        starts = [workspace.start for workspace in self._workspaces.values()]
        await cancel(*starts)
        if self._tidier is not None:
            await self._tidier.close()
            self._tidier = None
            await self._pods.close()
        await self._cluster.close()

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Make the workspace exist and answer, and say where; see `Runtime.ensure`.

        Raises:
            Unavailable: It cannot be started; the message says why and what to do.
            InvalidRequest: The repository's address cannot be used.
        """
        workspace = self._workspace(spec.project_id)
        pod = self._pods.pod(spec.project_id)
        if not workspace.starting and pod is not None and pod.running and self._has_keys(pod, spec):
            answered, _ = await answers(pod.ip)
            if answered and not workspace.starting:
                if workspace.status != WorkspaceStatus.READY:
                    await self._ready(workspace, pod)
                return self._endpoint(pod, spec.keys)
        if not workspace.starting:
            if not (spec.repo_url or "").startswith("git://"):
                # Earlier versions took these: whether one still has to be cloned, the pod finds out.
                spec.source(self._settings.repository_networks)
            workspace.start = asyncio.create_task(
                self._start(workspace, spec), name=f"start of workspace {spec.project_id}"
            )
        start = workspace.start
        assert start is not None
        try:
            if progress is not None:
                workspace.listeners.append(progress)
                await progress(workspace.reason or "Starting the workspace")
            # Whoever stops waiting must not break the start off for the others.
            await asyncio.wait((start,))
        finally:
            if progress is not None:
                workspace.listeners.remove(progress)
        if start.cancelled():
            raise _stopped_meanwhile()
        if (failure := start.result()) is not None:
            raise failure
        if (pod := self._pods.pod(spec.project_id)) is None:
            raise _stopped_meanwhile()
        return self._endpoint(pod, spec.keys)

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """End every process of the workspace; see `Runtime.stop`.

        Raises:
            Unavailable: The cluster cannot be reached or does not end the pod.
        """
        workspace = self._workspace(project_id)
        while workspace.start is not None and not workspace.start.done():
            workspace.start.cancel()
            await asyncio.wait((workspace.start,))
        async with workspace.lock:
            await self._ending.end(workspace.project_id)
            if erase:
                await self._objects.erase(project_id)
            await self._tell(workspace, WorkspaceStatus.STOPPED, None)

    async def alive(self) -> dict[UUID, int]:
        """Return the projects whose pod runs now with what a session needs; see `Runtime.alive`."""
        return {pod.project_id: pod.epoch for pod in self._pods.all() if pod.running}

    async def held(self) -> dict[UUID, int]:
        """Return the projects that have a pod, with its epoch."""
        return {pod.project_id: pod.epoch for pod in self._pods.all() if not (pod.deleting or pod.over)}

    async def found(self) -> set[UUID]:
        """Return the projects of which a pod, a claim or a Secret is here.

        Raises:
            Unavailable: The cluster does not tell.
        """
        return {pod.project_id for pod in self._pods.all()} | await self._objects.found()

    async def outdated(self) -> set[UUID]:
        """Return the projects whose pod runs with other settings or secrets than it would now be given.

        So does one of a version whose services could not prove themselves.
        """
        return {pod.project_id for pod in self._pods.all() if pod.running and not self._as_set(pod)}

    def _as_set(self, pod: Pod) -> bool:
        keys = self._tenancy.keys(pod.project_id, pod.epoch)
        marked = pod.settings == self._objects.mark(pod.project_id)
        return marked and pod.keys == keys.mark and pod.proves

    def _workspace(self, project_id: UUID) -> _Workspace:
        return self._workspaces.setdefault(project_id, _Workspace(project_id))

    def _has_keys(self, pod: Pod, spec: WorkspaceSpec) -> bool:
        """Whether the pod's services take the secrets of this epoch."""
        # Those of versions that did not count have no fingerprint that could be compared.
        return pod.epoch == spec.epoch and (not pod.keys or pod.keys == spec.keys.mark)

    def _endpoint(self, pod: Pod, keys: ServiceKeys) -> Endpoint:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        remade = (FILES_GONE,) if pod.project_id in self._remade else ()
        return Endpoint(
            url=f"http://{host}:{containers.SIDECAR}",
            token=keys.token,
            files_url=f"http://{host}:{containers.FILES}",
            proxy_url=f"http://{host}:{containers.PROXY}",
            notices=remade + pod.notices,
            gateway_url=f"http://{host}:{containers.GATEWAY}",
            rehearsal_key=keys.rehearsal_key,
            proves=pod.proves,
            trees=pod.trees,
        )

    async def _start(self, workspace: _Workspace, spec: WorkspaceSpec) -> VibeError | None:
        """Bring the workspace up and return None, or say what failed, with its pod removed."""
        async with workspace.lock:
            try:
                await self._tell(workspace, WorkspaceStatus.STARTING, "Starting the workspace")
                pod = await self._bring_up(workspace, spec)
            except VibeError as error:
                refused = isinstance(error, ApiError) and error.final
                failure = CannotStart(error.message) if refused else error
            else:
                await self._ready(workspace, pod)
                return None
            if not self._may_be_sound(workspace, failure):
                try:
                    await self._ending.end(workspace.project_id)
                except Unavailable as error:
                    logger.warning("workspace %s: %s", workspace.project_id, error)
            await self._tell(workspace, WorkspaceStatus.FAILED, failure.message)
            return failure

    def _may_be_sound(self, workspace: _Workspace, failure: VibeError) -> bool:
        """Whether the failure lies between Vibe and the pod, which others may be using."""
        pod = self._pods.pod(workspace.project_id)
        return (isinstance(failure, ApiError) and failure.passing) or (pod is not None and pod.ready)

    async def _bring_up(self, workspace: _Workspace, spec: WorkspaceSpec) -> Pod:
        """Return the pod once its services run and its sidecar answers that it is ready.

        The cluster's own finding (the Ready condition) comes late, as its probes begin after
        10 s; it is the sidecar's answer that counts, from here, to Vibe.
        """
        clock = asyncio.get_running_loop().time
        limit = self._settings.start_timeout
        deadline, provisioned = clock() + limit, clock() + _PROVISIONING * limit
        said, renewed = "", False
        causes = Causes(self._cluster)
        while True:
            pod = self._pods.pod(spec.project_id)
            if pod is None:
                renewed = await self._make(spec)
                continue
            reason = pods.fault(pod)
            unknown = not self._has_keys(pod, spec)
            if pod.deleting:
                await self._tell(workspace, WorkspaceStatus.STARTING, "Waiting for the earlier pod to end")
                await self._ending.until_gone(pod.project_id, pod.uid)
                continue
            if not renewed and (reason is not None or unknown):
                # What an earlier start left behind: once, it is given a fresh beginning.
                await self._tell(workspace, WorkspaceStatus.STARTING, "Replacing the earlier pod")
                await self._ending.end(pod.project_id)
                continue
            if reason is not None:
                raise CannotStart(reason) if pods.final(pod) else Unavailable(reason)
            if pod.running and not pod.coming:
                answered, said = await answers(pod.ip)
                if answered:
                    return pod
            step = pods.step(pod)
            if pod.preparing:
                # A clone has limits of its own, and says how far it is.
                deadline = clock() + limit
                step = await self._cloning(pod) or step
            elif not pod.running:
                step = with_cause(step, await causes.of(pod))
                if causes.hopeless or (causes.unbound and clock() > provisioned):
                    raise CannotStart(without_volume(causes.unbound))
            if clock() > deadline:
                raise await self._overdue(pod, causes, said)
            await self._tell(workspace, WorkspaceStatus.STARTING, step)
            await self._pods.changed(pod.project_id, pod, _LOOK_AT_LOG if pod.preparing else _LOOK)

    async def _cloning(self, pod: Pod) -> str:
        """What the container that makes the files says of its progress."""
        line = await self._cluster.last_line(names.pod_name(pod.project_id), containers.CHECKOUT)
        return plain_text(line).strip().rstrip(".")

    async def _overdue(self, pod: Pod, causes: Causes, said: str) -> Unavailable:
        """Say why a pod is not ready in time; `said` is what its sidecar answered, or why it did not."""
        sentence = pods.overdue(pod, self._settings.start_timeout, said)
        if pod.running:
            return Unavailable(sentence)
        cause = await causes.look(pod)
        return (
            CannotStart(without_volume(causes.unbound))
            if causes.unbound
            else Unavailable(with_cause(sentence, cause))
        )

    async def _make(self, spec: WorkspaceSpec) -> bool:
        """Make whatever of a workspace is missing, and note its pod; tell whether that is a new one."""
        made = await self._objects.make(spec)
        self._remade.discard(spec.project_id)
        if made.anew:
            self._remade.add(spec.project_id)
        self._pods.take(made.pod)
        return made.new

    async def _befallen(self, project_id: UUID, pod: Pod | None) -> None:
        """Tell the board what befell a workspace that was at work and that nobody starts or stops here."""
        workspace = self._workspace(project_id)
        if pod is not None and workspace.worked == pod.uid and (trouble := pods.trouble(pod)):
            logger.warning("workspace %s: %s", project_id, trouble)
            if self._on_trouble is not None:
                self._on_trouble(project_id, trouble, pods.final(pod))
        if workspace.lock.locked():
            return
        if pod is None:
            # An eviction has given its reason already; a plain end is no failure.
            if workspace.status != WorkspaceStatus.FAILED:
                await self._tell(workspace, WorkspaceStatus.STOPPED, None)
        elif pod.ready and pod.running:
            await self._ready(workspace, pod)
        elif workspace.worked != pod.uid or (pod.deleting and not pod.disrupted):
            return
        elif (reason := pods.fault(pod)) is not None:
            await self._tell(workspace, WorkspaceStatus.FAILED, reason)
        elif pods.fallen(pod) is not None:
            # Without its file browser or its session proxy, sessions go on.
            await self._tell(
                workspace, WorkspaceStatus.READY if pod.running else WorkspaceStatus.STARTING, pods.step(pod)
            )

    async def _ready(self, workspace: _Workspace, pod: Pod) -> None:
        workspace.worked = pod.uid
        await self._tell(workspace, WorkspaceStatus.READY, None)

    async def _tell(self, workspace: _Workspace, status: WorkspaceStatus, reason: str | None) -> None:
        pod = self._pods.pod(workspace.project_id) if status is WorkspaceStatus.READY else None
        endpoint = self._endpoint(pod, self._tenancy.keys(pod.project_id, pod.epoch)) if pod else None
        if (workspace.status, workspace.reason, workspace.endpoint) == (status, reason, endpoint):
            return
        workspace.status, workspace.reason, workspace.endpoint = status, reason, endpoint
        try:
            if self._on_status is not None:
                await self._on_status(workspace.project_id, status, reason, endpoint)
            for listener in list(workspace.listeners):
                if status == WorkspaceStatus.STARTING and reason:
                    await listener(reason)
        except Exception:
            # A listener's trouble, for example with its database, must not take the workspace down.
            logger.exception("workspace %s: nobody could be told that it is %s", workspace.project_id, status)


def _stopped_meanwhile() -> Unavailable:
    return Unavailable("The workspace was stopped while it was starting.", "workspace_stopped")
