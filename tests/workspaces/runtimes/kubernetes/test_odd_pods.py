"""A cluster says of a pod something of another kind than it should: it is not known, and nothing breaks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from vibe_app.workspaces.runtimes.kubernetes import pods
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import Raw
from vibe_app.workspaces.runtimes.kubernetes.names import EPOCH_MARK, PROJECT_LABEL

PROJECT = uuid4()
ODD = [None, True, -1, 10**400, 10**5000, float("nan"), "word", [], [None, [None]], {}, {"x": None}]
_ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "too much\n"}}
POD: dict[str, Any] = {
    "metadata": {
        "name": "opencode-x",
        "uid": "1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {PROJECT_LABEL: str(PROJECT)},
        "annotations": {EPOCH_MARK: "3"},
    },
    "spec": {
        "containers": [
            {"name": "opencode-server", "image": "i", "resources": {"limits": {"memory": "1Gi"}}},
            {"name": "opencode-server-sidecar", "image": "i"},
        ],
        "initContainers": [{"name": "checkout", "image": "i"}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {"name": "opencode-server", "restartCount": 2, "state": _ENDED, "lastState": _ENDED},
            {"name": "opencode-server-sidecar", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
        ],
        "initContainerStatuses": [
            {"name": "checkout", "state": {"terminated": {"exitCode": 0, "message": '["A submodule."]'}}}
        ],
    },
}
Way = tuple[str | int, ...]


def ways(value: object, before: Way = ()) -> Iterator[Way]:
    """Every place in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*before, key)
        yield from ways(each, (*before, key))


def whose(raw: Raw) -> UUID | None:
    """Read a pod, have everything said of it that can be, and return whose it is."""
    pod = pods.read(raw)
    if pod is None:
        return None
    for words in (pods.fault, pods.trouble, pods.step, pods.final):
        words(pod)
    pods.overdue(pod, 20, "")
    return pod.project_id


def test_the_shapes_leave_out_nothing_that_is_read():
    pod = pods.read(POD)
    assert pod
    assert (pod.project_id, pod.epoch, pod.version, pod.ip, pod.phase) == (
        PROJECT,
        3,
        7,
        "10.0.0.1",
        "Running",
    )
    assert (pod.ready, pod.unplaced, pod.notices) == (False, False, ("A submodule.",))
    assert pods.trouble(pod) == "OpenCode used up its memory (its limit is 1Gi) and was ended."
    assert pods.final(pod)


@pytest.mark.parametrize("way", list(ways(POD)), ids=lambda way: ".".join(map(str, way)))
def test_something_odd_in_any_place_breaks_nothing(way: Way):
    for odd in ODD:
        raw = copy.deepcopy(POD)
        place: Any = raw
        for key in way[:-1]:
            place = place[key]
        place[way[-1]] = odd
        assert whose(raw) in (PROJECT, None)
        if "labels" not in way and way != ("metadata",):
            assert whose(raw) == PROJECT
