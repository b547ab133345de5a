"""What everything of a workspace is called on a cluster: its objects, their labels and their marks. Pure."""

from __future__ import annotations

from uuid import UUID

APP = "opencode-server"
PROJECT_LABEL = "project-id"
SERVICE_ACCOUNT = "opencode-pod-sa"
INSTALLATION_LABEL = "vibe/installation"
KEYS_MARK = "vibe/keys"
SETTINGS_MARK = "vibe/settings"
EPOCH_MARK = "vibe/epoch"
PROOF_MARK = "vibe/proof"
"""Tells that a pod's services prove themselves before they are told anything: see `wire.proof`."""
TREES_MARK = "vibe/trees"
"""Tells that each card has a tree of its own in a pod's workspace."""


def pod_name(project_id: UUID) -> str:
    """The name of a project's pod."""
    return f"opencode-{project_id}"


def claim_name(project_id: UUID) -> str:
    """The name of a project's volume claim."""
    return f"opencode-workspace-{project_id}"


def secret_name(project_id: UUID) -> str:
    """The name of a project's Secret."""
    return f"opencode-secrets-{project_id}"


def labels(project_id: UUID, installation: UUID) -> dict[str, str]:
    """What everything of a workspace is labelled with, to be found again by its own installation alone."""
    return {
        "app": APP,
        PROJECT_LABEL: str(project_id),
        INSTALLATION_LABEL: str(installation),
        "app.kubernetes.io/managed-by": "vibe",
    }
