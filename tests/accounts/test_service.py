"""What the API cannot show of accounts: bursts, times, what is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from vibe_app.accounts.models import AccessToken, Login, LoginThrottle, User
from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.accounts.throttle import Attempt, network
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.errors import Conflict, NotFound, TooMany, Unauthenticated, VibeError
from vibe_app.wire import now
from vibe_app.wiring import Services

PASSWORD = "correct horse battery"


async def attempt(parts: Services, password: str) -> str:
    """Try to sign in; return what came of it."""
    try:
        await parts.accounts.login("owner@example.org", password)
    except VibeError as error:
        return type(error).__name__
    return "in"


async def test_a_burst_of_guesses_gets_no_further_than_one_after_the_other(
    resting: Services, owner: Actor
) -> None:
    guesses = [*(f"wrong {number}" for number in range(40)), PASSWORD]
    outcomes = await asyncio.gather(*(attempt(resting, guess) for guess in guesses))
    assert Counter(outcomes)["Unauthenticated"] == 5
    assert Counter(outcomes)["TooMany"] >= 35


async def test_waiting_doubles_and_ends(resting: Services, owner: Actor) -> None:
    own = Attempt(owner.email).own
    waits: list[int] = []
    for failures in (5, 6, 7, 40):
        async with resting.database.transaction() as db:
            await db.merge(LoginThrottle(key=own, failures=failures, last_failure_at=now()))
        with pytest.raises(TooMany) as refused:
            await resting.accounts.login(owner.email, PASSWORD)
        waits.append(refused.value.retry_after)
    assert waits == [2, 4, 8, 900]
    async with resting.database.transaction() as db:
        await db.merge(LoginThrottle(key=own, failures=4, last_failure_at=now()))
    assert await attempt(resting, PASSWORD) == "in"
    async with resting.database.read() as db:
        assert await db.get(LoginThrottle, own) is None


async def test_setting_up_at_once_makes_one_admin(resting: Services) -> None:
    async def set_up(number: int) -> str:
        try:
            await resting.accounts.set_up(f"{number}@example.org", "Admin", PASSWORD)
        except Conflict as error:
            return error.code
        return "made"

    outcomes = Counter(await asyncio.gather(*(set_up(number) for number in range(8))))
    assert outcomes == {"made": 1, "already_set_up": 7}


async def test_nothing_secret_is_kept(resting: Services, owner: Actor) -> None:
    token = (await resting.accounts.tokens.add(owner, "ci")).token
    login = await resting.accounts.login(owner.email, PASSWORD)
    assert token is not None
    async with resting.database.read() as db:
        user = await db.get(User, owner.user_id)
        kept = await db.scalar(select(AccessToken))
        logins = list(await db.scalars(select(Login)))
    assert user is not None
    assert kept is not None
    assert user.password_hash.startswith("$argon2id$")
    assert len(kept.token_hash) == 64
    assert token not in str(kept.model_dump())
    assert login.token not in str([row.model_dump() for row in logins])


async def test_a_removed_person_is_nobody_but_what_they_made_stays(resting: Services, owner: Actor) -> None:
    admin_view = await resting.users.add(None, "admin@example.org", "Admin", PASSWORD, "admin")
    admin = Actor(admin_view.id, admin_view.role, admin_view.email, admin_view.name)
    project = await resting.projects.create(owner, NewProject(name="Sample"))
    task = await resting.tasks.create(owner, project.id, NewTask(title="Stays"))
    token = (await resting.accounts.tokens.add(owner, "ci")).token
    await resting.users.remove(admin, owner.user_id)
    with pytest.raises(Unauthenticated):
        await resting.accounts.who(token)
    kept = await resting.tasks.read(admin, project.id, task.id)
    assert (kept.title, kept.created_by) == ("Stays", None)
    assert await resting.members.of(admin, project.id) == []


async def test_addresses_are_compared_without_case_and_control_characters(
    resting: Services, owner: Actor
) -> None:
    assert (await resting.users.find(" OWNER@example.org\x00 ")).id == owner.user_id
    with pytest.raises(Conflict):
        await resting.users.add(None, "Owner@Example.org", "Again", PASSWORD)


async def test_a_member_who_does_not_exist_is_not_found(resting: Services, owner: Actor) -> None:
    project = await resting.projects.create(owner, NewProject(name="Sample"))
    with pytest.raises(NotFound, match="no such account"):
        await resting.members.put(owner, project.id, uuid4(), ProjectRole.EDITOR)


@pytest.mark.parametrize(
    ("role", "needed", "covered"),
    [(a, b, i <= j) for i, a in enumerate(ProjectRole) for j, b in enumerate(ProjectRole)],
)
def test_roles_cover_those_below(role: ProjectRole, needed: ProjectRole, covered: bool) -> None:
    assert role.covers(needed) == covered


async def test_names_of_nobody(resting: Services) -> None:
    assert await resting.users.names([]) == {}
    assert await resting.users.names([UUID(int=1)]) == {}


@pytest.mark.parametrize(
    ("host", "part"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_one_person_has_of_addresses_counts_as_one(host: str, part: str) -> None:
    assert network(host) == part
