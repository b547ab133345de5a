"""What a workspace is made of on a cluster, as plain data: a claim, a Secret, a pod.

Pure functions of the project and the settings. They ask no cluster; the tests hold
them against the published schemas and the restricted Pod Security profile.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from uuid import UUID

from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.kubernetes import containers
from vibe_app.workspaces.runtimes.kubernetes.containers import Json
from vibe_app.workspaces.runtimes.kubernetes.names import (
    EPOCH_MARK,
    KEYS_MARK,
    PROOF_MARK,
    SERVICE_ACCOUNT,
    SETTINGS_MARK,
    TREES_MARK,
    claim_name,
    labels,
    pod_name,
    secret_name,
)

GRACE = 30
"""Seconds that the services of a pod have for ending."""
_USER = 10001


def claim(project_id: UUID, settings: Settings, installation: UUID) -> Json:
    """The claim of the volume that outlives the pod."""
    wanted: Json = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": settings.kubernetes_storage}},
    }
    if settings.kubernetes_storage_class:
        wanted["storageClassName"] = settings.kubernetes_storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim_name(project_id), "labels": labels(project_id, installation)},
        "spec": wanted,
    }


def secret(spec: WorkspaceSpec, installation: UUID) -> Json:
    """The Secret from which each container is given its own part."""
    credential = spec.credential
    repository = {
        "url": spec.repo_url,
        "branch": spec.branch,
        "credential": credential and credential.packed,
    }
    values = {
        "token": spec.keys.token,
        "password": spec.keys.password,
        "rehearsal-key": spec.keys.rehearsal_key,
        "model-token": spec.keys.model_token,
        "repository": json.dumps(repository),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret_name(spec.project_id),
            "labels": labels(spec.project_id, installation),
        },
        "type": "Opaque",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
    }


def pod(spec: WorkspaceSpec, settings: Settings, installation: UUID, *, pace: float = 1.0) -> Json:
    """The pod: OpenCode, file browser, session proxy, and sidecar with gateway, on one volume.

    Args:
        spec: The project; only a fingerprint of its secrets is in the result.
        settings: Image, resources and model.
        installation: Whose it is.
        pace: Factor on the rehearsal model's pauses.
    """
    wanted: Json = {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [containers.checkout(spec, settings)],
        "containers": [
            containers.opencode(spec.project_id, settings),
            containers.files(spec.project_id, settings),
            containers.proxy(spec.project_id, settings),
            containers.sidecar(spec.project_id, settings, pace),
        ],
        "volumes": [
            {
                "name": "workspace",
                "persistentVolumeClaim": {"claimName": claim_name(spec.project_id)},
            },
            _empty("home", "2Gi"),
            # What OpenCode is handed: its own container can only read it.
            _empty("given", "8Mi"),
            # One for each container: what the agent leaves in its own reaches no other service.
            *(_empty(f"tmp-{name}", "1Gi") for name in ("checkout", "opencode", "files", "proxy", "sidecar")),
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(spec.project_id),
            "labels": labels(spec.project_id, installation),
            "annotations": {
                EPOCH_MARK: str(spec.epoch),
                KEYS_MARK: spec.keys.mark,
                SETTINGS_MARK: _fingerprint(wanted),
                PROOF_MARK: "1",
                TREES_MARK: "1",
            },
        },
        "spec": wanted,
    }


def _empty(name: str, limit: str) -> Json:
    return {"name": name, "emptyDir": {"sizeLimit": limit}}


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
