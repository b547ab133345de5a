"""Routes of projects: themselves, their members, their sessions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from vibe_app.accounts.rows import UserView
from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.api.schemas import After, Page, PageSize
from vibe_app.api.versions import IfMatch, named_version, tagged
from vibe_app.board.projects import schemas
from vibe_app.board.sessions.schemas import SessionList
from vibe_app.board.tasks.schemas import LabelList, LabelView, TaskView
from vibe_app.changes.deploy_keys import DeployKeyView, HostKeys, SetDeployKey
from vibe_app.errors import NotFound
from vibe_app.wiring import services
from vibe_app.workspaces.service import ERASURE

projects = APIRouter(prefix="/projects", tags=["projects"])
members = APIRouter(prefix="/projects/{project_id}/members", tags=["members"])


@projects.get("", responses=errors(400))
async def list_projects(
    actor: Asker, page: Page = 1, page_size: PageSize = 20, after: After = None
) -> schemas.ProjectList:
    """List the projects that one may see, by name. A page holds 1 MiB of text at most, and may end early."""
    found = await services().projects.page(actor, page, page_size, after)
    return schemas.ProjectList(projects=found.items, total_count=found.total_count, next=found.next)


@projects.post("", status_code=201, responses=errors(400, 413))
async def create_project(actor: Asker, body: schemas.NewProject) -> schemas.ProjectView:
    """Make a project, of which one is then the owner. Its workspace is made when first needed."""
    return await services().projects.create(actor, body)


@projects.get("/{project_id}", responses=errors(400, 404))
async def read_project(actor: Asker, project_id: UUID, response: Response) -> schemas.ProjectView:
    """Return one project and how its workspace is. `ETag` is its version, for `If-Match` of a change."""
    return tagged(await services().projects.read(actor, project_id), response)


@projects.patch("/{project_id}", responses=errors(400, 404, 409, 413))
async def change_project(
    actor: Asker, project_id: UUID, body: schemas.ChangeProject, response: Response, if_match: IfMatch = ""
) -> schemas.ProjectView:
    """Change what is given of a project. For its owners.

    With the version that you read, what somebody else has changed since is not written over: the answer is
    409 `version_changed` with your values and the project as it is now.
    """
    version = named_version(body.version, if_match)
    return tagged(await services().projects.change(actor, project_id, body, version), response)


@projects.delete("/{project_id}", status_code=204, responses=errors(400, 404, 409, 502))
async def delete_project(
    actor: Asker,
    project_id: UUID,
    confirm: Annotated[str, Query(description="The project's name, to show that it is meant")] = "",
) -> None:
    """Delete a project with its tasks, sessions and workspace; what runs is stopped first. For its owners.

    What of the workspace cannot be erased within 10 s is erased later, and tried again until nothing is left.
    """
    await services().projects.delete(actor, project_id, confirm)
    await services().workspaces.erased(project_id, ERASURE)


@projects.get("/{project_id}/labels", tags=["tasks"], responses=errors(400, 404))
async def list_labels(actor: Asker, project_id: UUID) -> LabelList:
    """List the labels of the cards on a board, each with how many cards have it."""
    found = await services().boards.labels(actor, project_id)
    return LabelList(labels=[LabelView(name=name, count=count) for name, count in found.items()])


@projects.get("/{project_id}/sessions", tags=["sessions"], responses=errors(400, 404))
async def list_project_sessions(
    actor: Asker,
    project_id: UUID,
    active: Annotated[bool | None, Query(description="Only live sessions, or only finished ones")] = None,
    page: Page = 1,
    page_size: PageSize = 20,
) -> SessionList:
    """List the sessions of all tasks of a project, newest first."""
    found = await services().sessions.of_project(actor, project_id, active, page, page_size)
    return SessionList(sessions=found.items, total_count=found.total_count)


@projects.post("/{project_id}/workspace/restart", status_code=202, responses=errors(400, 404, 409, 429))
async def restart_workspace(
    actor: Asker,
    project_id: UUID,
    interrupt: Annotated[
        bool, Query(description="Also while a session runs: what its agent is doing begins again")
    ] = False,
) -> schemas.ProjectView:
    """End what runs of the workspace and start it anew; its files stay. For who may execute."""
    await services().workspaces.restart(actor, project_id, interrupt=interrupt)
    return await services().projects.read(actor, project_id)


@projects.post("/{project_id}/remote/fetch", responses=errors(400, 404, 409, 429, 502))
async def fetch_remote(actor: Asker, project_id: UUID) -> schemas.ProjectView:
    """Bring the base branch to what is new at the project's repository, now. For editors.

    How it stands then is `remote` of the answer, a server that does not answer among it.
    """
    await services().joining.fetch(actor, project_id)
    return await services().projects.read(actor, project_id)


@projects.post("/{project_id}/remote/join", responses=errors(400, 404))
async def join_remote(actor: Asker, project_id: UUID) -> TaskView:
    """Make a card whose agent brings the base branch together with its remote, where the two have diverged.

    It waits to be executed, and its change to be accepted, as any other. Asking again returns the same card
    until it is done. For editors.
    """
    task_id, _ = await services().joining.join(actor, project_id)
    return await services().tasks.read(actor, project_id, task_id)


@projects.get("/{project_id}/deploy-key", responses=errors(400, 404, 502))
async def read_deploy_key(actor: Asker, project_id: UUID) -> DeployKeyView:
    """Return the public half of the key that signs in to the project's ssh repository. For its owners."""
    return await services().deploy_keys.read(actor, project_id)


