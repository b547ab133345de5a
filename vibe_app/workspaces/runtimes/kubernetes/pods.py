"""What a pod's status says, in words for people. Pure functions of what the cluster's API reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vibe_app.shapes import shaped
from vibe_app.wire import number, plain_text
from vibe_app.workspaces.runtimes.endings import signal_name
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import (
    ContainerSpec,
    ContainerStatus,
    PodObject,
    Raw,
    Terminated,
    meta,
)
from vibe_app.workspaces.runtimes.kubernetes.containers import CHECKOUT
from vibe_app.workspaces.runtimes.kubernetes.names import (
    EPOCH_MARK,
    KEYS_MARK,
    PROJECT_LABEL,
    PROOF_MARK,
    SETTINGS_MARK,
    TREES_MARK,
)

_NAMES = {
    CHECKOUT: "Preparing the workspace's files",
    "opencode-server": "OpenCode",
    "file-browser": "The file browser",
    "session-proxy": "The session proxy",
    "opencode-server-sidecar": "The sidecar",
}
# Why a container cannot be started, and does not get better by waiting.
_BAD_NAME = ("ErrImageNeverPull", "InvalidImageName")
_BACK_OFF = "ImagePullBackOff"
_IMAGE_REASONS = (_BACK_OFF, "ImageInspectError", *_BAD_NAME)
# What registries and container runtimes say of an image that is not there or not for us, in lower
# case; a registry that is away may be back in a minute.
_NO_SUCH_IMAGE = ("not found", "manifest unknown", "access denied", "unauthorized", "forbidden")
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_COMING = ("", "ContainerCreating", "PodInitializing")
_CRASHING = "CrashLoopBackOff"
# What the kubelet says of a pod that it evicts for the room that it takes itself (Kubernetes 1.36,
# pkg/kubelet/eviction/eviction_manager.go): not of one that is evicted because its node is full.
_FOR_SIZE = ("exceeds the total limit", "exceeds the limit", "exceeded its local ephemeral storage limit")
_CORE = ("opencode-server", "opencode-server-sidecar")
_WORDS = 600


@dataclass(frozen=True)
class Ending:
    """How a container's last process ended."""

    reason: str
    status: int
    words: str


@dataclass(frozen=True)
class Container:
    """One container of a pod.

    Args:
        name: Its name in the manifest.
        running: Whether its process runs.
        restarts: How often it was started again.
        waiting: Kubernetes' word for why it does not run; empty if that is not known or not so.
        message: What Kubernetes adds to that.
        ending: How it ended the last time, if it ever has.
        memory: Its limit, as in the manifest.
        image: What it was to be started from.
    """

    name: str
    running: bool
    restarts: int
    waiting: str
    message: str
    ending: Ending | None
    memory: str
    image: str

    @property
    def title(self) -> str:
        """What people call it."""
        return _NAMES.get(self.name, self.name)


@dataclass(frozen=True)
class Pod:
    """A workspace's pod as it was last seen.

    Args:
        project_id: Whose it is.
        uid: Tells it from an earlier pod of the same name.
        version: Grows with each change; 0 where the server does not count.
        created: When it was made.
        ip: Where it answers; empty as long as it has no address.
        phase: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        ready: Whether the cluster has found all of its services ready.
        deleting: Whether it is about to end for good.
        why: Kubernetes' own words on its end, eviction or wait for a place.
        disrupted: Whether the cluster itself is ending it.
        unplaced: Whether it waits for a place on a node.
        epoch: Which start of its workspace it is; 0 of a version that did not count.
        keys: The fingerprint of the secrets with which it was started.
        settings: The fingerprint of all else with which it was started.
        proves: Whether its services prove themselves; those of an earlier version cannot.
        trees: Whether each card has a tree of its own in it; in one of an earlier version none has.
        containers: Its containers, without the one that makes its files.
        checkout: That one.
    """

    project_id: UUID
    uid: str
    version: int
    created: datetime | None
    ip: str
    phase: str
    ready: bool
    deleting: bool
    why: str
    disrupted: bool
    unplaced: bool
    epoch: int
    keys: str
    settings: str
    proves: bool
    trees: bool
    containers: tuple[Container, ...]
    checkout: Container | None
    notices: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether it has ended and will never run again."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def core(self) -> tuple[Container, ...]:
        """What a session needs; with the others dead, it goes on."""
        return tuple(container for container in self.containers if container.name in _CORE)

    @property
    def running(self) -> bool:
        """Whether what a session needs runs and has an address."""
        alive = bool(self.ip) and not self.deleting and not self.over
        return alive and bool(self.core) and all(container.running for container in self.core)

    @property
    def coming(self) -> bool:
        """Whether some container is about to run for the first time."""
        return any(
            not container.running and container.ending is None and container.waiting in _COMING
            for container in self.containers
        )

    @property
    def preparing(self) -> bool:
        """Whether its files are being made."""
        return self.checkout is not None and self.checkout.running


