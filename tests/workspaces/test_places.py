"""How many workspaces run at once: never more than may, whoever asks, and everybody's turn comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col

from tests.conftest import BOTH
from tests.fakes import FakeRuntime
from tests.runs.rig import Rig, rigged
from tests.scripted import Script
from tests.waiting import eventually
from tests.workspaces.looking import an_hour_passes, opened, row_of, settled
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.cli.database import users_of
from vibe_app.db import db_clock
from vibe_app.errors import TooMany, Unavailable
from vibe_app.runs.queue import Queue
from vibe_app.settings import Settings, load_settings
from vibe_app.wire import now
from vibe_app.workspaces import places, rows, service
from vibe_app.workspaces.places import Places, Plan, Seat, Wanted
from vibe_app.workspaces.states import Desired


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SETTLED", timedelta(0))


def limited(settings: Settings, limit: int, share: float = 1.0) -> Settings:
    more = {"workspace_limit": limit, "workspace_share": share, "installation_limit": 50}
    return settings.model_copy(update=more)


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    """One place, agents that work until they are stopped."""
    async with rigged(limited(settings, 1), FakeRuntime(Script.endless())) as rig:
        yield rig


async def person(rig: Rig, name: str) -> Actor:
    user = await users_of(rig.database).add(None, f"{name}@example.org", name, "a long enough password")
    return Actor(user.id, user.role, user.email, user.name)


async def execute(
    rig: Rig, actor: Actor, *, priority: str = "normal", project: UUID | None = None
) -> SessionView:
    if project is None:
        project = (await rig.projects.create(actor, NewProject(name="Garden"))).id
    card = await rig.tasks.create(actor, project, NewTask(title="Dig", priority=priority))
    return await rig.starts.execute(actor, project, card.id)


async def placed(rig: Rig) -> set[UUID]:
    async with rig.database.read() as db:
        return await places.placed(db)


async def waits_for_a_place(rig: Rig, session: SessionView) -> None:
    await rig.until(session, lambda view: view.waiting_for == "workspace limit")


# --- together with the engine -----------------------------------------------------------------------


async def test_a_session_waits_for_a_place_says_so_and_gets_it_once_one_is_free(rig: Rig) -> None:
    first = await rig.running()
    second = await rig.execute()
    await waits_for_a_place(rig, second)
    assert (await rig.read(second)).queue_position == 1
    assert await placed(rig) == {first.project_id}
    await rig.stop(first)
    await rig.until(second, lambda view: view.status == "running")
    assert await placed(rig) == {second.project_id}
    assert rig.runtime.stops[first.project_id] == 1
    assert rig.runtime.running == {second.project_id}


async def test_an_idle_workspace_gives_its_place_to_one_that_is_wanted(rig: Rig) -> None:
    idle = await rig.project()
    await opened(rig, idle)
    session = await rig.running()
    assert rig.runtime.running == {session.project_id}
    await settled(rig, idle, "stopped")


async def test_a_workspace_that_somebody_uses_keeps_its_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.2)
    used = await rig.project()
    await opened(rig, used)
    async with rig.workspaces.held(used):
        session = await rig.execute()
        await waits_for_a_place(rig, session)
        with pytest.raises(TooMany, match="as many as may at once"):
            await rig.workspaces.ensure(await rig.project(), person=rig.actor.user_id)
        assert rig.runtime.running == {used}


async def test_a_page_that_is_left_open_keeps_a_workspace_warm_and_no_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_app.workspaces.usage.RENEW", 0.02)
    rig.usage.open()
    left_open = await rig.project()
    await opened(rig, left_open)
    async with rig.workspaces.looked_at(left_open):
        await an_hour_passes(rig)

        async def is_warm() -> bool:
            row = await row_of(rig, left_open)
            return row is not None and now() - row.used_at < timedelta(minutes=1)

        await eventually(is_warm)
        await rig.reconciler.compare()
        assert rig.runtime.stops[left_open] == 0
        session = await rig.running()
        assert rig.runtime.running == {session.project_id}


async def test_who_looks_waits_until_a_place_is_free(rig: Rig) -> None:
    first = await rig.running()
    project = await rig.project()
    looking = asyncio.create_task(rig.workspaces.ensure(project, person=rig.actor.user_id))

    async def is_in_line() -> bool:
        row = await row_of(rig, project)
        return row is not None and row.wished_by == rig.actor.user_id

    await eventually(is_in_line)
    await rig.stop(first)
    assert (await asyncio.wait_for(looking, 10)).url
    assert rig.runtime.running == {project}
    row = await row_of(rig, project)
    assert row is not None
    assert (row.holder_id, row.wished_by) == (rig.actor.user_id, None)


async def test_who_only_opens_a_board_has_nothing_stopped_for_it(rig: Rig) -> None:
    idle, other = await rig.project(), await rig.project()
    await opened(rig, idle)
    await rig.workspaces.opened(rig.actor, other)
    assert await placed(rig) == {idle}
    assert await row_of(rig, other) is None


async def in_line(rig: Rig) -> SessionView:
    """A session that has begun and is not to go on within the hour."""
    session = await rig.running()
    async with rig.database.transaction() as db:
        await db.execute(
            update(Session)
            .where(col(Session.id) == session.id)
            .values(owner=None, wait_from=db_clock(), not_before=db_clock() + 3600)
        )
    return session


async def test_a_session_in_line_keeps_no_workspace_from_one_that_is_claimed(rig: Rig) -> None:
    """Neither one that waits for its provider, whose workspace is up, nor one that is tried again later."""
    waiting = await in_line(rig)
    session = await rig.running()
    assert rig.runtime.running == {session.project_id}
    assert (await rig.read(waiting)).status == "running"


async def test_what_is_only_to_be_stopped_starts_no_workspace_beyond_the_limit(rig: Rig) -> None:
    waiting = await in_line(rig)
    session = await rig.running()
    await rig.stop(waiting)
    assert (await rig.over(waiting)).status == "cancelled"
    assert rig.runtime.starts[waiting.project_id] == 1
    assert rig.runtime.running == {session.project_id}


async def test_all_of_many_projects_have_their_turn(settings: Settings) -> None:
    most = 0

    class Counting(FakeRuntime):
        async def starting(self, *arguments: object) -> None:
            nonlocal most
            most = max(most, len(self.running) + 1)

    async with rigged(limited(settings, 2), Counting(Script.lines(3))) as rig:
        sessions = [await rig.execute() for _ in range(6)]
        for session in sessions:
            assert (await rig.over(session, 60)).status == "completed"
        assert most == 2
        assert len(await placed(rig)) <= 2


async def test_a_project_that_always_has_something_to_do_keeps_no_place_for_ever(rig: Rig) -> None:
    busy = await rig.project(limit=3)
    first = await rig.running(await rig.card(busy))
    other = await rig.execute()
    await waits_for_a_place(rig, other)
    younger = await rig.execute(await rig.card(busy))
    urgent = await rig.execute(await rig.card(busy, "urgent"))
    await rig.until(urgent, lambda view: view.status == "running")
    await waits_for_a_place(rig, younger)
    await rig.stop(first)
    await rig.stop(urgent)
    await rig.until(other, lambda view: view.status == "running")
    await waits_for_a_place(rig, younger)
    await rig.stop(other)
    await rig.until(younger, lambda view: view.status == "running")


async def test_a_run_that_lost_its_engine_goes_on_though_others_wait(rig: Rig) -> None:
    first = await rig.running()
    second = await rig.execute()
    await waits_for_a_place(rig, second)
    await rig.restart()
    async with rig.database.transaction() as db:
        await rows.want(db, first.project_id, Desired.STOPPED)
    await settled(rig, first.project_id, "stopped")
    await rig.until(first, lambda view: view.status == "running")
    await waits_for_a_place(rig, second)
    assert len(rig.runtime.running) <= 1


async def test_what_waits_for_a_place_can_be_stopped(rig: Rig) -> None:
    await rig.running()
    second = await rig.execute()
    await waits_for_a_place(rig, second)
    await rig.stop(second)
    assert (await rig.over(second)).status == "cancelled"
    assert second.project_id not in rig.runtime.running


async def test_a_stopped_workspace_is_not_restarted_without_a_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.2)
    await rig.running()
    project = await rig.project()
    with pytest.raises(TooMany):
        await rig.workspaces.restart(rig.actor, project)
    assert project not in await placed(rig)


async def test_a_workspace_that_does_not_stop_keeps_its_place_and_another_gives_way(
    settings: Settings,
) -> None:
    class Clinging(FakeRuntime):
        clings: UUID | None = None

        async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
            if project_id == self.clings and not erase:
                raise Unavailable("A process of it does not end.")
            await super().stop(project_id, erase=erase)

    runtime = Clinging(Script.endless())
    async with rigged(limited(settings, 2), runtime) as rig:
        clinging, idle = await rig.project(), await rig.project()
        for project in (clinging, idle):
            await opened(rig, project)
        runtime.clings = clinging
        async with rig.database.transaction() as db:
            await rows.want(db, clinging, Desired.STOPPED)
        await eventually(lambda: is_failed(rig, clinging))
        session = await rig.running()
        assert runtime.running == {clinging, session.project_id}
        runtime.clings = None


async def is_failed(rig: Rig, project: UUID) -> bool:
    row = await row_of(rig, project)
    return row is not None and row.status == "failed"


async def test_a_workspace_that_runs_is_restarted_whoever_holds_its_place(settings: Settings) -> None:
    async with rigged(limited(settings, 2, 0.5), FakeRuntime(Script.endless())) as rig:
        bob = await person(rig, "bob")
        first = await rig.running()
        his = (await rig.projects.create(bob, NewProject(name="His"))).id
        await rig.workspaces.ensure(his, person=bob.user_id)
        waiting = await execute(rig, await person(rig, "cay"))
        async with rig.workspaces.held(his):
            await waits_for_a_place(rig, waiting)
            await rig.workspaces.restart(rig.actor, his)
            await settled(rig, his, "ready")
        assert rig.runtime.starts[his] == 2
        assert first.project_id in rig.runtime.running


# --- at once ----------------------------------------------------------------------------------------


async def test_many_claims_and_wishes_at_once_never_exceed_the_limit(settings: Settings) -> None:
    async with rigged(limited(settings, 3), opened=False, looked_after=False) as rig:
        sessions = [await rig.execute() for _ in range(8)]
        looked_at = [await rig.project() for _ in range(8)]

        async def claim(owner: str) -> int:
            queue = Queue(rig.database, owner, 60, 100, rig.workspaces.places)
            return sum([len(await queue.claim(2)) for _ in range(3)])

        async def look(project: UUID) -> bool:
            async with rig.database.transaction() as db:
                if taken := await rig.workspaces.places.take(db, project, rig.actor.user_id, wish=True):
                    await rows.want(db, project, Desired.RUNNING)
            return taken

        done = await asyncio.gather(
            *(claim(f"replica {number}") for number in range(4)), *(look(project) for project in looked_at)
        )
        assert sum(done) == 3
        found = await placed(rig)
        assert len(found) == 3
        assert found <= {session.project_id for session in sessions} | set(looked_at)


async def test_one_person_has_no_more_than_their_share_while_another_waits(settings: Settings) -> None:
    async with rigged(limited(settings, 4, 0.5), FakeRuntime(Script.endless())) as rig:
        eve, bob = rig.actor, await person(rig, "bob")
        hers = [await execute(rig, eve) for _ in range(6)]
        for session in hers[:4]:
            await rig.until(session, lambda view: view.status == "running")
        his = [await execute(rig, bob) for _ in range(3)]
        for session in (*hers[4:], *his):
            await waits_for_a_place(rig, session)
        # Hers are older, and she holds more than her share: his come first, up to his own share.
        for ended, next_one in zip(hers[:2], his[:2], strict=True):
            await rig.stop(ended)
            await rig.until(next_one, lambda view: view.status == "running")
        assert (await rig.read(hers[4])).waiting_for == "workspace limit"
        assert (await rig.read(his[2])).waiting_for == "workspace limit"
        # Both hold their share: by age again.
        await rig.stop(hers[2])
        await rig.until(hers[4], lambda view: view.status == "running")
        assert (await rig.read(his[2])).waiting_for == "workspace limit"
        assert len(rig.runtime.running) <= 4


async def test_alone_one_person_may_have_all_of_them(settings: Settings) -> None:
    async with rigged(limited(settings, 2, 0.5), FakeRuntime(Script.endless())) as rig:
        sessions = [await rig.execute() for _ in range(2)]
        for session in sessions:
            await rig.until(session, lambda view: view.status == "running")


async def test_without_a_limit_nothing_is_counted(settings: Settings) -> None:
    async with rigged(limited(settings, 0), FakeRuntime(Script.endless())) as rig:
        for session in [await rig.execute() for _ in range(3)]:
            await rig.until(session, lambda view: view.status == "running")


async def test_a_wish_that_is_not_repeated_stands_in_nobodys_way(settings: Settings) -> None:
    async with rigged(limited(settings, 1), FakeRuntime(Script.endless()), opened=False) as rig:
        gone, mine = await rig.project(), await rig.execute()
        async with rig.database.transaction() as db:
            await rows.wish(db, gone, rig.actor.user_id, datetime(2020, 1, 1, tzinfo=UTC), 60)
        queue = Queue(rig.database, "one", 60, 9, rig.workspaces.places)
        assert await queue.claim(9) == []
        assert (await rig.read(mine)).waiting_for == "workspace limit"
        async with rig.database.transaction() as db:
            await rows.wish(db, gone, rig.actor.user_id, datetime(2020, 1, 1, tzinfo=UTC), -1)
        assert [lease.session_id for lease, _ in await queue.claim(9)] == [mine.id]


# --- the plan ---------------------------------------------------------------------------------------

ADA, BOB, CAY = uuid4(), uuid4(), uuid4()
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def wanted(person: UUID, project: UUID | None = None) -> Wanted:
    return Wanted(project or uuid4(), person, 1, LONG_AGO)


def idle(holder: UUID, minutes: int) -> Seat:
    return Seat(holder, busy=False, used_at=LONG_AGO - timedelta(minutes=minutes))


def test_of_idle_workspaces_the_one_that_rests_longest_goes_first_and_only_as_many_as_wait():
    young, old, older = uuid4(), uuid4(), uuid4()
    seats = {young: idle(ADA, 1), old: idle(ADA, 5), older: idle(ADA, 9)}
    plan = Plan(3, 3, seats, [])
    assert not plan.admit(uuid4(), BOB)
    assert not plan.admit(uuid4(), BOB)
    assert plan.given_up == [older, old]
    assert plan.taken == {}


def test_what_is_being_stopped_is_for_the_first_in_line():
    leaving = uuid4()
    seats = {leaving: Seat(ADA, busy=False, leaving=True), uuid4(): idle(ADA, 1)}
    plan = Plan(2, 2, seats, [])
    assert not plan.admit(uuid4(), BOB)
    assert plan.given_up == []
    assert not plan.admit(leaving, ADA)
    assert len(plan.given_up) == 1


def test_who_holds_more_than_their_share_gives_up_first():
    hers, his = uuid4(), uuid4()
    seats = {uuid4(): Seat(ADA, busy=True), hers: idle(ADA, 1), his: idle(BOB, 9)}
    plan = Plan(3, 1, seats, [wanted(CAY)])
    assert not plan.admit(uuid4(), CAY)
    assert plan.given_up == [hers]


def test_nobody_keeps_more_than_their_share_by_using_it_while_another_has_less():
    lent = [uuid4(), uuid4()]
    seats = {name: Seat(ADA, busy=True, lent=True, used_at=LONG_AGO) for name in lent}
    assert not Plan(2, 2, dict(seats), [wanted(BOB)]).given_up
    plan = Plan(2, 1, seats, [wanted(BOB)])
    assert not plan.admit(uuid4(), ADA)
    assert not plan.admit(uuid4(), BOB)
    assert not plan.admit(uuid4(), CAY)
    assert len(plan.given_up) == 1


def test_two_who_hold_their_share_do_not_wait_for_each_other():
    seats = {uuid4(): Seat(ADA, busy=True), uuid4(): Seat(BOB, busy=True)}
    project = uuid4()
    plan = Plan(3, 1, seats, [wanted(ADA, project), wanted(BOB)])
    assert plan.admit(project, ADA)


def test_an_idle_workspace_of_another_is_no_way_around_the_share():
    his = uuid4()
    seats = {uuid4(): Seat(ADA, busy=True), his: idle(BOB, 1)}
    plan = Plan(2, 1, seats, [wanted(CAY)])
    assert not plan.admit(his, ADA)
    assert not plan.admit(uuid4(), CAY)
    assert plan.given_up == [his]


def test_a_default_limit_goes_by_memory_locally_and_there_is_none_on_a_cluster(tmp_path) -> None:
    assert load_settings(data=tmp_path).places >= 2
    assert load_settings(data=tmp_path, workspace_limit=0).places == 0
    assert load_settings(data=tmp_path, runtime="kubernetes", opencode_server_image="x").places == 0
    assert Places(None, 5, 0.1).share == 1  # type: ignore[arg-type]
