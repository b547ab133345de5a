"""The containers of a workspace's pod: what each runs, sees, is told and may take. Pure.

They do not share their processes: what runs beside OpenCode, the agent's
commands among it, sees neither the other services' environment nor their memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.kubernetes.names import secret_name
from vibe_app.workspaces.runtimes.layout import Layout

Json = dict[str, Any]

OPENCODE, FILES, PROXY, SIDECAR = 3000, 3001, 3002, 3003
MODEL, GATEWAY, NETWORK = 3004, 3005, 3006
SWEEPER = 3007
"""Port on the pod's loopback on which `opencode-server` ends the commands that a run left behind."""
SERVER, MODEL_DOOR = 3008, 3009
"""Where OpenCode itself listens, behind `opencode-server` at 3000, and where it asks for the models."""
CHECKOUT = "checkout"

_HOME = "/home/agent"
_DATA = "/opencode-data"
_SEEN_HOME = "/opencode-home"
_WORKSPACE = "/workspace"
_JOURNAL = "/gateway"
_VOLUME = "/volume"
_LAYOUT = Layout(Path(_WORKSPACE), Path(_HOME), Path("/given"))
# A small service of ours, which SPEC leaves open: measured at 60 to 90 MB.
_SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
# git works in it.
_FILES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
_SIDECAR = {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}


