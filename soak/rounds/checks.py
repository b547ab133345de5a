"""What must be true when a soak of rounds is over: rows, hubs and conversations say the same.

Each check returns sentences, one for each broken promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from soak.rounds.outside import Workspace
from soak.rounds.team import Said
from vibe_app.board.changes.models import Change, Comment
from vibe_app.board.lifecycle import LIVE, OPEN_CHANGE, ChangeState, CommentState, TaskStatus
from vibe_app.board.sessions.models import Session
from vibe_app.board.tasks.models import Task
from vibe_app.db import Database


@dataclass
class Rows:
    """Every row of the board's."""

    tasks: dict[UUID, Task] = field(default_factory=dict[UUID, Task])
    sessions: Sequence[Session] = ()
    changes: Sequence[Change] = ()
    comments: Sequence[Comment] = ()


async def rows(database: Database) -> Rows:
    """Read them."""
    async with database.read() as db:
        return Rows(
            {task.id: task for task in await db.scalars(select(Task))},
            (await db.scalars(select(Session).order_by(col(Session.created_at)))).all(),
            (await db.scalars(select(Change).order_by(col(Change.created_at)))).all(),
            (await db.scalars(select(Comment))).all(),
        )


def at_rest(found: Rows) -> list[str]:
    """Every session is over, and nothing is to be done with any change."""
    said = [f"session {each.id} is {each.status}" for each in found.sessions if each.status in LIVE]
    said += [
        f"change {each.id} is {each.state}, with the intent {each.intent}"
        for each in found.changes
        if each.intent is not None or each.state is ChangeState.ACCEPTING
    ]
    said += [
        f"card {task.number} is in progress and nothing runs"
        for task in found.tasks.values()
        if task.status is TaskStatus.IN_PROGRESS
    ]
    return said


async def comments(found: Rows, written: Sequence[Said], workspaces: dict[str, Workspace]) -> list[str]:
    """A comment that is sent stands once in what the agent was told, and nowhere else; an open one never."""
    said: list[str] = []
    told = {project: await workspace.told() for project, workspace in workspaces.items()}
    known = {str(comment.id): comment for comment in found.comments}
    sessions = {session.id: session for session in found.sessions}
    for each in written:
        comment = known.pop(each.id, None)
        if comment is None:
            said.append(f"the comment {each.token} is lost: it has no row")
            continue
        places = [name for name, text in told[str(comment.project_id)] if each.token in text]
        if comment.state is CommentState.OPEN:
            if places:
                said.append(f"the comment {each.token} is open, and the agent was told it in {places}")
            if comment.session_id is not None:
                said.append(f"the comment {each.token} is open, and held by session {comment.session_id}")
            continue
        session = sessions.get(comment.session_id) if comment.session_id else None
        if session is None:
            said.append(f"the comment {each.token} is {comment.state}, and no session took it along")
        elif places != [session.conversation_id]:
            said.append(
                f"the comment {each.token} is {comment.state} with session {session.id} ({session.status},"
                f" attempt {session.attempt}) of the conversation {session.conversation_id}, and the agent"
                f" was told it in {places}"
            )
    said += [f"there is a comment that nobody wrote: {each.body}" for each in known.values()]
    return said


async def decisions(found: Rows, workspaces: dict[str, Workspace]) -> list[str]:
    """Each accepted change is one commit of the base branch, and nothing else is."""
    said: list[str] = []
    for project, workspace in workspaces.items():
        head = (await workspace.git("rev-parse", "HEAD")).strip()
        trailers = Counter[int]()
        form = "--format=%(trailers:key=Vibe-Task,valueonly,separator=%x2C)"
        for line in await workspace.lines("log", "--first-parent", form, "HEAD"):
            trailers.update(int(number) for number in line.split(",") if number)
        wanted = Counter[int]()
        for change in found.changes:
            task = found.tasks[change.task_id]
            if str(change.project_id) != project or task.number is None:
                continue
            if change.state is ChangeState.ACCEPTED:
                # What changes nothing of the base is accepted without a commit.
                wanted[task.number] += change.merge_new != change.merge_old
                if not change.merge_new or not await workspace.contains(head, change.merge_new):
                    said.append(f"card {task.number} is accepted, and {change.merge_new} is not in the base")
            elif change.merge_new and await workspace.contains(head, change.merge_new):
                said.append(f"card {task.number} is {change.state}, and {change.merge_new} is in the base")
        for number in sorted(wanted.keys() | trailers.keys()):
            if wanted[number] != trailers[number]:
                said.append(
                    f"card {number} of {project} was accepted {wanted[number]} times, and the base has"
                    f" {trailers[number]} commits of it"
                )
    return said


