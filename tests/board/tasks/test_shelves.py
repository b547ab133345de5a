"""Cards that leave the board and come back: archived, deleted, restored; who they are for; what they need."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.boards import column
from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.keys import key_of
from vibe_app.board.projects.schemas import NewProject, ProjectPatch, ProjectView
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.board.tasks.shelving import KEPT_FOR, purge
from vibe_app.errors import Conflict, InvalidRequest, NotFound
from vibe_app.wire import now
from vibe_app.wiring import Services


@pytest.fixture
async def project(resting: Services, owner: Actor) -> ProjectView:
    return await resting.projects.create(owner, NewProject(name="Calendar"))


async def card(
    resting: Services, owner: Actor, project: ProjectView, title: str = "Title", **more: object
) -> TaskView:
    return await resting.tasks.create(owner, project.id, NewTask(title=title, **more))


async def titles(resting: Services, owner: Actor, project: ProjectView, archived: bool = False) -> list[str]:
    """What a list shows, and that its count agrees."""
    page = await resting.tasks.page(owner, project.id, None, "", 1, 20, archived=archived)
    assert page.total_count == len(page.items)
    return [task.title for task in page.items]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Calendar", "CAL"),
        ("calendar", "CAL"),
        ("Sample project", "SP"),
        ("The big and useful shop of Ada", "TBAUS"),
        ("Über-Größe", "UG"),
        ("X", "XPR"),
        ("42", "PRJ"),
        ("日本", "PRJ"),
        ("a1b2", "AB"),
    ],
)
def test_a_key_is_made_of_a_name(name: str, key: str) -> None:
    assert key_of(name) == key


async def test_cards_are_called_by_their_projects_key(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    assert project.key == "CAL"
    assert (await card(resting, owner, project)).ref == "CAL-1"
    await resting.projects.change(owner, project.id, ProjectPatch(key="xyz"))
    (shown,) = await column(resting, owner, project.id)
    assert (shown.ref, shown.author.name if shown.author else "") == ("XYZ-1", "Owner")
    for wrong in ("A", "ABCDEF", "A1", "ÄÖ", "A-B"):
        with pytest.raises(InvalidRequest, match="2 to 5 letters"):
            ProjectPatch(key=wrong)


async def test_a_card_is_found_by_its_name(resting: Services, owner: Actor, project: ProjectView) -> None:
    for title in ("One", "Two"):
        await card(resting, owner, project, title)
    for words in ("CAL-2", "cal-2", "#2", "2"):
        found = await resting.tasks.page(owner, project.id, None, words, 1, 20)
        assert [task.title for task in found.items] == ["Two"]


async def test_who_a_card_is_for_and_until_when(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    other = await resting.users.add(None, "other@example.org", "Other", "correct horse battery")
    task = await card(resting, owner, project, assignee_id=owner.user_id, due_on=date(2026, 12, 24))
    assert (task.assignee.id if task.assignee else None, task.due_on) == (owner.user_id, date(2026, 12, 24))
    for_other = TaskPatch(assignee_id=other.id)
    with pytest.raises(InvalidRequest, match="member"):
        await resting.tasks.change(owner, project.id, task.id, task.version, for_other)
    with pytest.raises(InvalidRequest, match="member"):
        await card(resting, owner, project, assignee_id=other.id)
    await resting.members.put(owner, project.id, other.id, ProjectRole.VIEWER)
    task = await resting.tasks.change(owner, project.id, task.id, task.version, for_other)
    assert (task.assignee.name if task.assignee else None, task.version) == ("Other", 2)
    nobody = TaskPatch(assignee_id=None, due_on=None)
    task = await resting.tasks.change(owner, project.id, task.id, task.version, nobody)
    assert (task.assignee, task.due_on) == (None, None)
    await resting.tasks.change(owner, project.id, task.id, task.version, for_other)
    await resting.members.remove(owner, project.id, other.id)
    assert (await resting.tasks.read(owner, project.id, task.id)).assignee is None


async def test_an_admin_may_have_cards_anywhere(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    admin = await resting.users.add(None, "admin@example.org", "Admin", "correct horse battery", "admin")
    task = await card(resting, owner, project, assignee_id=admin.id)
    assert task.assignee is not None
    assert task.assignee.name == "Admin"


async def test_a_card_waits_for_what_it_needs(resting: Services, owner: Actor, project: ProjectView) -> None:
    first, second = [await card(resting, owner, project, title) for title in ("First", "Second")]
    task = await card(resting, owner, project, needs=[second.id, first.id])
    assert [(need.ref, need.title, need.done) for need in task.needs] == [
        ("CAL-1", "First", False),
        ("CAL-2", "Second", False),
    ]
    assert task.blocked == ["CAL-1", "CAL-2"]
    with pytest.raises(Conflict, match="CAL-1 “First”, CAL-2 “Second”") as caught:
        await resting.starts.execute(owner, project.id, task.id)
    assert caught.value.code == "blocked"
    await resting.tasks.move(owner, project.id, first.id, TaskStatus.DONE)
    await resting.tasks.archive(owner, project.id, second.id)
    task = await resting.tasks.read(owner, project.id, task.id)
    assert ([need.done for need in task.needs], task.blocked) == ([True], [])
    assert (await resting.starts.execute(owner, project.id, task.id)).status == "pending"


async def test_what_a_card_cannot_need(resting: Services, owner: Actor, project: ProjectView) -> None:
    other = await resting.projects.create(owner, NewProject(name="Other"))
    elsewhere, gone, away = (
        await card(resting, owner, other),
        await card(resting, owner, project),
        await card(resting, owner, project),
    )
    await resting.tasks.delete(owner, project.id, gone.id)
    await resting.tasks.archive(owner, project.id, away.id)
    a, b, c = [await card(resting, owner, project) for _ in range(3)]
    for wrong in (elsewhere, gone, away):
        with pytest.raises(InvalidRequest) as caught:
            await resting.tasks.change(owner, project.id, a.id, 1, TaskPatch(needs=[wrong.id]))
        assert caught.value.code == "unknown_need"
    with pytest.raises(InvalidRequest, match="itself"):
        await resting.tasks.change(owner, project.id, a.id, 1, TaskPatch(needs=[a.id]))
    await resting.tasks.change(owner, project.id, b.id, 1, TaskPatch(needs=[a.id]))
    await resting.tasks.change(owner, project.id, c.id, 1, TaskPatch(needs=[b.id]))
    with pytest.raises(InvalidRequest, match="circle"):
        await resting.tasks.change(owner, project.id, a.id, 1, TaskPatch(needs=[c.id]))
    same = await resting.tasks.change(owner, project.id, b.id, 1, TaskPatch(needs=[a.id]))
    assert same.version == 2
    less = await resting.tasks.change(owner, project.id, b.id, 2, TaskPatch(needs=[]))
    assert (less.version, less.needs) == (3, [])


async def test_what_is_away_is_needed_again_when_it_is_back(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    first, second = [await card(resting, owner, project, title) for title in ("First", "Second")]
    task = await card(resting, owner, project, needs=[first.id])
    await resting.tasks.delete(owner, project.id, first.id)
    assert (await resting.tasks.read(owner, project.id, task.id)).needs == []
    await resting.tasks.change(owner, project.id, task.id, 1, TaskPatch(needs=[second.id]))
    await resting.tasks.restore(owner, project.id, first.id)
    assert (await resting.tasks.read(owner, project.id, task.id)).blocked == ["CAL-1", "CAL-2"]


async def test_an_archived_card_is_in_no_list_and_rests(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    one, _two = [await card(resting, owner, project, title) for title in ("One", "Two")]
    assert (await resting.tasks.archive(owner, project.id, one.id)).archived
    assert (await resting.tasks.archive(owner, project.id, one.id)).archived
    assert await titles(resting, owner, project) == ["Two"]
    assert await titles(resting, owner, project, archived=True) == ["One"]
    assert (await resting.projects.read(owner, project.id)).task_count == 1
    for verb in (
        resting.starts.execute(owner, project.id, one.id),
        resting.tasks.move(owner, project.id, one.id, TaskStatus.DONE),
    ):
        with pytest.raises(Conflict) as caught:
            await verb
        assert caught.value.code == "archived"
    back = await resting.tasks.unarchive(owner, project.id, one.id)
    assert (back.archived, back.position) == (False, one.position)
    assert await titles(resting, owner, project) == ["One", "Two"]


async def test_a_deleted_card_is_nowhere_and_comes_back_to_its_place(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    one, _two = [await card(resting, owner, project, title) for title in ("One", "Two")]
    await resting.tasks.move(owner, project.id, one.id, TaskStatus.HUMAN_REVIEW)
    await resting.tasks.delete(owner, project.id, one.id)
    assert await titles(resting, owner, project) == ["Two"]
    assert await titles(resting, owner, project, archived=True) == []
    assert (await resting.projects.read(owner, project.id)).task_count == 1
    for verb in (
        resting.tasks.read(owner, project.id, one.id),
        resting.tasks.change(owner, project.id, one.id, 1, TaskPatch(title="New")),
        resting.tasks.move(owner, project.id, one.id, TaskStatus.DONE),
        resting.tasks.archive(owner, project.id, one.id),
        resting.tasks.delete(owner, project.id, one.id),
        resting.starts.execute(owner, project.id, one.id),
        resting.sessions.history(owner, project.id, one.id),
    ):
        with pytest.raises(NotFound) as caught:
            await verb
        assert caught.value.code == "task_not_found"
    back = await resting.tasks.restore(owner, project.id, one.id)
    assert (back.status, back.ref) == (TaskStatus.HUMAN_REVIEW, "CAL-1")
    assert (await resting.tasks.restore(owner, project.id, one.id)).id == one.id


async def test_a_card_is_gone_for_good_after_a_month(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    old, young = [await card(resting, owner, project) for _ in range(2)]
    for task, age in ((old, KEPT_FOR + timedelta(minutes=1)), (young, KEPT_FOR - timedelta(minutes=1))):
        await resting.tasks.delete(owner, project.id, task.id)
        async with resting.database.transaction() as db:
            this = col(Task.id) == task.id
            await db.execute(update(Task).where(this).values(deleted_at=now() - age))
    with pytest.raises(NotFound):
        await resting.tasks.restore(owner, project.id, old.id)
    assert await purge(resting.database) == 1
    assert await purge(resting.database) == 0
    assert (await resting.tasks.restore(owner, project.id, young.id)).id == young.id


async def test_a_card_with_a_live_session_stays(
    resting: Services, owner: Actor, project: ProjectView
) -> None:
    task = await card(resting, owner, project)
    await resting.starts.execute(owner, project.id, task.id)
    for verb in (resting.tasks.delete, resting.tasks.archive):
        with pytest.raises(Conflict) as caught:
            await verb(owner, project.id, task.id)
        assert caught.value.code == "session_live"


async def test_a_move_is_undone_by_moving_back(resting: Services, owner: Actor, project: ProjectView) -> None:
    _one, two, three = [await card(resting, owner, project, title) for title in ("One", "Two", "Three")]
    await resting.tasks.move(owner, project.id, two.id, TaskStatus.DONE)
    await resting.tasks.move(owner, project.id, two.id, TaskStatus.TODO, before_id=three.id)
    assert await titles(resting, owner, project) == ["One", "Two", "Three"]
