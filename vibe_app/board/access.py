"""Who may do what in a project: the check that every verb makes first."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.projects import queries as project_queries
from vibe_app.board.projects.models import Project
from vibe_app.board.tasks.models import Task
from vibe_app.errors import Conflict, Forbidden, NotFound

NEEDS = {
    ProjectRole.VIEWER: "You are not a member of this project. Ask its owner to add you.",
    ProjectRole.EDITOR: "You may only look at this project. Ask its owner to make you an editor.",
    ProjectRole.OWNER: "Only an owner of this project may do this.",
}

_SCOPES = {
    ProjectRole.VIEWER: Scope.READ,
    ProjectRole.EDITOR: Scope.WRITE,
    ProjectRole.OWNER: Scope.ADMIN,
}


async def require(
    db: AsyncSession,
    actor: Actor,
    project_id: UUID,
    needed: ProjectRole,
    scope: Scope | None = None,
    *,
    lock: bool = False,
) -> tuple[Project, ProjectRole]:
    """Return the project and the actor's role in it, if that role covers `needed`.

    An admin of the installation may do what an owner may. With `lock` nobody else
    changes the project, its members or adds to it until the transaction ends.

    Args:
        db: Where to look.
        actor: Who asks.
        project_id: Which project.
        needed: The least role.
        scope: What an access token must be for; by the role where it is not given: viewers read,
            editors write, owners administer.
        lock: Hold the project's row.

    Raises:
        NotFound: There is no such project.
        Forbidden: The actor's role is not enough, or the access token is not for this.
    """
    actor.need_scope(scope or _SCOPES[needed], project_id)
    project = await db.get(Project, project_id, with_for_update=lock or None)
    if project is None:
        raise NotFound("There is no such project. It may have been deleted.", "project_not_found")
    if actor.is_admin:
        return project, ProjectRole.OWNER
    role = await project_queries.project_role(db, project_id, actor.user_id)
    if role is None:
        raise Forbidden(NEEDS[ProjectRole.VIEWER], "not_a_member")
    if not role.covers(needed):
        raise Forbidden(NEEDS[needed], "role_too_low")
    return project, role


async def task_of(
    db: AsyncSession, project_id: UUID, task_id: UUID, *, lock: bool = False, deleted: bool = False
) -> Task:
    """Return the project's task. With `lock` nobody else changes or executes it until the transaction ends.

    Raises:
        NotFound: The project has no such task, or it is deleted and `deleted` ones are not meant.
    """
    task = await db.get(Task, task_id, with_for_update=lock or None)
    if task is None or task.project_id != project_id or (task.deleted_at is not None and not deleted):
        raise NotFound("There is no such task in this project. It may have been deleted.", "task_not_found")
    return task


def on_board(task: Task) -> None:
    """Return if a card is not in the archive.

    Raises:
        Conflict: It is.
    """
    if task.archived_at is not None:
        raise Conflict("This card is archived. Take it out of the archive first.", "archived")
