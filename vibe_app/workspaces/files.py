"""Who may do what with a workspace's files, and where they are; the proxy to its OpenCode.

The verbs are the file browser's own: `clients.files`, `wire.files`. A workspace that is stopped is
started first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.projects.delivery import base_refusal, by_request
from vibe_app.board.projects.models import Project
from vibe_app.clients.files import FileReader, FileWriter
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import Answer, Call, WorkspaceClient, lasting
from vibe_app.db import Database
from vibe_app.errors import Conflict, Unavailable
from vibe_app.wire.git import Person, SaveOnBase
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

log = logging.getLogger(__name__)

_TRIES = 3


class Files:
    """Files of workspaces, on whichever runtime.

    Each raises `NotFound` where there is no such project, `Forbidden` where the actor's role
    is not enough, `Unavailable` where the workspace cannot be started or its disk is full, and
    `TooMany` where the actor has woken too many others.

    Args:
        database: Knows the projects and who belongs to them.
        workspaces: Starts them, and holds them awake for what lasts.
        client: Talks to their services.
    """

    def __init__(self, database: Database, workspaces: Workspaces, client: WorkspaceClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._client = client
        self._git = GitClient(client)

    async def reading(self, actor: Actor, project_id: UUID) -> FileReader:
        """Return the verbs that a viewer has."""
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return FileReader(self._client, endpoint, partial(self._workspaces.held, project_id))

    async def writing(self, actor: Actor, project_id: UUID) -> FileWriter:
        """Return the verbs that an editor has.

        Of a project that delivers by request only what git ignores is changed of the base branch's files:
        for anything else there each verb raises `Conflict` (`delivers_by_request`).
        """
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR)
        held = partial(self._workspaces.held, project_id)
        if not endpoint.trees:
            return FileWriter(self._client, endpoint, held)
        async with self._database.read() as db:
            project = await db.get(Project, project_id)
        refused = base_refusal() if project is not None and by_request(project) else None
        saved = partial(self._save, endpoint, actor, project_id)
        return FileWriter(self._client, endpoint, held, saved, refused)

    async def _save(
        self, endpoint: Endpoint, actor: Actor, project_id: UUID, paths: Sequence[str], words: str
    ) -> None:
        """Make what a person has changed of the base branch's files a commit by them."""
        author = Person(name=actor.name or actor.email, email=actor.email)
        wanted = SaveOnBase(paths=list(paths), author=author, message=words)
        for _ in range(_TRIES):
            try:
                done = await self._git.save_on_base(endpoint, wanted)
            except Conflict as error:
                # An accepted change came in between.
                log.info("a save on the base branch is tried again: %s", error)
            else:
                if done.commit is not None:
                    async with self._database.transaction() as db:
                        await change_queries.base_moved(db, project_id, 1)
                        db.announce(f"project:{project_id}")
                return
        raise Unavailable(
            "The file is written, and is no commit of the base branch yet: save it again.", "not_committed"
        )

    async def opencode(self, actor: Actor, project_id: UUID, call: Call) -> Answer:
        """Ask the workspace's OpenCode itself, as far as its session proxy lets it pass; close the answer.

        Raises:
            Forbidden: This call does not pass, or the actor may not execute.
            InvalidRequest: What it asks for does not pass, or it asks for OpenCode's web page.
        """
        scope = Scope.READ if call.method == "GET" else Scope.RUN
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR, scope, executes=True)
        held = self._workspaces.held(project_id)
        return await lasting(held, self._client.opencode(endpoint, call))

    async def _at(
        self,
        actor: Actor,
        project_id: UUID,
        needed: ProjectRole,
        scope: Scope | None = None,
        *,
        executes: bool = False,
    ) -> Endpoint:
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, needed, scope)
        if executes:
            actor.need_execution()
        await self._workspaces.wake(actor, project.id)
        return await self._workspaces.ensure(project.id, person=actor.user_id)
