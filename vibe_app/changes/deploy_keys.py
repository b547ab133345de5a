"""The deploy key of a project whose repository has an ssh address, and by what its server is recognised."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.addresses import Address, Credential, parse
from vibe_app.board.access import require
from vibe_app.board.projects.models import Project
from vibe_app.configuration import deploy_keys
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database
from vibe_app.errors import InvalidRequest
from vibe_app.networks import networks
from vibe_app.schema import Str, Taken, View, documented
from vibe_app.workspace_services.git import host_keys
from vibe_app.workspaces.rows import WorkspaceRows


class SetDeployKey(Taken):
    """What to keep; what is absent stays as it is."""

    private_key: (
        Annotated[Str, documented(format="password", description="A private key without a passphrase")] | None
    ) = None
    new: bool = Field(default=False, description="Make another key in place of the one that is kept")
    host_keys: list[Annotated[Str, documented(example="ssh-ed25519 AAAAC3NzaC1lZDI1…")]] | None = Field(
        default=None,
        max_length=100,
        description="Lines as in known_hosts: by these the server is recognised",
    )


class HostKey(View):
    """By what a server is recognised."""

    key: str = Field(description="Kind and key, as in known_hosts")
    fingerprint: str = Field(description="As ssh shows it: SHA256:…")


class HostKeys(View):
    """What a server shows."""

    host_keys: list[HostKey]


class DeployKeyView(HostKeys):
    """A deploy key, without its private half."""

    public_key: str | None = Field(description="What the server is given; null where there is none")


class DeployKeys:
    """The verbs of deploy keys; all are for owners.

    Args:
        database: Knows the projects.
        credentials: Keeps the keys.
        workspaces: Forgives a workspace that could not be made for want of one.
        private: Networks of private addresses that may be reached, as in the settings.
    """

    def __init__(
        self, database: Database, credentials: Credentials, workspaces: WorkspaceRows, private: str = ""
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._workspaces = workspaces
        self._private = private

    async def read(self, actor: Actor, project_id: UUID) -> DeployKeyView:
        """Return a project's deploy key without its private half.

        Raises:
            InvalidRequest: Its repository has no ssh address.
            Unavailable: The key was kept under another key of the installation.
        """
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.READ)
            _address(project)
            return _view(await self._kept(db, project_id))

    async def put(self, actor: Actor, project_id: UUID, asked: SetDeployKey) -> DeployKeyView:
        """Keep what is given, and make a key where there is none.

        Raises:
            InvalidRequest: A key cannot be used, or the repository has no ssh address.
            Unavailable: The key was kept under another key of the installation.
        """
        given = deploy_keys.clean(asked.private_key) if asked.private_key else ""
        lines = None if asked.host_keys is None else deploy_keys.host_keys(asked.host_keys)
        async with self._database.transaction() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE, lock=True)
            _address(project)
            kept = await self._kept(db, project_id)
            key = given or ("" if asked.new else kept.token) or deploy_keys.make()
            credential = Credential("", key, kept.host_keys if lines is None else lines)
            await self._credentials.put(db, project_id, credential)
            await self._workspaces.forgive(db, project_id)
            db.announce(f"project:{project_id}", "projects")
        return _view(credential)

    async def scan(self, actor: Actor, project_id: UUID) -> list[HostKey]:
        """Return what a project's ssh server shows; nothing of it is proven or kept.

        Raises:
            InvalidRequest: The repository has no ssh address, or may not be reached.
            Unavailable: It does not answer.
        """
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.OWNER, Scope.WRITE)
            address = _address(project)
        found = await host_keys.scan(address, networks(self._private))
        return _shown(deploy_keys.host_keys(found))

    async def _kept(self, db: AsyncSession, project_id: UUID) -> Credential:
        return await self._credentials.get(db, project_id) or Credential("", "")


def _address(project: Project) -> Address:
    address = parse(project.repo_url) if project.repo_url else None
    if address is None or address.scheme != "ssh":
        raise InvalidRequest(
            "A deploy key is for a repository with an ssh address, such as git@host:team/app.git.",
            "no_place_for_credential",
        )
    return address


def _view(credential: Credential) -> DeployKeyView:
    public = deploy_keys.public_half(credential.token) if credential.token else None
    return DeployKeyView(public_key=public, host_keys=_shown(credential.host_keys))


def _shown(lines: tuple[str, ...]) -> list[HostKey]:
    return [HostKey(key=line, fingerprint=deploy_keys.fingerprint(line)) for line in lines]
