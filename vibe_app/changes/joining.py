"""What people do about a project's repository at its server: ask it for what is new, and have an agent bring
together what has gone different ways.
"""

from __future__ import annotations

from uuid import UUID

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require
from vibe_app.board.changes.wording import join_prompt
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.board.topics import card_topics
from vibe_app.changes.remotes import Remotes
from vibe_app.db import Database
from vibe_app.errors import Conflict, InvalidRequest
from vibe_app.workspaces.service import Workspaces


class Joining:
    """The verbs of a project's remote.

    Args:
        database: Knows the projects.
        workspaces: Makes workspaces ready.
        remotes: Fetches.
    """

    def __init__(self, database: Database, workspaces: Workspaces, remotes: Remotes) -> None:
        self._database = database
        self._workspaces = workspaces
        self._remotes = remotes

    async def fetch(self, actor: Actor, project_id: UUID) -> None:
        """Bring a project's base branch to what is new at its server, now, and note how it stands.

        A server that does not answer is noted too: that is how it stands.

        Args:
            actor: Who asks; an editor.
            project_id: Which.

        Raises:
            InvalidRequest: The project names no repository.
            Unavailable: Its workspace cannot be started.
        """
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.EDITOR, Scope.WRITE)
        if not project.repo_url:
            raise InvalidRequest(
                "The project names no repository: its owner can, in the settings.", "no_repository"
            )
        await self._workspaces.wake(actor, project_id)
        endpoint = await self._workspaces.ensure(project_id, person=actor.user_id)
        if not endpoint.trees:
            raise Conflict("The workspace has no repository of cards yet: restart it.", "no_hub")
        await self._remotes.fetch(endpoint, project)

    async def join(self, actor: Actor, project_id: UUID) -> tuple[UUID, bool]:
        """Make a card whose agent brings the base branch together with its remote, from which it has parted.

        While such a card is not done it is the one: asking again is asking once.

        Args:
            actor: Who asks; an editor.
            project_id: Which.

        Returns:
            The card, and whether it was made just now.

        Raises:
            InvalidRequest: The base branch and its remote fit, as far as is known.
        """
        async with self._database.transaction() as db:
            project, _ = await require(db, actor, project_id, ProjectRole.EDITOR, Scope.WRITE, lock=True)
            known = project.joining_task_id
            if known is not None and known in await task_queries.unfinished(db, [known]):
                return known, False
            state = project.remote_state or {}
            if state.get("outcome") != "diverged":
                raise InvalidRequest(
                    "The base branch and its remote fit, as far as is known: there is nothing to bring"
                    " together.",
                    "not_diverged",
                )
            branch = str(state.get("branch") or project.repo_branch or "the base branch")
            task = Task(
                project_id=project_id,
                title=f"Bring {branch} together with its remote"[:200],
                description=join_prompt(branch, int(state.get("ahead") or 0), int(state.get("behind") or 0)),
                position=await task_queries.top_of(db, project_id, TaskStatus.TODO),
                number=await task_queries.next_number(db, project_id),
                created_by=actor.user_id,
            )
            db.add(task)
            project.joining_task_id = task.id
            db.announce(*card_topics(project_id, task.id), "projects")
            return task.id, True
