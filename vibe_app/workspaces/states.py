"""The words for what is wanted of a workspace and how it is. Pure."""

from __future__ import annotations

from enum import StrEnum

from vibe_app.board.lifecycle import WorkspaceStatus as WorkspaceStatus


class Desired(StrEnum):
    """What is wanted of a workspace."""

    STOPPED = "stopped"
    RUNNING = "running"
    ERASED = "erased"