def project_of(raw: Raw) -> UUID | None:
    """Return whose an object of the API is, by its labels; None where it is no workspace's."""
    labels = meta(raw).get("labels") or {}
    try:
        return UUID(str(labels.get(PROJECT_LABEL)))
    except ValueError:
        return None


def read(raw: Raw) -> Pod | None:
    """Understand a pod of the API; None if it is no workspace's."""
    found = shaped(PodObject, raw)
    known, spec, status = found.get("metadata") or {}, found.get("spec") or {}, found.get("status") or {}
    if (project_id := project_of(raw)) is None:
        return None
    marks = known.get("annotations") or {}
    conditions = {entry.get("type", ""): entry for entry in status.get("conditions") or []}
    scheduled, disruption = (conditions.get(kind) or {} for kind in ("PodScheduled", "DisruptionTarget"))
    disrupted = disruption.get("status") == "True"
    unplaced = scheduled.get("status") == "False"
    why = status.get("message") or status.get("reason") or ""
    if not why and disrupted:
        why = disruption.get("message") or disruption.get("reason") or ""
    elif not why and unplaced:
        why = scheduled.get("message") or scheduled.get("reason") or ""
    beginning = status.get("initContainerStatuses") or []
    return Pod(
        project_id=project_id,
        uid=known.get("uid", ""),
        version=number(known.get("resourceVersion")),
        created=_time(known.get("creationTimestamp", "")),
        ip=status.get("podIP", ""),
        phase=status.get("phase") or "Pending",
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        deleting=bool(known.get("deletionTimestamp")),
        why=_short(why),
        disrupted=disrupted,
        unplaced=unplaced,
        epoch=number(marks.get(EPOCH_MARK)),
        keys=marks.get(KEYS_MARK, ""),
        settings=marks.get(SETTINGS_MARK, ""),
        proves=PROOF_MARK in marks,
        trees=TREES_MARK in marks,
        containers=_containers(spec.get("containers") or [], status.get("containerStatuses") or []),
        checkout=next(iter(_containers(spec.get("initContainers") or [], beginning)), None),
        notices=_notices(beginning),
    )


def fault(pod: Pod) -> str | None:
    """Why the pod will not get ready by waiting, as a sentence; None where it may."""
    if pod.over or pod.disrupted:
        why = f": {pod.why}" if pod.why else _endings(pod)
        return f"The cluster ended the workspace's pod{why}."
    for container in (*pod.core, *([pod.checkout] if pod.checkout else [])):
        if container.waiting in _IMAGE_REASONS:
            details = f" ({container.waiting}): {_short(container.message)}".rstrip(": ")
            return (
                f"The image {container.image} cannot be fetched{details}."
                " Check OPENCODE_SERVER_IMAGE and that the cluster's nodes may pull it."
            )
        if container.waiting in _CONFIG_REASONS:
            return (
                f"The cluster cannot start {_inline(container)} ({container.waiting}):"
                f" {_short(container.message) or 'it gives no reason'}."
            )
        if (
            container is pod.checkout
            and not container.running
            and (ending := container.ending)
            and ending.status
        ):
            return f"{ending.words or ended(container)}."
        if container.waiting == _CRASHING:
            return f"{ended(container)}, again and again."
    return None


def final(pod: Pod) -> bool:
    """Whether what ails a pod would ail the next as well: its image's name, its memory, the room it takes."""
    if pod.over and any(words in pod.why for words in _FOR_SIZE):
        return True
    watched = (*pod.core, *([pod.checkout] if pod.checkout else []))
    return any(_misnamed(container) or _starved(container) for container in watched)


def _misnamed(container: Container) -> bool:
    """Whether a container's image is not to be had, rather than not now."""
    return container.waiting in _BAD_NAME or (
        container.waiting == _BACK_OFF and any(words in container.message.lower() for words in _NO_SUCH_IMAGE)
    )


def _starved(container: Container) -> bool:
    """Whether a container has used up its memory more than once."""
    ending = container.ending
    if container.running or ending is None or ending.reason != "OOMKilled":
        return False
    return container.waiting == _CRASHING or container.restarts > 0


