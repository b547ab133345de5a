"""A session's tree: made or found again before the agent starts, kept as a checkpoint when it has ended.

The rows are written by `Record`, fenced as everything of a run; what is done in the workspace may be
repeated without harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from vibe_app.board.changes import content
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks import queries as task_queries
from vibe_app.board.tasks.models import Task
from vibe_app.changes.remotes import Remotes
from vibe_app.clients.git import GitClient
from vibe_app.clients.sidecar import Agent
from vibe_app.db import Database
from vibe_app.errors import LeaseLost
from vibe_app.wire.git import (
    AskDiff,
    AskFile,
    AskPatches,
    ChangedFile,
    Checkpoint,
    Diff,
    DropTree,
    LeftOut,
    TakeCheckpoint,
    WantTree,
)
from vibe_app.workspaces.runtimes.base import Endpoint

log = logging.getLogger(__name__)

_PATCHES = 16 << 20


@dataclass(frozen=True)
class Prepared:
    """A tree in which an agent can begin.

    Args:
        number: The card's.
        base: The commit on which its change is founded.
        branch: The base branch, for a new change.
        revision: Its newest checkpoint, if anything differs from the base.
        setup: The command that prepares it, where that has not run yet.
        notices: Sentences to begin the run with.
        files: The paths of its change so far.
    """

    number: int
    base: str
    branch: str = ""
    revision: str | None = None
    setup: str = ""
    notices: Sequence[str] = ()
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Kept:
    """What a tree held when it was kept, as it is to stand in the rows.

    Args:
        revision: Its newest checkpoint; None where nothing differs from the base.
        diff: What differs from the base.
        patches: The beginning of its texts, packed.
        left_out: What is in no checkpoint.
        base: On what the change is founded.
        behind: By how many commits the base branch has moved on since.
        brings: How many commits of the remote's it has that the base branch has not.
        round: What differs from the checkpoint before the session.
        conflicts: Files in which it conflicts with the base branch as it is.
    """

    revision: str | None
    diff: Diff
    patches: bytes
    left_out: Sequence[LeftOut] = ()
    base: str = ""
    behind: int = 0
    brings: int = 0
    round: Diff = field(default_factory=lambda: _NOTHING)
    conflicts: Sequence[str] = ()


_NOTHING = Diff(files=list[ChangedFile](), count=0, additions=0, deletions=0)


class Trees:
    """Makes and keeps the trees of cards.

    Args:
        database: Knows the changes.
        git: Asks workspaces' repositories.
        agent: Asks their sidecars.
        remotes: Fetches what is new before a tree is made.
    """

    def __init__(self, database: Database, git: GitClient, agent: Agent, remotes: Remotes) -> None:
        self._database = database
        self._git = git
        self._agent = agent
        self._remotes = remotes

    async def prepare(self, endpoint: Endpoint, project: Project, session: Session) -> Prepared:
        """Make a card's tree, or find it again, and keep what was written in it since its last checkpoint.

        Raises:
            LeaseLost: The card was deleted.
            VibeError: The workspace cannot do it.
        """
        async with self._database.transaction() as db:
            task = await db.get(Task, session.task_id)
            if task is None:
                raise LeaseLost("The task was deleted, and its sessions with it.")
            number = await task_queries.number_of(db, task)
            change = await change_queries.open_change(db, session.task_id)
        setup = project.setup or ""
        if change is None:
            return await self._new(endpoint, project, number, setup)
        wanted = WantTree(base=change.base_commit, revision=change.revision, copied=project.copied or [])
        tree = await self._git.tree(endpoint, number, wanted)
        kept = await self._git.checkpoint(
            endpoint, number, _checkpoint(change, task, None, "As it was before the next run")
        )
        notices = list(tree.notices)
        if tree.restored:
            notices.append("The card's folder was gone, so it was made anew from its last checkpoint.")
        files = [file.path for file in content.unpack_files(change.files)]
        again = "" if change.prepared and not tree.restored else setup
        return Prepared(number, change.base_commit, "", kept.revision, again, notices, files)

    async def _new(self, endpoint: Endpoint, project: Project, number: int, setup: str) -> Prepared:
        """Make the tree of a card without a change, from the newest that there is of the base branch."""
        repository = await self._git.repository(endpoint)
        if number in repository.trees:
            # Of a change that was decided about, or made by a run that died before it was noted.
            await self._agent.let_go(endpoint, number)
            await self._git.drop_tree(endpoint, number, DropTree(anyway=True))
        notices = await self._remotes.fetch(endpoint, project)
        tree = await self._git.tree(endpoint, number, WantTree(copied=project.copied or []))
        return Prepared(number, tree.base, repository.branch, None, setup, [*notices, *tree.notices])

    async def keep(self, endpoint: Endpoint, session_id: UUID) -> Kept | None:
        """Make what a session left in its tree a checkpoint, and read what it changes; None without a tree.

        Raises:
            VibeError: The workspace cannot do it.
        """
        async with self._database.read() as db:
            found = (
                await db.execute(
                    select(Session, Change, Task)
                    .join(Change, col(Change.id) == col(Session.change_id))
                    .join(Task, col(Task.id) == col(Session.task_id))
                    .where(col(Session.id) == session_id)
                )
            ).one_or_none()
        if found is None or found[2].number is None:
            return None
        session, change, task = found[0], found[1], found[2]
        title = f"{task.title}" if session.message is None else f"{task.title}: follow-up"
        taken = await self._git.checkpoint(
            endpoint,
            found[2].number,
            _checkpoint(change, task, session_id, title, session.revision_before),
        )
        said = await self._commented(change)
        return await read_change(self._git, endpoint, taken, session.revision_before, said)

    async def keep_now(self, endpoint: Endpoint, change: Change, task: Task) -> Kept:
        """Make what is in a tree now a checkpoint, outside of any session, and read what it changes.

        Raises:
            NotFound: There is no such tree.
            VibeError: The workspace cannot do it.
        """
        taken = await self._git.checkpoint(
            endpoint, task.number or 0, _checkpoint(change, task, None, "As it was when it was decided about")
        )
        return await read_change(self._git, endpoint, taken, None, await self._commented(change))

    async def _commented(self, change: Change) -> list[str]:
        """The files of a change on which there are comments that somebody still looks for."""
        async with self._database.read() as db:
            return await change_queries.commented(db, change.id)


def columns_of(kept: Kept) -> dict[str, Any]:
    """Return what a change's row says of what was kept."""
    return {
        "revision": kept.revision,
        "base_commit": kept.base,
        "behind": kept.behind,
        "brings": kept.brings,
        "files": content.pack_files(kept.diff.files),
        "patches": kept.patches,
        "file_count": kept.diff.count,
        "additions": kept.diff.additions,
        "deletions": kept.diff.deletions,
        "left_out": [each.model_dump() for each in kept.left_out],
        "conflicts": list(kept.conflicts),
        "problem": None,
    }


