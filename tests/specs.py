"""What tests ask runtimes for: workspaces with the secrets that an installation would derive for them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Tenancy, WorkspaceSpec

KEY = "a key for tests"
INSTALLATION = UUID(int=0x1D)


def keys_of(project_id: UUID, epoch: int = 1) -> ServiceKeys:
    """The secrets of a workspace, as every process of the installation derives them."""
    return ServiceKeys.of(KEY, project_id, epoch)


def spec_of(project_id: UUID, *repository: Any, epoch: int = 1, **more: Any) -> WorkspaceSpec:
    """What the reconciler asks for; `repository` is its address, branch and credential."""
    return WorkspaceSpec(project_id, *repository, epoch=epoch, keys=keys_of(project_id, epoch), **more)


def tenancy(*projects: UUID, installation: UUID = INSTALLATION) -> Tenancy:
    """This installation, whose rows know these projects."""
    return Tenancy(installation, keys_of, projects)
