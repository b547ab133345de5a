"""The head of a card's Changes tab: what became of its tree, the list of files, what was decided.

What is read follows the card's drawer. A change that moves on while somebody looks at it stays on the screen
as they saw it: they are told, and say themselves when to see what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.changes.schemas import ChangeView, CommentView, DeliveryView
from vibe_app.board.sessions.schemas import SessionPreview
from vibe_app.board.tasks.schemas import TaskCard
from vibe_app.errors import VibeError
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.changes.rows import FileRow, file_row
from vibe_app.web.place import Place, place_of
from vibe_app.wire.git import ChangedFile
from vibe_app.wiring import services

PAGE = 20
"""Files whose texts are shown at once."""
LISTED = 300
"""Files that the list shows at first, and with each press on "more"."""


@dataclass(frozen=True)
class ReadChange:
    """What was read of a card's change. `runs` are its sessions, newest first, as far as the last 20."""

    view: ChangeView
    comments: list[CommentView]
    names: dict[UUID, str]
    runs: list[SessionPreview]
    reader: UUID


async def read_change(actor: Actor, place: Place, task: TaskCard | None) -> ReadChange | None:
    """Read the change of the card that an address names, None where that shows nothing of it."""
    if place.project is None or place.task is None or task is None or task.change is None:
        return None
    view = await services().changes.read(actor, place.project, place.task)
    comments = await services().comments.list(actor, place.project, place.task)
    history = await services().sessions.history(actor, place.project, place.task, 1, 20)
    people = {each.author_id for each in comments if each.author_id} | ({view.decided_by} - {None})
    names = {each: user.name for each, user in (await services().users.names(filter(None, people))).items()}
    runs = [each for each in history.items if each.change_id == view.id]
    return ReadChange(view, comments, names, runs, actor.user_id)


