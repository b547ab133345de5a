"""What becomes of what is accepted in a project. Pure but for the row it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vibe_app.board.projects.models import Project
from vibe_app.errors import Conflict, InvalidRequest

FIELDS = ("delivery", "delivery_host")
"""What a patch of a project says of it."""
DELIVERIES = ("none", "push", "request")
"""It stays; it is pushed to the repository's branch; it goes there as a branch with a pull request."""
HOSTS = ("auto", "github", "gitlab", "gitea", "none")
"""Whose API opens requests: by well-known names, as it is said, or nobody's."""


def mode_of(project: Project) -> str:
    """Return which of `DELIVERIES` a project has."""
    return (project.delivery or {}).get("mode", "none")


def host_of(project: Project) -> str:
    """Return which of `HOSTS` a project's repository is at."""
    return (project.delivery or {}).get("host", "auto")


def by_request(project: Project) -> bool:
    """Whether a project delivers by pull request: then nothing of ours moves its base branch."""
    return mode_of(project) == "request"


def changed(project: Project, given: Mapping[str, Any]) -> None:
    """Write into a project what a patch says of its delivery; None is the usual one.

    Args:
        project: The project, with its repository as it is to be; its row is changed.
        given: What of `FIELDS` is to change.

    Raises:
        InvalidRequest: It is to deliver by request and names no repository.
    """
    if given:
        mode = given.get("delivery", mode_of(project)) or "none"
        host = given.get("delivery_host", host_of(project)) or "auto"
        project.delivery = {"mode": mode, "host": host}
    if by_request(project) and not project.repo_url:
        raise InvalidRequest(
            "Delivery by pull request needs a repository: give its address, or choose another delivery.",
            "no_repository",
        )


def base_refusal() -> Conflict:
    """Return why a file is not saved on the base branch of a project that delivers by request."""
    return Conflict(
        "This project delivers by pull request: its base branch moves only when what was merged at the"
        " repository is fetched, so only files that git ignores are saved on it here. Make the change in a"
        " card's files and accept it, or push it to the repository.",
        "delivers_by_request",
    )