async def references(found: Rows, workspaces: dict[str, Workspace]) -> list[str]:
    """Every checkpoint that a row names is kept by a reference of its card, numbered without gaps."""
    said: list[str] = []
    kept = {project: await workspace.checkpoints() for project, workspace in workspaces.items()}
    for project, cards in kept.items():
        for number, commits in cards.items():
            if sorted(commits) != list(range(1, len(commits) + 1)):
                said.append(f"the checkpoints of card {number} of {project} are {sorted(commits)}")
    named = [(each.task_id, each.project_id, each.revision) for each in found.changes]
    named += [(each.task_id, each.project_id, each.revision_before) for each in found.sessions]
    named += [(each.task_id, each.project_id, each.revision_after) for each in found.sessions]
    for task_id, project_id, revision in named:
        number = found.tasks[task_id].number or 0
        if revision and revision not in kept[str(project_id)].get(number, {}).values():
            said.append(f"card {number} of {project_id}: no reference keeps the checkpoint {revision}")
    return said


async def trees(found: Rows, workspaces: dict[str, Workspace]) -> list[str]:
    """An open change has its tree; one that is decided about has none. Cards stand where that puts them."""
    said: list[str] = []
    newest = {change.task_id: change for change in found.changes}
    for task in found.tasks.values():
        change = newest.get(task.id)
        if change is None or task.number is None:
            continue
        there = workspaces[str(task.project_id)].tree(task.number).is_dir()
        name = f"card {task.number} of {task.project_id}"
        if there != (change.state in OPEN_CHANGE):
            said.append(f"{name} is {change.state}, and its tree is {'there' if there else 'gone'}")
        if change.state is ChangeState.ACCEPTED and task.status is not TaskStatus.DONE:
            said.append(f"{name} is accepted, and in {task.status}")
        if change.state is ChangeState.DISCARDED and task.status is not TaskStatus.TODO:
            said.append(f"{name} is discarded, and in {task.status}")
        if task.change_id != change.id:
            said.append(f"{name} shows the change {task.change_id} instead of {change.id}")
    numbers = {(str(task.project_id), str(task.number)) for task in found.tasks.values()}
    for project, workspace in workspaces.items():
        strays = [path.name for path in (workspace.root / "tasks").iterdir()]
        said += [f"{project}: tasks/{name} is no card's" for name in strays if (project, name) not in numbers]
    return said


async def hubs(workspaces: dict[str, Workspace], saved: Sequence[tuple[str, str, str]]) -> list[str]:
    """Each hub is sound, without locks; the base's folder is its head; what people saved is there, once."""
    said: list[str] = []
    for project, workspace in workspaces.items():
        said += [f"{project}: git fsck: {line}" for line in await workspace.unsound()]
        said += [f"{project}: the base's folder differs in {name}" for name in await workspace.base_differs()]
        said += [f"{project}: {path} was left" for path in _left(workspace.root)]
    for project, path, text in saved:
        workspace = workspaces[project]
        # An agent may have taken it away since.
        # Where the first try was broken off, the second found the file there.
        subject = f"--grep=^\\(Add\\|Change\\) {path}$"
        commits = await workspace.lines("log", "--first-parent", "--format=%H", subject, "HEAD")
        if len(commits) != 1:
            said.append(f"{project}: {path} was saved once, in {len(commits)} commits")
        elif await workspace.git("show", f"{commits[0]}:{path}", statuses=(0, 128)) != text:
            said.append(f"{project}: {path} is not on the base as it was saved")
    return said


def _left(root: Path) -> list[str]:
    locks = [path for path in (root / "hub").rglob("*.lock") if path.name != "vibe.lock"]
    return [str(path.relative_to(root)) for path in (*locks, *root.glob(".new-*"))]
