"""What a cluster's API says, as far as it is read here: the shapes of its JSON.

They are those of https://kubernetes.io/docs/reference/kubernetes-api/. Any field may be missing: `shaped`
(`vibe_app.shapes`) leaves out what is not as it is written here. The client gives objects as they came
(`Raw`); whoever reads one says which shape it has.
"""

from __future__ import annotations

from typing import TypedDict

from vibe_app.shapes import shaped

Raw = dict[str, object]
"""An object of the API as it came."""


class Meta(TypedDict, total=False):
    """What every object has; moments as ISO 8601."""

    name: str
    uid: str
    resourceVersion: str
    creationTimestamp: str
    deletionTimestamp: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Object(TypedDict, total=False):
    """Any object."""

    metadata: Meta


class Terminated(TypedDict, total=False):
    """How a container's process ended."""

    reason: str
    message: str
    exitCode: int


class Waiting(TypedDict, total=False):
    """Why a container does not run yet."""

    reason: str
    message: str


class State(TypedDict, total=False):
    """One of three."""

    running: dict[str, object]
    waiting: Waiting
    terminated: Terminated


class ContainerStatus(TypedDict, total=False):
    """How a container is, and how it was before it was started again."""

    name: str
    restartCount: int
    state: State
    lastState: State


class Resources(TypedDict, total=False):
    """What a container may use."""

    limits: dict[str, str]


class ContainerSpec(TypedDict, total=False):
    """What a container was to be."""

    name: str
    image: str
    resources: Resources


class PodSpec(TypedDict, total=False):
    """What a pod was to be."""

    containers: list[ContainerSpec]
    initContainers: list[ContainerSpec]


class Condition(TypedDict, total=False):
    """A thing that is so (`status` is "True"), is not so ("False"), or nobody knows."""

    type: str
    status: str
    reason: str
    message: str


class PodStatus(TypedDict, total=False):
    """How a pod is."""

    phase: str
    podIP: str
    reason: str
    message: str
    conditions: list[Condition]
    containerStatuses: list[ContainerStatus]
    initContainerStatuses: list[ContainerStatus]


class PodObject(Object, total=False):
    """A pod."""

    spec: PodSpec
    status: PodStatus


class ClaimStatus(TypedDict, total=False):
    """How a claim is; `Bound` where it has its volume."""

    phase: str


class ClaimObject(Object, total=False):
    """A claim of a volume."""

    status: ClaimStatus


class EventObject(TypedDict, total=False):
    """What the cluster says of something; newer ones have `eventTime` alone."""

    type: str
    reason: str
    message: str
    lastTimestamp: str
    eventTime: str


class Listing(TypedDict, total=False):
    """An answer with several objects."""

    metadata: Meta
    items: list[Raw]


class Change(TypedDict, total=False):
    """A line of a watch; the object of an `ERROR` is a `Refusal`."""

    type: str
    object: Raw


class Refusal(TypedDict, total=False):
    """Why a request is refused (Kubernetes calls it a Status)."""

    code: int
    reason: str
    message: str


def meta(raw: Raw) -> Meta:
    """What an object says of itself."""
    return shaped(Object, raw).get("metadata") or {}
