"""The words for what is wanted of a workspace and how it is. Pure."""

from __future__ import annotations

from enum import StrEnum


class Desired(StrEnum):
    """What is wanted of a workspace."""

    STOPPED = "stopped"
    RUNNING = "running"
    ERASED = "erased"


class WorkspaceStatus(StrEnum):
    """How a workspace is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
