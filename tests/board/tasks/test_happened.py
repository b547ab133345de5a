"""What happened to a card, in order: noted, or read from its sessions, comments and changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.changes.models import Change, Comment
from vibe_app.board.lifecycle import ChangeState, TaskStatus
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.tasks.schemas import NewTask, TaskPatch
from vibe_app.errors import Forbidden, NotFound
from vibe_app.wire import now
from vibe_app.wiring import Services


@pytest.fixture
async def project(resting: Services, owner: Actor) -> UUID:
    return (await resting.projects.create(owner, NewProject(name="Calendar"))).id


async def happened(resting: Services, actor: Actor, project: UUID, task: UUID) -> list[tuple[str, str, Any]]:
    """What is told, oldest first: the kind, who, and the details."""
    page = await resting.activity.read(actor, project, task, page_size=100)
    assert page.total_count == len(page.items)
    assert [each.at for each in page.items] == sorted((each.at for each in page.items), reverse=True)
    assert len({each.id for each in page.items}) == len(page.items)
    return [
        (each.kind.value, each.actor.name if each.actor else "", each.details)
        for each in reversed(page.items)
    ]


async def test_each_verb_says_what_it_did(resting: Services, owner: Actor, project: UUID) -> None:
    tasks, place = resting.tasks, (owner, project)
    task = (await tasks.create(*place, NewTask(title="Title"))).id
    await tasks.change(*place, task, 1, TaskPatch(title="New", labels=["a"], assignee_id=owner.user_id))
    await tasks.change(*place, task, 2, TaskPatch(title="New"))  # as it is: nothing happened
    await tasks.change(*place, task, 2, TaskPatch(assignee_id=None))
    await tasks.move(*place, task, TaskStatus.DONE)
    await tasks.move(*place, task, TaskStatus.DONE)  # where it is: nothing happened
    await tasks.move(*place, task, TaskStatus.TODO)
    await tasks.archive(*place, task)
    await tasks.archive(*place, task)
    await tasks.unarchive(*place, task)
    await tasks.delete(*place, task)
    await tasks.restore(*place, task)
    session = (await resting.starts.execute(*place, task)).id
    await resting.sessions.stop(*place, task)
    me = {"id": str(owner.user_id), "name": "Owner"}
    told = await happened(resting, owner, project, task)
    assert told == [
        ("made", "Owner", {}),
        ("edited", "Owner", {"fields": ["labels", "title"]}),
        ("assigned", "Owner", {"assignee": me}),
        ("assigned", "Owner", {"assignee": None}),
        ("moved", "Owner", {"from": "TODO", "to": "DONE"}),
        ("moved", "Owner", {"from": "DONE", "to": "TODO"}),
        ("archived", "Owner", {}),
        ("unarchived", "Owner", {}),
        ("deleted", "Owner", {}),
        ("restored", "Owner", {"what": "card"}),
        ("executed", "Owner", {"session_id": str(session), "kind": "execute"}),
        ("stopped", "Owner", {"session_id": str(session)}),
        ("finished", "", {"session_id": str(session), "status": "cancelled", "error": None}),
    ]
    first = await resting.activity.read(owner, project, task, page=1, page_size=4)
    second = await resting.activity.read(owner, project, task, page=2, page_size=4)
    assert [each.kind for each in [*first.items, *second.items]] == [kind for kind, _, _ in reversed(told)][
        :8
    ]


async def test_what_was_said_and_decided_is_read_from_its_rows(
    resting: Services, owner: Actor, project: UUID
) -> None:
    task = (await resting.tasks.create(owner, project, NewTask(title="Title"))).id
    place: dict[str, Any] = {"task_id": task, "project_id": project}
    base = {"base_branch": "main", "base_commit": "0" * 40}
    async with resting.database.transaction() as db:
        change = Change(**place, **base, state=ChangeState.ACCEPTED, decided_by=owner.user_id)
        db.add(change)
        await db.flush()
        where = {"revision": "1" * 40, "path": "app.py", "line": 3, "line_end": 3}
        db.add(Comment(change_id=change.id, author_id=owner.user_id, body="Why?", **where, **place))
        await db.flush()
        change.decided_at = now()
    told = await happened(resting, owner, project, task)
    assert [(kind, who) for kind, who, _ in told] == [
        ("made", "Owner"),
        ("commented", "Owner"),
        ("accepted", "Owner"),
    ]
    assert (told[1][2]["place"], told[1][2]["body"]) == ("app.py:3", "Why?")
    assert told[2][2] == {"change_id": str(change.id)}


async def test_it_is_told_to_members_alone(resting: Services, owner: Actor, project: UUID) -> None:
    task = (await resting.tasks.create(owner, project, NewTask(title="Title"))).id
    user = await resting.users.add(None, "other@example.org", "Other", "correct horse battery")
    other = Actor(user.id, user.role, user.email, user.name)
    with pytest.raises(Forbidden):
        await resting.activity.read(other, project, task)
    await resting.members.put(owner, project, other.user_id, ProjectRole.VIEWER)
    assert len(await happened(resting, other, project, task)) == 1
    await resting.tasks.delete(owner, project, task)
    with pytest.raises(NotFound):
        await resting.activity.read(other, project, task)