def trouble(pod: Pod) -> str | None:
    """How something of a pod ended that a session needs, as a sentence; None where it lives."""
    if (reason := fault(pod)) is not None:
        return reason
    dead = next((each for each in pod.core if not each.running and each.ending is not None), None)
    return f"{ended(dead)}." if dead else None


def step(pod: Pod) -> str:
    """What is being waited for, as a sentence without a full stop."""
    if pod.unplaced:
        return (
            f"Waiting for a place in the cluster: {pod.why}"
            if pod.why
            else "Waiting for a place in the cluster"
        )
    if pod.preparing:
        return "Preparing the workspace's files"
    if (dead := fallen(pod)) is not None:
        return f"{ended(dead)}: starting it again"
    if pod.running and not pod.coming:
        return "Starting OpenCode"
    return "Attaching the workspace's volume and fetching its image"


def overdue(pod: Pod, seconds: float, said: str) -> str:
    """Why a pod was not ready in time.

    Args:
        pod: As it was last seen.
        seconds: How long it had.
        said: What its sidecar answered, or why it did not.
    """
    within = f"within {seconds:g} s"
    if pod.unplaced:
        return f"The cluster found no place for the workspace {within}: {pod.why or 'it gives no reason'}."
    if not pod.running or pod.coming:
        return f"The workspace's pod did not start {within}: {step(pod)[0].lower()}{step(pod)[1:]}."
    if pod.ready:
        return (
            f"The workspace's pod is ready, but does not answer to Vibe at {pod.ip}: {said.rstrip('.')}."
            " A NetworkPolicy must let Vibe's pods reach the ports 3001 to 3003 and 3005 of the workspaces."
        )
    return f"The workspace did not get ready {within}: {said.rstrip('.') or 'OpenCode does not answer'}."


def fallen(pod: Pod) -> Container | None:
    """A container that has run and does not run now."""
    return next((each for each in pod.containers if not each.running and each.ending is not None), None)


def ended(container: Container) -> str:
    """How a container ended, as a sentence without a full stop."""
    ending = container.ending
    if ending is None:
        return f"{container.title} ended"
    if ending.reason == "OOMKilled":
        limit = f" (its limit is {container.memory})" if container.memory else ""
        return f"{container.title} used up its memory{limit} and was ended"
    if 128 < ending.status < 160:
        how = f"was ended by {signal_name(ending.status - 128)}"
    else:
        how = f"ended with status {ending.status}"
    words = f", saying: {ending.words}" if ending.words else ""
    return f"{container.title} {how}{words}"


def _inline(container: Container) -> str:
    title = container.title
    return title if title == "OpenCode" else title[0].lower() + title[1:]


def _endings(pod: Pod) -> str:
    dead = next((each for each in pod.containers if each.ending is not None and each.ending.status), None)
    return f": {ended(dead)}" if dead else ""


def _notices(statuses: Sequence[ContainerStatus]) -> tuple[str, ...]:
    """What the container that makes the files found missing in them: its last words, where it ended well."""
    for status in statuses:
        ending = (status.get("state") or {}).get("terminated") or {}
        if ending.get("exitCode") == 0:
            try:
                found = json.loads(ending.get("message") or "null")
            except (ValueError, RecursionError):
                continue
            if sentences := shaped(list[str], found):
                return tuple(plain_text(sentence) for sentence in sentences)
    return ()


def _containers(specs: Sequence[ContainerSpec], statuses: Sequence[ContainerStatus]) -> tuple[Container, ...]:
    known = {entry.get("name"): entry for entry in statuses}
    return tuple(_container(spec, known.get(spec.get("name")) or {}) for spec in specs)


def _container(spec: ContainerSpec, status: ContainerStatus) -> Container:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ending = state.get("terminated") or last.get("terminated")
    limits = (spec.get("resources") or {}).get("limits") or {}
    return Container(
        name=spec.get("name", ""),
        running="running" in state,
        restarts=number(status.get("restartCount")),
        waiting=waiting.get("reason", ""),
        message=waiting.get("message", ""),
        ending=_ending(ending) if ending else None,
        memory=limits.get("memory", ""),
        image=spec.get("image", ""),
    )


def _ending(raw: Terminated) -> Ending:
    lines = [line.strip() for line in plain_text(raw.get("message", "")).splitlines() if line.strip()]
    return Ending(
        reason=raw.get("reason", ""),
        status=number(raw.get("exitCode")),
        words=_short(" / ".join(lines[-4:])),
    )


def _short(text: str) -> str:
    """One line of plain text of bearable length, without a full stop."""
    line = " ".join(plain_text(text).split())
    return (line if len(line) <= _WORDS else f"…{line[-_WORDS:]}").rstrip(". ")


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