@projects.post("/{project_id}/deploy-key", responses=errors(400, 404, 413, 502))
async def set_deploy_key(actor: Asker, project_id: UUID, body: SetDeployKey) -> DeployKeyView:
    """Keep a private key, or make one where there is none, and the host keys that are given. For owners.

    What is absent stays as it is. The private half is kept encrypted and shown to nobody. Taken away it is as
    any credential: `repo_credential: null` of the project.
    """
    return await services().deploy_keys.put(actor, project_id, body)


@projects.post("/{project_id}/deploy-key/scan", responses=errors(400, 404, 502))
async def scan_host_keys(actor: Asker, project_id: UUID) -> HostKeys:
    """Return by which keys the repository's server is recognised, as it says itself. For owners.

    Nothing of it is kept: compare the fingerprints with those that the server's owners publish, then send
    `key` of those that are right as `host_keys`.
    """
    return HostKeys(host_keys=await services().deploy_keys.scan(actor, project_id))


@members.get("", responses=errors(400, 404))
async def list_members(
    actor: Asker, project_id: UUID, page: Page = 1, page_size: PageSize = 20
) -> schemas.MemberList:
    """List who belongs to a project, owners first."""
    views = await services().members.of(actor, project_id)
    shown = views[(page - 1) * page_size : page * page_size]
    people = await services().users.names(view.user_id for view in shown)
    return schemas.MemberList(
        members=[_member(view, people[view.user_id]) for view in shown if view.user_id in people],
        total_count=len(views),
    )


@members.get("/candidates", responses=errors(400, 404))
async def list_candidates(
    actor: Asker,
    project_id: UUID,
    q: Annotated[str, Query(description="In the name or the address; empty for all")] = "",
) -> schemas.CandidateList:
    """List people of the installation who are not members yet. For the project's owners."""
    return schemas.CandidateList(people=await services().members.candidates(actor, project_id, q))


@members.post("", status_code=201, responses=errors(400, 404, 409, 413))
async def add_member(actor: Asker, project_id: UUID, body: schemas.NewMember) -> schemas.MemberOut:
    """Add a person to a project, or give a member another role. For its owners."""
    await services().projects.check_owner(actor, project_id)
    if body.email is not None:
        person = await services().users.find(body.email)
    else:
        assert body.user_id is not None, "the schema asks for one of both"
        person = await _person(body.user_id)
    return _member(await services().members.put(actor, project_id, person.id, body.role), person)


@members.patch("/{user_id}", responses=errors(400, 404, 409, 413))
async def change_member(
    actor: Asker, project_id: UUID, user_id: UUID, body: schemas.ChangeMember
) -> schemas.MemberOut:
    """Give a member another role. For the project's owners.

    With the version that you read, a role that somebody else has given since stays: 409 `version_changed`.
    """
    await services().projects.check_owner(actor, project_id)
    known = {view.user_id for view in await services().members.of(actor, project_id)}
    if user_id not in known:
        raise NotFound("This person is not a member of the project.", "member_not_found")
    person = await _person(user_id)
    view = await services().members.put(actor, project_id, user_id, body.role, body.version)
    return _member(view, person)


@members.delete("/{user_id}", status_code=204, responses=errors(400, 404, 409))
async def remove_member(actor: Asker, project_id: UUID, user_id: UUID) -> None:
    """Take a person out of a project. For its owners; everybody may leave."""
    await services().members.remove(actor, project_id, user_id)


async def _person(user_id: UUID) -> UserView:
    person = (await services().users.names([user_id])).get(user_id)
    if person is None:
        raise NotFound("There is no such account.", "user_not_found")
    return person


def _member(view: schemas.MemberView, person: UserView) -> schemas.MemberOut:
    return schemas.MemberOut(**dict(view), email=person.email, name=person.name)