class ChangesState(rx.State):
    """What is said of a change before its lines."""

    project_id: str = ""
    task_id: str = ""
    loaded: bool = False
    state: str = "none"
    revision: str = ""
    """What is shown."""
    newest: str = ""
    """What there is; another where the change has moved on meanwhile."""
    branch: str = ""
    behind: int = 0
    brings: int = 0
    additions: int = 0
    deletions: int = 0
    count: int = 0
    left_out: list[str] = []
    conflicts: list[str] = []
    intent: str = ""
    problem: str = ""
    problem_code: str = ""
    tried: str = ""
    """What was decided last in this tab: `accept` or `discard`."""
    decided: str = ""
    decided_at: int = 0
    restorable: bool = False
    commit: str = ""
    delivery: str = ""
    """How what was accepted stands with the repository, in a sentence."""
    redo: str = ""
    """What delivers it again, in words; empty where nothing does."""
    request: str = ""
    """The address of its pull request, or empty."""
    by_request: bool = False
    """Accepting it opens a pull request."""
    runs: int = 0
    live: bool = False
    files: list[FileRow] = []
    listed: int = LISTED
    since: bool = False
    last: str = ""
    """The checkpoint before the last round, if there is one to compare with."""
    page: int = 0
    listing: bool = False
    """The list of the last round's files is being read."""
    _all: list[ChangedFile] = []
    _seen: set[str] = set()

    @rx.var
    def wanted(self) -> str:
        """Names the texts that are to be shown; another, and they are read."""
        return f"{self.task_id} {self.revision} {self.last if self.since else ''} {self.page}"

    @rx.var
    def pages(self) -> int:
        """How many pages of texts there are."""
        return max(1, -(-len(self._all) // PAGE))

    @rx.var
    def hidden(self) -> int:
        """How many files the list does not show yet."""
        return max(0, len(self._all) - self.listed)

    @rx.var
    def told(self) -> str:
        """How many files there are, in words; a nested repository is named in the list as what it is."""
        return "1 file" if self.count == 1 else f"{self.count:,} files"

    @rx.var
    def seen_count(self) -> int:
        """How many files the reader has seen."""
        return len(self._seen)

    @rx.event
    def list_more(self):
        """Show more of the list."""
        self.listed += LISTED
        _list(self)

    @rx.event
    def turn(self, page: int):
        """Show another page of texts."""
        self.page = min(max(0, page), self.pages - 1)

    @acts
    async def see(self, actor: Actor, path: str, seen: bool):
        """Tick a file as seen, or take that back."""
        place, before = place_of(self), set(self._seen)
        if place.project is None or place.task is None:
            return
        # Shown before it is written down, and taken back where that is refused.
        self._seen = before | {path} if seen else before - {path}
        _list(self)
        yield
        try:
            await services().changes.see(actor, place.project, place.task, path, seen)
        except VibeError:
            self._seen = before
            _list(self)
            raise

    @acts
    async def show_round(self, actor: Actor, only: bool):
        """Show what the last round has changed, or the whole change."""
        place = place_of(self)
        if place.project is None or place.task is None:
            return
        if only and self.last:
            self.listing = True
            yield
            try:
                diff = await services().texts.since(actor, place.project, place.task, self.last)
            finally:
                self.listing = False
            self.since, self._all, self.page = True, diff.files, 0
            self.count, self.additions, self.deletions = diff.count, diff.additions, diff.deletions
            _list(self)
        else:
            self.since = False
            await _show_newest(self, actor)

    @acts
    async def show_new(self, actor: Actor):
        """Show the change as it is by now."""
        self.since = False
        await _show_newest(self, actor)


async def _show_newest(state: ChangesState, actor: Actor) -> None:
    place = place_of(state)
    if place.project is None or place.task is None:
        return
    state.revision = ""
    task = await services().tasks.read(actor, place.project, place.task)
    read = await read_change(actor, place, task)
    if read is not None:
        show_change(state, read, task)


def look_anew(state: ChangesState) -> None:
    """Let what comes be shown as there is: nobody has the change before them."""
    state.revision, state.since = "", False


def show_change(state: ChangesState, read: ReadChange, task: TaskCard) -> None:
    """Put what was read on the screen, but for the files of a revision that the reader has not asked for."""
    view = read.view
    newest = view.revision or ""
    fresh = not state.revision or state.revision == newest
    rounds = ((run.revision_before, run.revision_after) for run in read.runs)
    last = next((before for before, after in rounds if after == newest and before not in (None, after)), None)
    values: dict[str, Any] = {
        "loaded": True,
        "state": view.state,
        "newest": newest,
        "branch": view.base.branch if view.base else "",
        "behind": view.base.behind if view.base else 0,
        "brings": view.brings,
        "left_out": [f"{each.path} is not in it: {each.why}." for each in view.left_out],
        "conflicts": view.conflicts,
        "intent": view.intent or "",
        "problem": view.problem.error if view.problem and view.intent is None else "",
        "problem_code": view.problem.code if view.problem and view.intent is None else "",
        "decided": (read.names.get(view.decided_by, "") if view.decided_by else "") or "somebody",
        "decided_at": epoch_ms(view.decided_at),
        "restorable": view.restorable,
        "commit": (view.commit or "")[:10],
        "delivery": delivery_words(view),
        "redo": redo_words(view.delivery),
        "request": view.delivery.request.url if view.delivery and view.delivery.request else "",
        "by_request": view.by_request,
        "runs": sum(1 for run in read.runs if run.revision_after),
        "live": task.status == "IN_PROGRESS",
    }
    if fresh:
        values |= {"revision": newest, "last": last or ""}
        state._seen = set(view.seen)
        if not state.since:
            state._all = view.files
            values |= {"count": view.file_count, "additions": view.additions, "deletions": view.deletions}
    for name, value in values.items():
        if getattr(state, name) != value:
            setattr(state, name, value)
    state.page = min(state.page, state.pages - 1)
    _list(state)


def delivery_words(view: ChangeView) -> str:
    """Say how what was accepted stands with the project's repository."""
    delivery, branch = view.delivery, view.base.branch if view.base else ""
    if delivery is None:
        return ""
    match delivery.state:
        case "waiting":
            return "It is being brought to the repository."
        case "pushed":
            return f"Pushed to “{delivery.branch}” of the repository."
        case "pushed_branch":
            return (
                f"Pushed to the repository as the branch “{delivery.branch}”. Open a request there that takes"
                f" it into “{branch}”."
            )
        case "opened":
            return _request_words(delivery, branch)
        case "nothing":
            return f"“{branch}” holds all of it already."
        case "failed":
            return f"It is not delivered to the repository yet. {delivery.error}"


def _request_words(delivery: DeliveryView, branch: str) -> str:
    request = delivery.request
    if request is None:
        return ""
    name = f"Pull request #{request.number}"
    match request.state:
        case "merged":
            return f"{name} is merged."
        case "closed":
            return f"{name} was closed without being merged: “{branch}” does not have the change."
        case "open":
            stale = f" How it stands could not be looked up: {delivery.error}" if delivery.error else ""
            return f"{name} is open. “{branch}” follows once it is merged.{stale}"


def redo_words(delivery: DeliveryView | None) -> str:
    """Say what delivers a change again, empty where there is no need to."""
    if delivery is None:
        return ""
    if delivery.state == "failed":
        return "Deliver it again"
    closed = delivery.request is not None and delivery.request.state == "closed"
    return "Open a new one" if delivery.state == "opened" and closed else ""


def files_of_page(state: ChangesState) -> list[FileRow]:
    """Return the files of the page of texts that is shown."""
    files = state._all[state.page * PAGE : (state.page + 1) * PAGE]
    return [file_row(file, state.page, file.path in state._seen) for file in files]


def page_of(state: ChangesState, path: str) -> int | None:
    """Return on which page of texts a file is."""
    return next((number // PAGE for number, file in enumerate(state._all) if file.path == path), None)


def _list(state: ChangesState) -> None:
    files = _plain(state._all)[: state.listed]
    rows = [file_row(file, number // PAGE, file.path in state._seen) for number, file in enumerate(files)]
    if state.files != rows:
        state.files = rows


def _plain(values: Sequence[ChangedFile]) -> list[ChangedFile]:
    return list(getattr(values, "__wrapped__", values))
