"""What a runtime is: the place where workspaces live, behind a few verbs.

The reconciler knows this protocol and nothing of processes or pods. One suite of
contract tests runs against every runtime and against the fakes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from vibe_app.addresses import Credential, parse
from vibe_app.networks import networks
from vibe_app.workspace_services.git.cloning import Source
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.states import WorkspaceStatus


@dataclass(frozen=True)
class WorkspaceSpec:
    """What a runtime must know to make a project's workspace.

    Args:
        project_id: Names everything; nothing else needs to be remembered.
        repo_url: A repository to clone into a new workspace, or None for an empty one.
        branch: Which branch of it; None for the one that it names itself.
        credential: What signs in to its server, if anything.
        epoch: Which start of the workspace this is, from 1.
        keys: The secrets of its services in that epoch.
        remade: Whether there were files before: where there are none any more, people are told.
    """

    project_id: UUID
    repo_url: str | None = None
    branch: str | None = None
    credential: Credential | None = field(default=None, repr=False)
    epoch: int = 0
    keys: ServiceKeys = field(default=ServiceKeys("", "", ""), repr=False)
    remade: bool = False

    def source(self, private: str) -> Source | None:
        """What is to be cloned, if anything.

        Args:
            private: Networks of private addresses that may be reached, as in the settings.

        Raises:
            InvalidRequest: The address cannot be used.
        """
        if not self.repo_url:
            return None
        address = parse(self.repo_url)
        credential = self.credential or address.credential
        return Source(replace(address, credential=None), self.branch or "", credential, networks(private))


@dataclass(frozen=True)
class Endpoint:
    """Where a workspace's services answer, and the one token that each wants as `Bearer`.

    Args:
        url: The sidecar's address, without a slash at the end.
        token: The project's secret, the same for all of its services.
        files_url: The file browser's address; empty where a workspace has none.
        proxy_url: The session proxy's address; empty where a workspace has none.
        notices: Sentences on what of the repository is not in the workspace.
        gateway_url: Where the gateway takes the engine's calls; empty where a workspace has none.
        rehearsal_key: The key of the sidecar's rehearsal model, for the gateway.
        proves: Whether its services prove themselves before they are told anything (`wire.proof`); those
            that an earlier version started cannot.
        trees: Whether each card has a tree of its own there; one that an earlier version started has none.
    """

    url: str
    token: str
    files_url: str = ""
    proxy_url: str = ""
    notices: tuple[str, ...] = ()
    gateway_url: str = ""
    rehearsal_key: str = field(default="", repr=False)
    proves: bool = False
    trees: bool = False


Progress = Callable[[str], Awaitable[None]]
"""Takes one sentence of progress for people ("Cloning the repository: 42 %")."""

OnStatus = Callable[[UUID, WorkspaceStatus, str | None, Endpoint | None], Awaitable[None]]
"""Takes a project, how its workspace is, a reason or step in words, and where it answers once it is ready."""


@dataclass(frozen=True)
class Tenancy:
    """As whom a runtime works, beside others that may share the place.

    Args:
        installation: What names this installation.
        keys: Says the secrets of a workspace in an epoch.
        projects: Every project that has a workspace's row.
    """

    installation: UUID
    keys: KeysOf
    projects: Collection[UUID]


KeysOf = Callable[[UUID, int], ServiceKeys]
"""Takes a project and an epoch, and says the secrets of its services."""

OnTrouble = Callable[[UUID, str, bool], None]
"""Takes a project, a sentence on how a service of its workspace, or all of it, ended unasked, and whether
running again would end in the same way."""


FILES_GONE = "The workspace's files were gone, so it was made anew."
"""Is told of a workspace whose folder or volume was deleted between two starts."""


class Runtime(Protocol):
    """A place where workspaces live. The reconciler alone calls it, one process at a time.

    `ensure` and `stop` are idempotent: asking twice is asking once, also at the
    same time. A half-made workspace can always be stopped by the project's id
    alone, with no memory of the start. Names derive from the project's id.
    """

    async def open(self, tenancy: Tenancy) -> None:
        """Get ready for use: find again what an earlier process left running, or clean it up.

        Args:
            tenancy: Whose workspaces these are.

        Raises:
            Unavailable: The place cannot be reached, or another process still uses it.
        """

    async def close(self, keep: Collection[UUID] | None = None) -> None:
        """Let go. What goes on is found again by the next `open`.

        Args:
            keep: Projects whose workspaces go on, for those with a live session; the
                others are stopped. None keeps all.
        """

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Make the workspace exist and answer, and say where.

        Returns once the sidecar reports ready. Any service of it that has died
        is started again; one that lives is left alone, whatever epoch is asked for.

        Raises:
            CannotStart: It cannot be started, and trying again is of no use before something is changed.
            Unavailable: It cannot be started; the message says why and what to do.
            InvalidRequest: The repository's address cannot be used.
        """
        ...

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """End every process of the workspace; keep its files unless `erase`.

        Returns when nothing of it runs any more. A workspace that does not
        exist is already stopped.

        Raises:
            Unavailable: Something of it does not end.
            OSError: The files cannot be removed.
        """

    async def alive(self) -> dict[UUID, int]:
        """Return the projects whose workspace runs now, and the epoch in which each was started."""
        ...

    async def held(self) -> dict[UUID, int]:
        """Return the projects of which anything runs, whether or not all that is needed, with its epoch."""
        ...

    async def found(self) -> set[UUID]:
        """Return the projects of which anything is here, running or not.

        Raises:
            Unavailable: The place cannot be looked into.
        """
        ...

    async def outdated(self) -> set[UUID]:
        """Return the projects whose workspace runs with other settings than it would be started with now."""
        ...
