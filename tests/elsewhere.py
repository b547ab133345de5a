"""A runtime whose workspaces somebody else keeps running, in another process than the app's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

from vibe_app.errors import Unavailable
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, Tenancy, WorkspaceSpec

EPOCH = 1
"""In which all of them were started, for whose services want a token that derives (`tests.specs`)."""


class ElsewhereRuntime:
    """Workspaces that are there for every project, and stay whatever is asked.

    Args:
        where: Says where a project's sidecar answers; None where it has none. Their tokens derive like
            any other's: a sidecar that is not told the installation's key must trust whoever asks.
    """

    def __init__(self, where: Callable[[UUID], Endpoint | None]) -> None:
        self._where = where
        self._known: set[UUID] = set()

    async def open(self, tenancy: Tenancy) -> None:
        """Every workspace of before is still there."""
        self._known |= set(tenancy.projects)

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Nothing is to be let go of."""

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Return where the project's sidecar answers.

        Raises:
            Unavailable: Nowhere.
        """
        found = self._where(spec.project_id)
        if found is None:
            raise Unavailable("There is no workspace for this project.")
        self._known.add(spec.project_id)
        return found

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """Leave it to whoever runs it."""
        self._known.discard(project_id)

    async def alive(self) -> dict[UUID, int]:
        """Return every project that was asked for."""
        return {project_id: EPOCH for project_id in self._known if self._where(project_id)}

    async def held(self) -> dict[UUID, int]:
        """Return every project that was asked for, or would be found."""
        return await self.alive()

    async def found(self) -> set[UUID]:
        """Return none: nothing of them is this process's to erase."""
        return set()

    async def outdated(self) -> set[UUID]:
        """Return none."""
        return set()
