"""What a project says of its repository: address, branch, credential. Pure but for the rows it is given."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app import addresses
from vibe_app.accounts.roles import Actor
from vibe_app.addresses import Address, Credential
from vibe_app.board.projects.models import Project
from vibe_app.errors import Forbidden, InvalidRequest

log = logging.getLogger(__name__)

FIELDS = ("repo_url", "branch", "repo_credential")
"""What a patch of a project says of its repository."""
CREDENTIAL_CHARS = 4000
BRANCH_CHARS = 255
# gitrevisions(7) and git-check-ref-format(1).
_NO_BRANCH = re.compile(r"[\s~^:?*\[\\\x7f]|\.\.|@\{|//|^[-/.]|/\.|\.lock(/|$)|[./]$|^@$")


class Credentials(Protocol):
    """Where credentials of repositories are kept, in the caller's transaction."""

    async def put(self, db: AsyncSession, project_id: UUID, credential: Credential | None) -> None:
        """Keep a credential in place of the one before; None forgets it."""

    async def having(self, db: AsyncSession, project_ids: Collection[UUID]) -> set[UUID]:
        """Return those of the projects that have one."""
        ...


def changed(actor: Actor, project: Project, given: Mapping[str, Any]) -> tuple[bool, Credential | None]:
    """Write address and branch into a project; tell whether its credential changes, and to what.

    A credential belongs to the server for which it was given: with another server, or none, it goes.

    Args:
        actor: Who asks.
        project: The project; its row is changed.
        given: What of `FIELDS` is to change, as a patch gives it.

    Raises:
        InvalidRequest: A value cannot be accepted.
        Forbidden: The address is a folder of the server, and the actor no admin.
    """
    changes, credential = "repo_credential" in given, None
    if (typed := given.get("repo_credential")) is not None:
        credential = typed.credential()
    url = given.get("repo_url")
    if "repo_url" in given and (url or "").strip() != (project.repo_url or ""):
        before, address = _known(project.repo_url), _address(actor, url)
        if not changes:
            moved = before is None or address is None or address.origin != before.origin
            credential = address.credential if address else None
            changes = moved or credential is not None
        project.repo_url = str(address) if address else None
    if "branch" in given:
        project.repo_branch = clean_branch(given["branch"])
    if credential is not None:
        _check(credential, _known(project.repo_url))
    return changes, credential


def clean_branch(value: str | None) -> str | None:
    """Return the name of a branch, or None for the repository's own.

    Raises:
        InvalidRequest: git knows no branch of such a name.
    """
    name = (value or "").strip()
    if not name:
        return None
    if len(name.encode()) > BRANCH_CHARS or not name.isprintable() or _NO_BRANCH.search(name):
        raise InvalidRequest("This cannot be the name of a branch.", "invalid_branch")
    return name


async def take_credentials_out(db: AsyncSession, credentials: Credentials) -> int:
    """Take credentials out of addresses that earlier versions stored; return of how many projects.

    It is harmless to repeat. What can no longer be read as an address loses what stands before its host.
    """
    found = 0
    for project in await db.scalars(select(Project).where(col(Project.repo_url).contains("@"))):
        stored = project.repo_url or ""
        address = _known(stored)
        if address is not None and address.credential is not None:
            await credentials.put(db, project.id, address.credential)
            project.repo_url = str(address)
        elif address is None and (clean := addresses.bare(stored)) != stored:
            project.repo_url = clean
        else:
            continue
        found += 1
    return found


def _address(actor: Actor, url: str | None) -> Address | None:
    if not (url or "").strip():
        return None
    address = addresses.parse(url or "")
    if address.scheme == "file" and not actor.is_admin:
        raise Forbidden("Only an admin can name a folder of the server as a repository.", "admins_only")
    return address


def _known(url: str | None) -> Address | None:
    """Read a stored address; None where there is none, or one that is not taken any more."""
    try:
        return addresses.parse(url) if url else None
    except InvalidRequest:
        return None


def _check(credential: Credential, address: Address | None) -> None:
    if address is None or address.scheme not in ("https", "http"):
        raise InvalidRequest(
            "A token needs a repository with an https:// address.", "no_place_for_credential"
        )
    for value in (credential.username, credential.token):
        if len(value) > CREDENTIAL_CHARS or not value.isprintable() or value != value.strip():
            raise InvalidRequest(
                "The name and the token must be one line each, without spaces around.", "invalid_credential"
            )
    if not (credential.token or credential.username):
        raise InvalidRequest("Give the token.", "invalid_credential")
