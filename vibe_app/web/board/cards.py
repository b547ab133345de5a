"""What the face of a card says: pure words and numbers, no look (that is `face.py`).

To put a field on the face, give it an `on_face` in `card/fields.py`; what needs a look of its own is a
field of `Face`, filled in `face_of` and shown in `face.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import reflex as rx

from vibe_app.board.lifecycle import OPEN_CHANGE, ChangeState, SessionStatus, TaskStatus
from vibe_app.board.spending.wording import cost_words
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.web.card.fields import marks_of
from vibe_app.web.card.model import epoch_ms, is_live, run_words, spent, steps_words

LABELS = 3
"""Labels that a face names; of the others it says how many they are."""


@dataclass
class Face:
    """What a card shows on the board: small, since a window of them travels at once.

    `ref` is what people call it (`CAL-14`). `marks` is what its fields say on its face; `more` counts the
    labels that are not named. `who` are the initials of the person `whom`. `run` is the status of its
    latest session, `stopping` while that one is asked to stop, or empty; `words` say how that is, `line`
    what it is doing; `since` is when it began, `quiet` since when nothing was heard of it, 0 where that is
    not worth a word. `need` is what it needs of a person, by the keys of `kit.attention.NEEDS`. `change`
    tells that it has a change that nobody has decided about, with what it says in `outcome`, `additions`
    and `deletions`; `behind` by how many commits the base branch has moved on. `request` is the number of
    the pull request of an accepted one. `due` is a day: `2026-12-24`; how it is called, and whether it
    is over, the reader's own clock says.
    """

    id: str
    title: str
    ref: str = ""
    priority: str = "normal"
    labels: list[str] = field(default_factory=list[str])
    more: int = 0
    marks: list[str] = field(default_factory=list[str])
    who: str = ""
    whom: str = ""
    todo: bool = False
    locked: bool = False
    run: str = ""
    words: str = ""
    line: str = ""
    since: int = 0
    quiet: int = 0
    took: str = ""
    cost: str = ""
    need: str = ""
    change: bool = False
    outcome: str = ""
    additions: int = 0
    deletions: int = 0
    conflicts: bool = False
    behind: int = 0
    request: int = 0
    request_url: str = ""
    request_state: str = ""
    blocked: str = ""
    due: str = ""
    archived: bool = False


_ALWAYS = frozenset({"id", "title", "priority", "labels", "marks"})
_COUNTS = frozenset({"additions", "deletions"})


@rx.serializer(to=dict)
def lean(face: Face) -> dict[str, Any]:
    """Write a face as it travels: without what is as it mostly is, which a page reads as no."""
    values = ((each.name, getattr(face, each.name)) for each in fields(face))
    counted = _COUNTS if face.additions or face.deletions else frozenset[str]()
    return {name: value for name, value in values if value or name in _ALWAYS or name in counted}


def face_of(task: TaskCard) -> Face:
    """Make the face of a card."""
    face = Face(
        id=str(task.id),
        title=task.title,
        ref=task.ref or (f"#{task.number}" if task.number else ""),
        priority=task.priority.value,
        labels=task.labels[:LABELS],
        more=max(0, len(task.labels) - LABELS),
        marks=marks_of(task),
        todo=task.status is TaskStatus.TODO,
        locked=task.status is TaskStatus.IN_PROGRESS,
        archived=task.archived,
    )
    if task.assignee is not None:
        face.who, face.whom = initials(task.assignee.name), task.assignee.name
    if task.blocked and task.status is not TaskStatus.DONE:
        face.blocked = f"Blocked by {_listed(task.blocked)}"
    if task.due_on is not None and task.status is not TaskStatus.DONE:
        face.due = task.due_on.isoformat()
    _show_change(face, task)
    _show_run(face, task)
    face.need = task.attention or ""
    return face


def _show_change(face: Face, task: TaskCard) -> None:
    change = task.change
    if change is None or not change.files:
        return
    if change.state in OPEN_CHANGE:
        face.change, face.conflicts, face.behind = True, change.conflicts, change.behind
        face.outcome = f"{change.files:,} {'file' if change.files == 1 else 'files'}"
    if change.state is not ChangeState.DISCARDED:
        face.additions, face.deletions = change.additions, change.deletions
    if (request := change.request) is not None:
        face.request, face.request_url, face.request_state = request.number, request.url, request.state


def _show_run(face: Face, task: TaskCard) -> None:
    session = task.session
    if session is None:
        return
    live = is_live(session)
    face.run = "stopping" if session.stop_requested and live else session.status.value
    face.words = run_words(session).removeprefix("Failed: ")
    face.cost = cost_words(session) if session.cost != 0 else ""
    if session.status is SessionStatus.RUNNING:
        face.line = steps_words(session) or session.last_line
        face.since, face.quiet = epoch_ms(session.started_at), epoch_ms(session.quiet_since)
    elif session.status is SessionStatus.COMPLETED:
        face.took = spent(session.duration_ms)
        face.outcome = face.outcome or "No file changed"


def initials(name: str) -> str:
    """Return the initials of a name, two at most."""
    parts = name.split()
    letters = [part[0] for part in (parts[:1] + parts[1:][-1:])]
    return "".join(letters).upper()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"
