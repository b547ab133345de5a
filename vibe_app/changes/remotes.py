"""A project's repository at its server: what is new there is fetched, what is accepted is pushed.

A credential leaves the database only for the one call that needs it, to a service that has proven itself.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col

from vibe_app.addresses import parse
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.projects.delivery import mode_of
from vibe_app.board.projects.models import Project
from vibe_app.clients.git import GitClient
from vibe_app.configuration.credentials import Credentials
from vibe_app.db import Database
from vibe_app.errors import InvalidRequest, Unavailable, VibeError
from vibe_app.wire import iso, now
from vibe_app.wire.git import Fetched, Push, Remote
from vibe_app.workspaces.runtimes.base import Endpoint

log = logging.getLogger(__name__)

PUSHING = 300.0
"""Seconds in which what is accepted must have been pushed."""
PATIENCE = 30.0
"""Seconds for which a run waits for its repository's server, before it begins with what is here."""


def delivers(project: Project) -> bool:
    """Whether what is accepted is pushed to the project's repository."""
    return mode_of(project) == "push"


class Remotes:
    """Fetches what is new of projects' repositories, and brings to them what is accepted.

    Args:
        database: Knows the projects.
        credentials: What signs in to their servers.
        git: Asks workspaces' repositories.
        networks: Networks of private addresses that may be reached, as in the settings.
    """

    def __init__(
        self, database: Database, credentials: Credentials, git: GitClient, networks: str = ""
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._git = git
        self._networks = networks

    async def of(self, project: Project) -> Remote | None:
        """Return where a project's repository is and what signs in there; None where it has none.

        Raises:
            InvalidRequest: Its address cannot be used.
            Unavailable: The credential was kept under another key of the installation.
        """
        if not project.repo_url:
            return None
        address = parse(project.repo_url)
        async with self._database.read() as db:
            credential = await self._credentials.get(db, project.id) or address.credential
        return Remote(
            url=project.repo_url,
            branch=project.repo_branch or "",
            username=credential.username if credential else "",
            token=credential.token if credential else "",
            host_keys=list(credential.host_keys) if credential else [],
            networks=self._networks,
        )

    async def fetch(self, endpoint: Endpoint, project: Project) -> list[str]:
        """Bring a project's base branch to what is new at its server; return sentences where that failed.

        A server that is away keeps nobody from working: the tree begins with what is here.
        """
        try:
            remote = await self.of(project)
            if remote is None:
                return []
            async with asyncio.timeout(PATIENCE):
                fetched = await self._git.fetch(endpoint, remote)
        except TimeoutError:
            why = "its server does not answer in time."
        except VibeError as error:
            why = f"{error.message[:1].lower()}{error.message[1:]}"
        else:
            await self._note(project.id, _state(fetched), fetched.moved)
            return [_DIVERGED] if fetched.outcome == "diverged" else []
        log.warning("project %s: what is new of its repository was not fetched: %s", project.id, why)
        await self._note(project.id, {"outcome": "unreachable", "why": why, "at": iso(now())}, 0)
        return [f"What is new of the repository was not fetched, and the run begins with what is here: {why}"]

    async def deliver(self, endpoint: Endpoint, project: Project, change: Change) -> dict[str, Any] | None:
        """Push what is accepted to the project's repository, where the project says so.

        Returns:
            How it stands with the repository, to be kept with the change; None where nothing is delivered.
        """
        if not delivers(project):
            return None
        try:
            remote = await self.of(project)
            if remote is None:
                raise InvalidRequest("The project names no repository to push to.", "no_repository")
            head = (await self._git.repository(endpoint)).head
            branch = remote.branch or change.base_branch
            async with asyncio.timeout(PUSHING):
                await self._git.push(endpoint, Push(remote=remote, commit=head, branch=branch))
        except TimeoutError:
            why, code = "The repository's server does not answer in time. Deliver it again.", "push_failed"
        except VibeError as error:
            why, code = error.message, error.code
        else:
            await self._note(
                project.id,
                {"outcome": "same", "branch": branch, "ahead": 0, "behind": 0, "at": iso(now())},
                0,
            )
            return {"state": "pushed", "branch": branch, "commit": head, "at": iso(now())}
        log.warning("project %s: what was accepted was not pushed: %s", project.id, why)
        return {"state": "failed", "code": code, "error": why, "at": iso(now())}

    async def _note(self, project_id: UUID, state: dict[str, Any], moved: int) -> None:
        try:
            async with self._database.transaction() as db:
                await db.execute(
                    update(Project).where(col(Project.id) == project_id).values(remote_state=state)
                )
                if moved:
                    await change_queries.base_moved(db, project_id, moved)
                    await change_queries.ask_now(db, col(Change.project_id) == project_id)
                db.announce(f"project:{project_id}")
        except Unavailable as error:
            log.warning("project %s: how its repository stands was not noted: %s", project_id, error)


_DIVERGED = (
    "The base branch and its remote have gone different ways and conflict: the run begins with what is here."
)


def _state(fetched: Fetched) -> dict[str, Any]:
    return {
        "outcome": fetched.outcome,
        "branch": fetched.branch,
        "ahead": fetched.ahead,
        "behind": fetched.behind,
        "at": iso(now()),
    }
