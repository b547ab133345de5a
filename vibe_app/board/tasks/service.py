"""The verbs of cards: create, list, read, change, move."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import on_board, require, task_of
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.queries import CHANGES
from vibe_app.board.lifecycle import TASK_MOVES, TaskStatus
from vibe_app.board.pages import Page
from vibe_app.board.people import People
from vibe_app.board.projects import queries as project_queries
from vibe_app.board.rules import clean_labels
from vibe_app.board.sessions import queries as session_queries
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks import needs
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.activity import Kind, note
from vibe_app.board.tasks.filters import EVERYTHING, Filter
from vibe_app.board.tasks.models import Task, shown
from vibe_app.board.tasks.schemas import NewTask, TaskPatch, TaskView
from vibe_app.board.tasks.shelving import LIVE, Shelves
from vibe_app.board.tasks.showing import Showing
from vibe_app.board.topics import card_topics
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, IllegalMove, InvalidRequest, VersionChanged
from vibe_app.wire import now, plain_text

_CHANGED = (
    "Somebody changed this task since you read it. Nothing was saved: look at both, and save again if yours "
    "is to stay."
)


# What the agent is given of a card: it stays as it is while a session is live.
_PROMPT = frozenset({"title", "description"})


class Tasks(Shelves):
    """Cards of a board, and of its shelves.

    Args:
        database: Where they are kept.
        people: Who there is.
        showing: Makes what is shown of them.
    """

    def __init__(self, database: Database, people: People, showing: Showing) -> None:
        super().__init__(database, showing)
        self._people = people

    async def create(self, actor: Actor, project_id: UUID, new: NewTask) -> TaskView:
        """Put a new card at the bottom of TODO. For editors.

        Raises:
            InvalidRequest: The assignee is no member, or a card that it needs is none on the board.
        """
        values = dict(new)
        needed = values.pop("needs")
        task = Task(project_id=project_id, position=0.0, created_by=actor.user_id, **values)
        async with self._database.transaction() as db:
            # Locked, so that the project is not deleted between the look and the commit.
            await require(db, actor, project_id, ProjectRole.EDITOR, lock=True)
            await self._may_have(db, project_id, task.assignee_id)
            task.position = await task_queries.bottom_of(db, project_id, TaskStatus.TODO)
            task.number = await task_queries.next_number(db, project_id)
            db.add(task)
            await db.flush()
            if needed:
                await needs.replace(db, project_id, task.id, needed)
            db.announce(*card_topics(project_id, task.id), "projects")
            return await self._showing.whole(db, task)

    async def page(
        self,
        actor: Actor,
        project_id: UUID,
        status: TaskStatus | None,
        search: str,
        page: int,
        page_size: int,
        after: str | None = None,
        *,
        archived: bool = False,
        chosen: Filter = EVERYTHING,
    ) -> Page[TaskView]:
        """Return one page of the board's cards, whole; it ends early where it would be larger than a page.

        With `archived` it is a page of the archive; `chosen` leaves out what is not to be seen.

        Raises:
            InvalidRequest: `after` is no cursor that a page of this list had as its `next`.
        """
        where = task_queries.chosen(project_id, status, plain_text(search).strip(), archived)
        where += chosen.conditions()
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            rows, total, following = await task_queries.cards_page(db, where, page, page_size, after)
            return Page(await self._showing.all(TaskView, db, rows), total, following)

    async def read(self, actor: Actor, project_id: UUID, task_id: UUID) -> TaskView:
        """Return one card.

        Raises:
            NotFound: The project has no such card.
        """
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            return await self._showing.whole(db, await task_of(db, project_id, task_id))

    async def change(
        self, actor: Actor, project_id: UUID, task_id: UUID, version: int, patch: TaskPatch
    ) -> TaskView:
        """Change what is given and differs, and leave the rest.

        Saving what is there already is no change, whatever version it names: a second click loses nothing.

        Args:
            actor: Who asks; an editor.
            project_id: The board.
            task_id: The card.
            version: That of the card on which the change is founded.
            patch: What to change.

        Raises:
            VersionChanged: Somebody else has changed the card since that version.
            Conflict: A session is live and the change touches its prompt.
            InvalidRequest: The assignee is no member, or a card that it needs cannot be needed.
        """
        wanted = patch.given()
        async with self._database.transaction() as db:
            # Held where it is about other cards, so that no two begin to need each other at once.
            await require(db, actor, project_id, ProjectRole.EDITOR, lock="needs" in wanted)
            task = await task_of(db, project_id, task_id)
            present = {"needs": await self._needs(db, task_id)} if "needs" in wanted else {}
            values = {
                name: value
                for name, value in wanted.items()
                if (set(value) != present[name] if name in present else value != getattr(task, name))
            }
            await self._may_have(db, project_id, values.get("assignee_id"))
            if task.status is TaskStatus.IN_PROGRESS and _PROMPT & values.keys():
                raise Conflict(LIVE, "session_live")
            if values:
                await self._write(db, task, version, wanted, values)
                _note_change(db, actor, task_id, values)
                # What has an assignee needs nobody else.
                whom = ["projects"] if "assignee_id" in values else []
                db.announce(*card_topics(project_id, task_id), *whom)
        return await self.read(actor, project_id, task_id)

    async def label(
        self, actor: Actor, project_id: UUID, task_id: UUID, *, add: str = "", remove: str = ""
    ) -> None:
        """Give a card a label, or take one away, whatever version it is; what is so already stays.

        Raises:
            InvalidRequest: It would have too many labels, or the label is too long.
        """
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id, lock=True)
            left = [each for each in task.labels if each != remove.strip()]
            labels = clean_labels([*left, *([add] if add else [])])
            if labels != task.labels:
                await task_queries.rewrite_task(db, task_id, task.version, {"labels": labels}, _PROMPT)
                note(db, task_id, Kind.EDITED, actor.user_id, {"fields": ["labels"]})
                db.announce(*card_topics(project_id, task_id))

    async def _write(
        self, db: Transaction, task: Task, version: int, wanted: dict[str, Any], values: dict[str, Any]
    ) -> None:
        # The session before its card, as everywhere: two that lock in turn wait for each other for ever.
        if "priority" in values:
            waiting = (col(Session.task_id) == task.id) & session_queries.live
            await db.execute(update(Session).where(waiting).values(priority=values["priority"].rank))
        known = 0 < version < 2**31  # as the column holds it; no card has another
        columns = {name: value for name, value in values.items() if name != "needs"}
        if known and await task_queries.rewrite_task(db, task.id, version, columns, _PROMPT):
            if "needs" in values:
                await needs.replace(db, task.project_id, task.id, values["needs"])
            return
        project_id, task_id = task.project_id, task.id
        db.expire_all()
        task = await task_of(db, project_id, task_id)
        if task.version == version:
            raise Conflict(LIVE, "session_live")
        raise VersionChanged(_CHANGED, wanted, await self._showing.whole(db, task))

    async def move(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        target: TaskStatus,
        before_id: UUID | None = None,
        after_id: UUID | None = None,
    ) -> TaskView:
        """Move a card to a column: above `before_id`, below `after_id`, or to its end.

        Executing is not a move: it is `Sessions.execute`.

        Raises:
            Conflict: A session of the card is live, or the column belongs to live sessions.
            InvalidRequest: The neighbour is no card of that column, or two of them are named.
        """
        if before_id is not None and after_id is not None:
            raise InvalidRequest(
                "Name the card above which to put it, or the one below, not both.", "two_neighbours"
            )
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.EDITOR)
            task = await task_of(db, project_id, task_id)
            on_board(task)
            source = task.status
            if source is TaskStatus.IN_PROGRESS:
                raise Conflict(LIVE, "session_live")
            if target not in TASK_MOVES[source]:
                raise IllegalMove(
                    "Only tasks with a running session are in progress. Press Execute on a task in To do.",
                    "execute_instead",
                )
            if target is TaskStatus.DONE:
                await _nothing_open(db, task_id)
            if task_id in (before_id, after_id):
                position = task.position
            elif before_id is not None:
                before = await _neighbour(db, project_id, before_id, target, "before")
                position = await task_queries.position_before(db, project_id, target, before)
            elif after_id is not None:
                after = await _neighbour(db, project_id, after_id, target, "after")
                position = await task_queries.position_after(db, project_id, target, after, task_id)
            else:
                position = await task_queries.bottom_of(db, project_id, target)
            await task_queries.move_task(db, task_id, [source], target, shown, position=position)
            if source is not target:
                note(db, task_id, Kind.MOVED, actor.user_id, {"from": str(source), "to": str(target)})
                db.announce("projects")  # it may need somebody now, or nobody any more
            db.announce(*card_topics(project_id, task_id))
        return await self.read(actor, project_id, task_id)

    async def _needs(self, db: AsyncSession, task_id: UUID) -> set[UUID]:
        return {row.id for row in (await needs.of_cards(db, [task_id]))[task_id]}

    async def _may_have(self, db: AsyncSession, project_id: UUID, user_id: UUID | None) -> None:
        """Return if somebody may be the assignee of a project's cards.

        Raises:
            InvalidRequest: They are neither a member nor an admin.
        """
        if user_id is None or await project_queries.project_role(db, project_id, user_id) is not None:
            return
        if user_id not in await self._people.admins(db, [user_id]):
            raise InvalidRequest(
                "Only a member of the project can be the assignee of a card. Add the person first.",
                "not_a_member",
            )


def _note_change(db: Transaction, actor: Actor, task_id: UUID, values: dict[str, Any]) -> None:
    fields = sorted(values.keys() - {"assignee_id"})
    if fields:
        note(db, task_id, Kind.EDITED, actor.user_id, {"fields": fields})
    if "assignee_id" in values:
        person = values["assignee_id"]
        note(db, task_id, Kind.ASSIGNED, actor.user_id, {"assignee_id": str(person) if person else None})


async def _nothing_open(db: Transaction, task_id: UUID) -> None:
    """Refuse to call a card done whose change nobody has decided about; one without content is let go.

    Raises:
        Conflict: It has a change that is open.
    """
    change = await change_queries.open_change(db, task_id, lock=True)
    if change is None:
        return
    if change.revision is not None or change.intent is not None:
        raise Conflict(
            "This card has a change that nobody has decided about: accept or discard it.", "change_open"
        )
    change.intent, change.intent_at, change.intent_details = "discard", now(), {"column": TaskStatus.DONE}
    db.announce(CHANGES)


async def _neighbour(
    db: AsyncSession, project_id: UUID, task_id: UUID, status: TaskStatus, where: str
) -> Task:
    task = await task_of(db, project_id, task_id)
    if task.status != status:
        raise InvalidRequest(f"The card to put it {where} is not in that column.", f"invalid_{where}_id")
    return task
