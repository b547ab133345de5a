"""Two verbs at once whose checks would both pass: the rules hold all the same, on both kinds of database."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import NewProject, ProjectPatch
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.errors import NotFound, VibeError
from vibe_app.wiring import Services

TIMES = 8
"""Each race is run so often, as it may be decided by chance."""


async def refused(*verbs: Any) -> list[str | None]:
    """Run verbs at once; return for each the code of its refusal, None where it was done."""
    outcomes = await asyncio.gather(*verbs, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, VibeError):
            raise outcome
    return [outcome.code if isinstance(outcome, VibeError) else None for outcome in outcomes]


async def person(parts: Services, role: str = "member") -> Actor:
    """Somebody new."""
    view = await parts.users.add(None, f"{uuid4()}@example.org", "Somebody", "a long enough password", role)
    return Actor(view.id, view.role, view.email, view.name)


async def card(parts: Services, owner: Actor) -> TaskView:
    project = await parts.projects.create(owner, NewProject(name="Sample"))
    return await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))


async def test_two_owners_who_leave(resting: Services, owner: Actor) -> None:
    other = await person(resting)
    for _ in range(TIMES):
        project = await resting.projects.create(owner, NewProject(name="Sample"))
        await resting.members.put(owner, project.id, other.user_id, ProjectRole.OWNER)
        codes = await refused(
            resting.members.remove(owner, project.id, owner.user_id),
            resting.members.remove(other, project.id, other.user_id),
        )
        assert sorted(map(str, codes)) == ["None", "last_owner"]


async def test_two_admins_who_demote_each_other(resting: Services) -> None:
    one, two = [await person(resting, "admin") for _ in range(2)]
    for _ in range(TIMES):
        codes = await refused(
            resting.users.change(one, two.user_id, role="member"),
            resting.users.change(two, one.user_id, role="member"),
        )
        assert sorted(map(str, codes)) == ["None", "last_admin"]
        loser = two if codes[0] is None else one
        await resting.users.change(one, loser.user_id, role="admin")


async def test_a_member_who_is_added_twice(resting: Services, owner: Actor) -> None:
    for _ in range(TIMES):
        project = await resting.projects.create(owner, NewProject(name="Sample"))
        somebody = (await person(resting)).user_id
        adding = [
            resting.members.put(owner, project.id, somebody, role)
            for role in (ProjectRole.VIEWER, ProjectRole.EDITOR)
        ]
        assert await refused(*adding) == [None, None]
        assert len(await resting.members.of(owner, project.id)) == 2


async def test_two_who_save_on_top_of_one_version(resting: Services, owner: Actor) -> None:
    """Settings of a project, a member's role, an account: one is written, the other is told."""
    admin = await person(resting, "admin")
    for turn in range(TIMES):
        project = await resting.projects.create(owner, NewProject(name="Sample"))
        somebody = await person(resting)
        member = await resting.members.put(owner, project.id, somebody.user_id, ProjectRole.EDITOR)
        account = (await resting.users.names([somebody.user_id]))[somebody.user_id]
        races = (
            [
                resting.projects.change(owner, project.id, ProjectPatch(name=name), project.version)
                for name in ("One", "Two", "Three")
            ],
            [
                resting.members.put(owner, project.id, somebody.user_id, role, member.version)
                for role in (ProjectRole.VIEWER, ProjectRole.OWNER)
            ],
            [
                resting.users.change(admin, somebody.user_id, name=f"Two {turn}", version=account.version),
                resting.accounts.change_me(somebody, name=f"One {turn}", version=account.version),
            ],
        )
        for race in races:
            codes = await refused(*race)
            assert sorted(codes, key=str) == [None, *["version_changed"] * (len(race) - 1)]


@pytest.mark.parametrize("whole_project", [False, True])
async def test_what_is_executed_while_it_is_deleted(
    resting: Services, owner: Actor, whole_project: bool
) -> None:
    for _ in range(TIMES):
        task = await card(resting, owner)
        deleting = resting.tasks.delete(owner, task.project_id, task.id)
        if whole_project:
            deleting.close()
            deleting = resting.projects.delete(owner, task.project_id, "Sample")
        executing = resting.starts.execute(owner, task.project_id, task.id)
        codes = await refused(executing, deleting)
        if codes == [None, None] and whole_project:
            with pytest.raises(NotFound):
                await resting.projects.read(owner, task.project_id)
        elif codes[0] is None:
            assert codes[1] == "session_live"
            assert (await resting.tasks.read(owner, task.project_id, task.id)).status == "IN_PROGRESS"
        else:
            assert codes[0] in ("task_not_found", "project_not_found")
            assert codes[1] is None
            with pytest.raises(NotFound):
                await resting.tasks.read(owner, task.project_id, task.id)


async def test_a_change_while_the_session_ends(resting: Services, owner: Actor) -> None:
    """They touch the same two rows; in two orders they would wait for each other."""
    for _ in range(TIMES):
        task = await card(resting, owner)
        await resting.starts.execute(owner, task.project_id, task.id)
        codes = await refused(
            resting.sessions.stop(owner, task.project_id, task.id),
            *(
                resting.tasks.change(
                    owner, task.project_id, task.id, task.version, TaskPatch(priority=priority)
                )
                for priority in ("low", "urgent", "high")
            ),
        )
        assert codes[0] is None
        assert sorted(codes[1:], key=str) == [None, "version_changed", "version_changed"]
        assert (await resting.tasks.read(owner, task.project_id, task.id)).status == "TODO"


async def test_characters_that_no_database_keeps(resting: Services, owner: Actor) -> None:
    """PostgreSQL keeps no NUL, and neither keeps half a surrogate pair."""
    text = "a\0bc"
    project = await resting.projects.create(owner, NewProject(name=text, description=text))
    task = await resting.tasks.create(owner, project.id, NewTask(title=text, description=text, labels=[text]))
    assert (task.title, task.description, task.labels) == ("abc", "abc", ["abc"])
    other = f"{text}d"
    task = await resting.tasks.change(
        owner, project.id, task.id, task.version, TaskPatch(title=other, description=other, labels=[other])
    )
    assert (task.title, task.description, task.labels) == ("abcd", "abcd", ["abcd"])
    await resting.tasks.change(
        owner, project.id, task.id, task.version, TaskPatch(title=text, description=text, labels=[text])
    )
    found = await resting.tasks.page(owner, project.id, None, text, 1, 20)
    assert [each.id for each in found.items] == [task.id]
    executed = await resting.starts.execute(owner, project.id, task.id, "a\0b\ud800c")
    session = await resting.sessions.read(owner, project.id, task.id, executed.id)
    assert session.prompt == "abc\n\nabc\n\nab?c"
    with pytest.raises(VibeError, match="address"):
        await resting.projects.create(owner, NewProject(name="Clone", repo_url=f"https://example.org/{text}"))
    with pytest.raises(NotFound):
        await resting.users.find("a\0b\ud800c")