def checkout(spec: WorkspaceSpec, settings: Settings) -> Json:
    """Makes the folders of the volume before anything else starts; it alone is given the credential."""
    return _container(
        CHECKOUT,
        ["vibe", "checkout"],
        settings,
        resources={
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        env={
            "HOME": "/tmp",
            "VOLUME_DIR": _VOLUME,
            "VIBE_REPOSITORY_NETWORKS": settings.repository_networks,
            "MODEL_URL": f"http://127.0.0.1:{MODEL_DOOR}",
            "VIBE_MODEL": settings.model,
            "VIBE_MODEL_BASE_URL": settings.model_base_url,
            **_LAYOUT.as_env(),
        },
        # The address too: that it changes is no reason to replace a pod.
        secrets={"REPOSITORY": "repository"},
        project_id=spec.project_id,
        mounts=[{"name": "workspace", "mountPath": _VOLUME}, _given(), _tmp("checkout")],
    )


def opencode(project_id: UUID, settings: Settings) -> Json:
    return _container(
        "opencode-server",
        ["vibe", "opencode-server"],
        settings,
        resources={
            "requests": quantities(settings.opencode_requests),
            "limits": quantities(settings.opencode_limits),
        },
        env={
            "HOME": _HOME,
            "OPENCODE_DATA_DIR": _DATA,
            "PROJECT_ID": str(project_id),
            "PORT": str(OPENCODE),
            "SERVER_PORT": str(SERVER),
            "MODEL_PORT": str(MODEL),
            "MODEL_DOOR_PORT": str(MODEL_DOOR),
            "SWEEPER_PORT": str(SWEEPER),
            **_LAYOUT.as_env(),
        },
        secrets={
            "OPENCODE_SERVER_PASSWORD": "password",
            hermetic.TOKEN_VARIABLE: "model-token",
        },
        project_id=project_id,
        mounts=[
            # The repository, the base's files, and what is ours can only be read where the agent runs.
            _workspace() | {"readOnly": True},
            _workspace(_LAYOUT.tasks.name),
            {"name": "workspace", "mountPath": _DATA, "subPath": "opencode"},
            {"name": "home", "mountPath": _HOME},
            _given() | {"readOnly": True},
            *(
                _given() | {"mountPath": str(seen), "subPath": lies.name, "readOnly": True}
                for seen, lies in _LAYOUT.covered.items()
            ),
            _tmp("opencode"),
        ],
    )


def files(project_id: UUID, settings: Settings) -> Json:
    return _container(
        "file-browser",
        ["vibe", "file-browser"],
        settings,
        resources=_FILES,
        env=_service_env(project_id, FILES, settings)
        | {"FILES_UPLOAD_MIB": str(settings.upload_mib), "FILES_ARCHIVE_MIB": str(settings.archive_mib)},
        secrets={"SIDECAR_TOKEN": "token"},
        project_id=project_id,
        mounts=[_workspace(), _tmp("files")],
        ports=(FILES,),
    )


def proxy(project_id: UUID, settings: Settings) -> Json:
    return _container(
        "session-proxy",
        ["vibe", "session-proxy"],
        settings,
        resources=_SMALL,
        env=_service_env(project_id, PROXY, settings) | {"OPENCODE_URL": f"http://127.0.0.1:{OPENCODE}"},
        secrets={"SIDECAR_TOKEN": "token", "OPENCODE_SERVER_PASSWORD": "password"},
        project_id=project_id,
        mounts=[_workspace() | {"readOnly": True}, _tmp("proxy")],
        ports=(PROXY,),
    )


def sidecar(project_id: UUID, settings: Settings, pace: float) -> Json:
    described = _container(
        "opencode-server-sidecar",
        ["vibe", "sidecar-and-gateway"],
        settings,
        resources=_SIDECAR,
        env=_service_env(project_id, SIDECAR, settings)
        | {
            "OPENCODE_URL": f"http://127.0.0.1:{OPENCODE}",
            "SWEEPER_URL": f"http://127.0.0.1:{SWEEPER}",
            "GATEWAY_URL": f"http://127.0.0.1:{GATEWAY}",
            "MODEL_PORT": str(MODEL),
            "CONTROL_PORT": str(GATEWAY),
            "PROXY_PORT": str(NETWORK),
            "JOURNAL_DIR": _JOURNAL,
            "OPENCODE_HOME": _SEEN_HOME,
            "GUIDANCE_FILE": str(_LAYOUT.guidance),
            "REHEARSAL_PACE": f"{pace:g}",
        },
        secrets={
            "SIDECAR_TOKEN": "token",
            "OPENCODE_SERVER_PASSWORD": "password",
            "REHEARSAL_KEY": "rehearsal-key",
            "GATEWAY_TOKEN": "model-token",
        },
        project_id=project_id,
        mounts=[
            _workspace() | {"readOnly": True},
            # OpenCode's configuration, and the journals.
            _workspace(_LAYOUT.ours.name),
            # The gateway's journal: no other container has it.
            {"name": "workspace", "mountPath": _JOURNAL, "subPath": "gateway"},
            # All of a long output lies in OpenCode's data.
            {
                "name": "workspace",
                "mountPath": f"{_SEEN_HOME}/.local/share",
                "subPath": "opencode",
                "readOnly": True,
            },
            _given(),
            _tmp("sidecar"),
        ],
        ports=(SIDECAR, GATEWAY),
    )
    return described | {
        "livenessProbe": _probe("/health", delay=15, period=10),
        "readinessProbe": _probe("/ready", delay=10, period=5),
    }


def _probe(path: str, *, delay: int, period: int) -> Json:
    return {
        "httpGet": {"path": path, "port": SIDECAR},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }


def _container(
    name: str,
    command: list[str],
    settings: Settings,
    *,
    resources: Mapping[str, Any],
    env: Mapping[str, str],
    mounts: list[Json],
    secrets: Mapping[str, str] | None = None,
    project_id: UUID | None = None,
    ports: Sequence[int] = (),
) -> Json:
    variables: list[Json] = [{"name": key, "value": value} for key, value in env.items()]
    if secrets and project_id:
        source = secret_name(project_id)
        variables += [
            {"name": key, "valueFrom": {"secretKeyRef": {"name": source, "key": part}}}
            for key, part in secrets.items()
        ]
    described: Json = {
        "name": name,
        "image": settings.opencode_server_image,
        "command": command,
        "env": variables,
        "resources": resources,
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
        # The last lines of a container that fails become its words in the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if ports:
        described["ports"] = [{"containerPort": port} for port in ports]
    return described


def _service_env(project_id: UUID, port: int, settings: Settings) -> dict[str, str]:
    return {
        "HOME": "/tmp",
        "WORKSPACE_DIR": _WORKSPACE,
        "PROJECT_ID": str(project_id),
        "HOST": "0.0.0.0",
        "PORT": str(port),
        "LOG_LEVEL": settings.log_level,
        "PYTHONUNBUFFERED": "1",
    }


def _workspace(*below: str) -> Json:
    """All of a workspace, or a folder in it."""
    return {
        "name": "workspace",
        "mountPath": "/".join((_WORKSPACE, *below)),
        "subPath": "/".join(("workspace", *below)),
    }


def _given() -> Json:
    return {"name": "given", "mountPath": str(_LAYOUT.given)}


def _tmp(name: str) -> Json:
    return {"name": f"tmp-{name}", "mountPath": "/tmp"}


def quantities(text: str) -> dict[str, str]:
    """Read `cpu=250m,memory=512Mi`, which the settings have checked."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): amount.strip() for name, _, amount in pairs}
