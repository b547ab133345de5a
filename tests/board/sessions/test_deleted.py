"""A deleted session is in no list, no count and no line: its row alone is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import col

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.tasks.schemas import NewTask, TaskView
from vibe_app.errors import Conflict, IllegalMove, InvalidRequest, NotFound
from vibe_app.runs.queue import Queue
from vibe_app.wire import now
from vibe_app.wiring import Services

KEY = "the same key"


class Shown:
    """Where a session can be seen; each answers whether it is there."""

    def __init__(self, parts: Services, actor: Actor, session: SessionView) -> None:
        self.parts, self.actor, self.session = parts, actor, session
        self.place = (actor, session.project_id, session.task_id)

    async def in_history(self) -> bool:
        page = await self.parts.sessions.history(*self.place)
        assert page.total_count == len(page.items)
        return bool(page.items)

    async def in_previews(self) -> bool:
        page = await self.parts.sessions.history(*self.place, page=1, page_size=20)
        assert page.total_count == len(page.items)
        return bool(page.items)

    async def in_project(self) -> bool:
        page = await self.parts.sessions.of_project(self.actor, self.session.project_id)
        assert page.total_count == len(page.items)
        return bool(page.items)

    async def among_the_finished(self) -> bool:
        return bool((await self.parts.sessions.of_project(*self.place[:2], active=False)).items)

    async def among_the_live(self) -> bool:
        return bool((await self.parts.sessions.of_project(*self.place[:2], active=True)).items)

    async def in_counts(self) -> bool:
        return bool(await self.parts.sessions.counts())

    async def on_board(self) -> bool:
        seen = await self.parts.boards.read(*self.place[:2])
        (card,) = (card for window in seen.columns.values() for card in window.cards)
        return card.session is not None

    async def on_page_of_cards(self) -> bool:
        return (await self.parts.tasks.page(*self.place[:2], None, "", 1, 20)).items[0].session is not None

    async def on_card(self) -> bool:
        return (await self.parts.tasks.read(*self.place)).session is not None

    async def by_id(self) -> bool:
        return await _found(self.parts.sessions.read(*self.place, self.session.id))

    async def at_a_glance(self) -> bool:
        return await _found(self.parts.sessions.glance(*self.place, self.session.id))

    async def as_outcome(self) -> bool:
        return await _found(self.parts.sessions.wait_for_outcome(self.session.id))

    async def as_what_was_stopped(self) -> bool:
        return await _found(self.parts.sessions.wait_until_over(self.session.id, 0.0))

    async def in_output(self) -> bool:
        return await _found(self.parts.event_log.read(self.session.id))

    async def in_stream(self) -> bool:
        return await _found(anext(self.parts.event_log.follow(self.session.id)))

    async def in_live_count(self) -> bool:
        project = await self.parts.projects.read(*self.place[:2])
        (listed,) = await self.parts.projects.list(self.actor)
        assert listed.live_sessions == project.live_sessions
        return project.live_sessions > 0

    async def in_line(self) -> bool:
        return await self.queue.due() is not None

    async def among_the_claimed(self) -> bool:
        return bool(await self.queue.claim(9))

    async def to_be_stopped(self) -> bool:
        try:
            await self.parts.sessions.stop(*self.place)
        except InvalidRequest:
            return False
        return True

    @property
    def queue(self) -> Queue:
        return Queue(self.parts.database, "test", 60, 9)


async def _found(answer: Awaitable[object]) -> bool:
    try:
        await answer
    except NotFound:
        return False
    return True


async def card_of(parts: Services, owner: Actor) -> TaskView:
    project = await parts.projects.create(owner, NewProject(name="Sample"))
    return await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))


async def executed(parts: Services, owner: Actor, card: TaskView) -> SessionView:
    return await parts.starts.execute(owner, card.project_id, card.id, idempotency_key=KEY)


@pytest.fixture
async def finished(resting: Services, owner: Actor) -> SessionView:
    """A session that is over."""
    session = await executed(resting, owner, await card_of(resting, owner))
    return await resting.sessions.stop(owner, session.project_id, session.task_id)


@pytest.fixture
async def live(resting: Services, owner: Actor) -> SessionView:
    """A session that stands in line."""
    return await executed(resting, owner, await card_of(resting, owner))


async def mark(parts: Services, session_id: UUID) -> None:
    """Mark a session as deleted, whatever the verbs say."""
    async with parts.database.transaction() as db:
        await db.execute(update(Session).where(col(Session.id) == session_id).values(deleted_at=now()))


OF_FINISHED: list[Callable[[Shown], Awaitable[bool]]] = [
    Shown.in_history,
    Shown.in_previews,
    Shown.in_project,
    Shown.among_the_finished,
    Shown.in_counts,
    Shown.on_board,
    Shown.on_page_of_cards,
    Shown.on_card,
    Shown.by_id,
    Shown.at_a_glance,
    Shown.as_outcome,
    Shown.as_what_was_stopped,
    Shown.in_output,
    Shown.in_stream,
]
OF_LIVE: list[Callable[[Shown], Awaitable[bool]]] = [
    Shown.among_the_live,
    Shown.in_live_count,
    Shown.in_line,
    Shown.among_the_claimed,
    Shown.to_be_stopped,
]


@pytest.mark.parametrize("place", OF_FINISHED)
async def test_a_deleted_session_is_not(
    resting: Services, owner: Actor, finished: SessionView, place: Callable[[Shown], Awaitable[bool]]
) -> None:
    shown = Shown(resting, owner, finished)
    assert await place(shown)
    await resting.sessions.delete(owner, finished.project_id, finished.task_id, finished.id)
    assert not await place(shown)


@pytest.mark.parametrize("marked", [False, True], ids=["there", "deleted"])
@pytest.mark.parametrize("place", OF_LIVE)
async def test_one_that_is_marked_while_it_waits_is_not(
    resting: Services,
    owner: Actor,
    live: SessionView,
    place: Callable[[Shown], Awaitable[bool]],
    marked: bool,
) -> None:
    """No verb does this; a row from elsewhere must not bring the line to a halt."""
    if marked:
        await mark(resting, live.id)
    assert await place(Shown(resting, owner, live)) is not marked


@pytest.mark.parametrize("place", [Shown.on_board, Shown.on_page_of_cards, Shown.on_card])
async def test_a_card_that_still_names_it_does_not_show_it(
    resting: Services, owner: Actor, finished: SessionView, place: Callable[[Shown], Awaitable[bool]]
) -> None:
    """As the version before left it."""
    shown = Shown(resting, owner, finished)
    assert await place(shown)
    await mark(resting, finished.id)
    assert not await place(shown)


async def test_it_does_not_move_any_more(resting: Services, live: SessionView) -> None:
    await mark(resting, live.id)
    with pytest.raises(IllegalMove):
        async with resting.database.transaction() as db:
            await session_queries.move_session(db, live.id, SessionStatus.RUNNING)


async def test_it_holds_no_place_in_line(resting: Services, owner: Actor) -> None:
    cards = [await card_of(resting, owner)]
    cards += [
        await resting.tasks.create(owner, cards[0].project_id, NewTask(title=f"Card {n}")) for n in range(2)
    ]
    first, _, last = [await executed(resting, owner, card) for card in cards]
    await Queue(resting.database, "test", 60, 9).claim(1)

    async def place() -> int | None:
        return (await resting.sessions.read(owner, last.project_id, last.task_id, last.id)).queue_position

    assert await place() == 2
    await mark(resting, first.id)
    assert await place() is None  # one is in front of it, and nothing runs


async def test_the_card_shows_the_newest_run_that_is_left(resting: Services, owner: Actor) -> None:
    card = await card_of(resting, owner)
    runs = []
    for number in range(3):
        run = await resting.starts.execute(owner, card.project_id, card.id, idempotency_key=str(number))
        await resting.sessions.stop(owner, card.project_id, card.id)
        runs.append(run.id)
    for deleted, left in ((runs[1], runs[2]), (runs[2], runs[0]), (runs[0], None)):
        await resting.sessions.delete(owner, card.project_id, card.id, deleted)
        session = (await resting.tasks.read(owner, card.project_id, card.id)).session
        assert (session and session.id) == left


async def test_its_key_starts_no_other(resting: Services, owner: Actor, finished: SessionView) -> None:
    place = (owner, finished.project_id, finished.task_id)
    again = await resting.starts.execute(*place, idempotency_key=KEY)
    assert again.id == finished.id
    await resting.sessions.delete(*place, finished.id)
    with pytest.raises(Conflict, match="Use a new key") as refused:
        await resting.starts.execute(*place, idempotency_key=KEY)
    assert refused.value.code == "session_deleted"
    assert (await resting.sessions.history(*place)).total_count == 0


async def test_a_live_one_cannot_be_deleted(resting: Services, owner: Actor, live: SessionView) -> None:
    with pytest.raises(Conflict, match="Stop it first"):
        await resting.sessions.delete(owner, live.project_id, live.task_id, live.id)
    assert (await resting.sessions.history(owner, live.project_id, live.task_id)).total_count == 1
