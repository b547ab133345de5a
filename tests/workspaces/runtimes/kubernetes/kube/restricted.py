"""Kubernetes' Pod Security profile "restricted", as a check of one pod.

After https://kubernetes.io/docs/concepts/security/pod-security-standards/, with what Vibe
asks of itself on top: a read-only root, no token of the cluster, no shared processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: Json) -> list[str]:
    """Everything about a pod that the profile, or Vibe, does not allow."""
    return list(_of_pod(pod["spec"]))


def _of_pod(spec: Json) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if spec.get(name):
            yield f"{name} is set"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the service account's token is mounted"
    for volume in spec.get("volumes", []):
        if kinds := volume.keys() - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(kinds)}"
    context = spec.get("securityContext") or {}
    if context.get("sysctls") or context.get("windowsOptions"):
        yield "sysctls or windowsOptions are set"
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        for fault in _of_container(container, context):
            yield f"container {container['name']}: {fault}"


def _of_container(container: Json, pod: Json) -> Iterator[str]:
    own = container.get("securityContext") or {}
    merged = pod | own
    capabilities = own.get("capabilities") or {}
    if merged.get("runAsNonRoot") is not True:
        yield "may run as root"
    if not merged.get("runAsUser"):
        yield "does not name its user by a number other than 0"
    if own.get("privileged") or own.get("procMount", "Default") != "Default":
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if (merged.get("seccompProfile") or {}).get("type") not in _SECCOMP:
        yield "has no seccomp profile"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "takes a port of the node"
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "host" in ((container.get(probe) or {}).get("httpGet") or {}):
            yield "has a probe of another host"