async def read_change(
    git: GitClient,
    endpoint: Endpoint,
    taken: Checkpoint,
    before: str | None,
    commented: Sequence[str] = (),
) -> Kept:
    """Read what a checkpoint changes of its base, and of the checkpoint before.

    Args:
        git: Asks the workspace's repository.
        endpoint: The workspace.
        taken: The checkpoint.
        before: The one before the session, where it is of one.
        commented: Files whose texts are kept before all others, however far behind they come: it is by these
            that the lines of comments are found.

    Raises:
        VibeError: The workspace cannot do it.
    """
    base, revision = taken.base, taken.revision
    if revision is None:
        return Kept(None, _NOTHING, content.pack_patches({}), taken.left_out, base, taken.behind)
    diff = await git.diff(endpoint, AskDiff(base=base, revision=revision))
    patches = await git.patches(endpoint, AskPatches(base=base, revision=revision, limit=_PATCHES))
    round_ = diff
    if before is not None and before != base:
        round_ = await git.diff(endpoint, AskDiff(base=before, revision=revision))
    files = [file for file in diff.files if file.path in commented and not file.binary]
    first = await _texts(git, endpoint, files, taken, patches.patches)
    packed = await asyncio.to_thread(content.pack_patches, first | patches.patches)
    return Kept(
        revision, diff, packed, taken.left_out, base, taken.behind, taken.brings, round_, taken.conflicts
    )


async def _texts(
    git: GitClient,
    endpoint: Endpoint,
    files: Sequence[ChangedFile],
    taken: Checkpoint,
    known: Mapping[str, str],
) -> dict[str, str]:
    """Return the whole patches of some files of a checkpoint; one too long to be kept at all is missing."""
    found: dict[str, str] = {}
    for file in files:
        patch, offset = known.get(file.path, ""), 0 if file.path not in known else None
        while offset is not None and len(patch) <= _PATCHES:
            where = {"path": file.path, "old_path": file.old_path, "offset": offset}
            asked = AskFile.model_validate({"base": taken.base, "revision": taken.revision} | where)
            part = await git.file(endpoint, asked)
            patch, offset = patch + part.patch, part.next_offset
        if offset is None:
            found[file.path] = patch
    return found


def _checkpoint(
    change: Change, task: Task, session: UUID | None, title: str, before: str | None = None
) -> TakeCheckpoint:
    trailers = [f"Vibe-Task: {task.number}"]
    if session is not None:
        trailers.append(f"Vibe-Session: {session}")
    return TakeCheckpoint(
        base=change.base_commit,
        revision=before or change.revision,
        message=f"{title}\n\n" + "\n".join(trailers),
    )
