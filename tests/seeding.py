"""Changes of cards without a run: rows as they are after one, of texts before and after.

The hashes name nothing: what needs a workspace's repository does not work with such a change.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import col

# Tables name these two: SQLAlchemy wants to know them.
import vibe_app.accounts.models  # pyright: ignore[reportUnusedImport]
import vibe_app.board.projects.models  # noqa: F401  # pyright: ignore[reportUnusedImport]
from vibe_app.board.changes.content import pack_files, pack_patches
from vibe_app.board.changes.models import Change
from vibe_app.board.lifecycle import SessionKind, SessionStatus, TaskStatus
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database
from vibe_app.wire import now
from vibe_app.wire.git import ChangedFile, FileStatus

Texts = Mapping[str, tuple[str | None, str | None]]
"""What files held before and after; None where there was none."""
BASE = "b" * 40


def changed(path: str, before: str | None, after: str | None) -> tuple[ChangedFile, str]:
    """Return a file of a change as it is listed, and its patch."""
    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    lines = list(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
    status = FileStatus.MODIFIED
    if before is None or after is None:
        status = FileStatus.ADDED if before is None else FileStatus.DELETED
    count = [sum(line[0] == mark for line in lines[2:]) for mark in "+-"]
    blob = hashlib.sha1((after or "").encode(), usedforsecurity=False).hexdigest()
    file = ChangedFile(path=path, status=status, additions=count[0], deletions=count[1], blob=blob)
    return file, f"diff --git a/{path} b/{path}\n" + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


async def seed_change(
    database: Database,
    task_id: UUID,
    texts: Texts,
    revision: str = "1" * 40,
    more: tuple[ChangedFile, ...] = (),
    **values: Any,
) -> UUID:
    """Give a card an open change and a run that made it, or its change another revision.

    Args:
        database: Where the card is.
        task_id: The card; it goes to AI review.
        texts: The files of the change.
        revision: Its checkpoint.
        more: Files without a text.
        values: Further columns of the change.
    """
    made = [changed(path, *both) for path, both in texts.items()]
    files = sorted([file for file, _ in made] + list(more), key=lambda file: file.path)
    async with database.transaction() as db:
        task = await db.get_one(Task, task_id)
        change = await db.get(Change, task.change_id) if task.change_id else None
        if change is None:
            change = Change(task_id=task.id, project_id=task.project_id, base_branch="main", base_commit=BASE)
            db.add(change)
        before = change.revision
        change.revision, change.file_count = revision, len(files)
        change.additions = sum(file.additions for file in files)
        change.deletions = sum(file.deletions for file in files)
        change.files = pack_files(files)
        change.patches = pack_patches({file.path: patch for file, patch in made})
        for name, value in values.items():
            setattr(change, name, value)
        await db.flush()
        session = Session(
            task_id=task.id,
            project_id=task.project_id,
            kind=SessionKind.FOLLOW_UP if before else SessionKind.EXECUTE,
            status=SessionStatus.COMPLETED,
            prompt="Make it greet",
            message="Make it greet" if before else None,
            summary="I made it **greet**.",
            output="Done.",
            model="rehearsal",
            change_id=change.id,
            created_by=task.created_by,
            revision_before=before,
            revision_after=revision,
            round_files=len(files),
            round_additions=change.additions,
            round_deletions=change.deletions,
            started_at=now(),
            completed_at=now(),
        )
        db.add(session)
        await db.flush()
        await db.execute(
            update(Task)
            .where(col(Task.id) == task_id)
            .values(change_id=change.id, last_session_id=session.id, status=TaskStatus.AI_REVIEW)
        )
        db.announce(f"project:{task.project_id}", f"change:{change.id}")
        return change.id
