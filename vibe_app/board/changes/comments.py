"""The verbs of comments on changes: write, list, change, delete. Whoever may look may comment."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require, task_of
from vibe_app.board.changes import content
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change, Comment
from vibe_app.board.changes.places import place
from vibe_app.board.changes.schemas import CommentPatch, CommentView, NewComment
from vibe_app.board.lifecycle import CommentState
from vibe_app.board.topics import card_topics
from vibe_app.db import Database
from vibe_app.errors import Conflict, Forbidden, InvalidRequest, NotFound, VersionChanged
from vibe_app.wire import now, plain_text

MOST = 2000
"""Comments that a change may have."""
_MOVED_ON = "This comment was changed since you read it. Nothing was saved: look at both and save again."


class Comments:
    """What people say of changes, line by line.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, actor: Actor, project_id: UUID, task_id: UUID) -> list[CommentView]:
        """Return the comments on a card's newest change, oldest first, each where its lines are now."""
        async with self._database.read() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER)
            await task_of(db, project_id, task_id)
            change = await change_queries.newest_change(db, task_id)
            if change is None:
                return []
            rows = await db.scalars(
                select(Comment)
                .where(col(Comment.change_id) == change.id)
                .order_by(col(Comment.created_at), col(Comment.id))
            )
            patches = content.Patches(change.patches)
            return [_view(comment, change, patches) for comment in rows]

    async def add(self, actor: Actor, project_id: UUID, task_id: UUID, new: NewComment) -> CommentView:
        """Comment on a line, or some lines, of a card's change.

        Raises:
            InvalidRequest: The card has no change or no such checkpoint, the lines are none, or there are too
                many comments.
            NotFound: The change has no such file.
        """
        end = new.line_end or new.line
        if end < new.line:
            raise InvalidRequest("The last line comes before the first.", "invalid_lines")
        if not new.body.strip():
            raise InvalidRequest("Write something.", "empty_comment")
        async with self._database.transaction() as db:
            await require(db, actor, project_id, ProjectRole.VIEWER, Scope.WRITE)
            await task_of(db, project_id, task_id)
            change = await change_queries.open_change(db, task_id)
            if change is None:
                raise InvalidRequest("This card has no open change to comment on.", "no_change")
            if content.find_file(change.files, new.path) is None:
                raise NotFound("The change has no such file.", "file_not_found")
            if not await change_queries.is_checkpoint(db, change, new.revision):
                raise InvalidRequest("This card has no such checkpoint.", "unknown_revision")
            count = select(func.count()).where(col(Comment.change_id) == change.id)
            if (await db.scalar(count) or 0) >= MOST:
                raise InvalidRequest(f"A change can have {MOST} comments at most.", "too_many_comments")
            comment = Comment(
                change_id=change.id,
                task_id=task_id,
                project_id=project_id,
                author_id=actor.user_id,
                revision=new.revision,
                path=new.path,
                side=new.side,
                line=new.line,
                line_end=end,
                quote=plain_text(new.quote),
                body=new.body,
            )
            db.add(comment)
            await db.flush()
            db.announce(f"change:{change.id}", *card_topics(project_id, task_id))
            return _view(comment, change, content.Patches(change.patches))

    async def change(
        self, actor: Actor, project_id: UUID, task_id: UUID, comment_id: UUID, patch: CommentPatch
    ) -> CommentView:
        """Change a comment's words, for who wrote it, or resolve it, or open it again.

        Raises:
            Forbidden: Somebody else wrote it.
            Conflict: The agent has it already, so its words stay.
            VersionChanged: Its words are others by now than those that the change is founded on.
        """
        async with self._database.transaction() as db:
            comment, change = await self._own(db, actor, project_id, task_id, comment_id)
            if patch.body is not None and patch.body != comment.body:
                self._need_author(actor, comment)
                if not patch.body.strip():
                    raise InvalidRequest("Write something.", "empty_comment")
                self._need_unsent(comment)
                if patch.was is not None and patch.was != comment.body:
                    present = _view(comment, change, content.Patches(change.patches))
                    raise VersionChanged(_MOVED_ON, {"body": patch.body}, present)
                comment.body = patch.body
            if patch.state is not None:
                self._turn(actor, comment, CommentState(patch.state))
            comment.updated_at = now()
            await db.flush()
            db.announce(f"change:{change.id}", *card_topics(project_id, task_id))
            return _view(comment, change, content.Patches(change.patches))

    async def delete(self, actor: Actor, project_id: UUID, task_id: UUID, comment_id: UUID) -> None:
        """Delete a comment that the agent does not have, for who wrote it and for owners.

        Raises:
            Forbidden: Somebody else wrote it.
            Conflict: The agent has it already.
        """
        async with self._database.transaction() as db:
            comment, change = await self._own(db, actor, project_id, task_id, comment_id)
            _, role = await require(db, actor, project_id, ProjectRole.VIEWER, Scope.WRITE)
            if not role.covers(ProjectRole.OWNER):
                self._need_author(actor, comment)
            self._need_unsent(comment)
            await db.delete(comment)
            db.announce(f"change:{change.id}", *card_topics(project_id, task_id))

    async def _own(
        self, db: AsyncSession, actor: Actor, project_id: UUID, task_id: UUID, comment_id: UUID
    ) -> tuple[Comment, Change]:
        await require(db, actor, project_id, ProjectRole.VIEWER, Scope.WRITE)
        await task_of(db, project_id, task_id)
        comment = await db.get(Comment, comment_id, with_for_update=True)
        change = await db.get(Change, comment.change_id) if comment else None
        if comment is None or change is None or comment.task_id != task_id:
            raise NotFound("There is no such comment. It may have been deleted.", "comment_not_found")
        return comment, change

    def _need_author(self, actor: Actor, comment: Comment) -> None:
        if comment.author_id != actor.user_id:
            raise Forbidden("Somebody else wrote this comment.", "not_the_author")

    def _need_unsent(self, comment: Comment) -> None:
        if comment.state is CommentState.SENT or comment.session_id is not None:
            raise Conflict("The agent has this comment already.", "comment_sent")

    def _turn(self, actor: Actor, comment: Comment, state: CommentState) -> None:
        """Resolve a comment, or open it again: one that the agent had can then be sent once more."""
        if state is comment.state:
            return
        if comment.state is CommentState.OPEN and comment.session_id is not None:
            raise Conflict("The agent is just being given this comment.", "comment_sent")
        comment.state, comment.session_id = state, None
        comment.resolved_by = actor.user_id if state is CommentState.RESOLVED else None


def _view(comment: Comment, change: Change, patches: Mapping[str, str]) -> CommentView:
    now_line: int | None = comment.line
    if comment.revision != change.revision:
        now_line = place(comment.quote, comment.side, comment.line, patches.get(comment.path, ""))
    values = {name: getattr(comment, name) for name in CommentView.model_fields if hasattr(comment, name)}
    return CommentView.model_validate({**values, "outdated": now_line is None, "now_line": now_line})
