"""The lines of a change on the Changes tab, and the comments between them.

Texts are read a page of files at a time, and of a long one only its beginning, since what is in the State
travels. A comment stands on the screen before it is written down, and goes again where it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.components.change_rows import CommentRow, FileRow, Note, comment_row, file_type, placed
from vibe_app.web.components.changes import ChangesState, ReadChange, files_of_page, page_of
from vibe_app.web.components.diff_viewer import DiffFile, Target
from vibe_app.web.components.patches import At, lines_of, piece
from vibe_app.web.place import place_of
from vibe_app.wiring import services

FIRST = 24_000
"""Characters of a file's text that are shown at first."""
MORE = 250_000
"""Characters that each press on "Show more" adds."""
_NOT_KEPT = "This text is long, so it is not kept beside the card. Showing it may wake the workspace."


@dataclass(frozen=True)
class Rest:
    """Where a file's text goes on: the byte where a part begins, the lines there, and those shown."""

    offset: int = 0
    old: int = 0
    new: int = 0
    skip: int = 0
    parts: int = 0


class ReviewState(rx.State):
    """The texts that are shown, and what stands between their lines."""

    project_id: str = ""
    task_id: str = ""
    files: list[DiffFile] = []
    notes: list[Note] = []
    comments: list[CommentRow] = []
    shown: str = ""
    """Which texts they are; see `ChangesState.wanted`."""
    loading: bool = False
    target: Target = Target()
    writing: list[Any] = []
    """Item, side, first and last line of a comment that is being written."""
    editing: str = ""
    held: list[str] = []
    """Open comments that do not go with the next message."""
    spoken: str = ""
    """What a screen reader is told of the line that the keys have led to."""
    _facts: dict[str, Note] = {}
    """What is said of a file instead of its text, or below a text that goes on, by item."""
    _rest: dict[str, Rest] = {}
    _selected: tuple[str, str, int] | None = None

    @rx.var
    def open_count(self) -> int:
        """How many comments the agent has not been given."""
        return sum(1 for each in self.comments if each.state == "open" and not each.taken)

    @rx.var
    def sending(self) -> int:
        """How many comments go with the next message."""
        return sum(
            1
            for each in self.comments
            if each.state == "open" and not each.taken and each.id not in self.held
        )

    @rx.var
    def outdated(self) -> list[CommentRow]:
        """Comments whose lines are not there any more."""
        return [each for each in self.comments if not each.line]

    @acts
    async def load(self, actor: Actor):
        """Show the texts of the page of files that is wanted."""
        place, changes = place_of(self), await self.get_state(ChangesState)
        wanted = changes.wanted
        if place.project is None or place.task is None or wanted == self.shown or not changes.revision:
            return
        rows, since = files_of_page(changes), changes.last if changes.since else None
        self.loading = True
        yield
        try:
            paths = [row.path for row in rows if row.text]
            texts = await services().texts.patches(actor, place.project, place.task, paths, since)
        finally:
            self.loading = False
        self._rest, self._facts, self._selected, self.writing = {}, {}, None, []
        blob = f"/api/projects/{place.project}/tasks/{place.task}/change/blob"
        files = [_begin(self, row, texts.get(row.path), f"{blob}?v={changes.revision[:12]}") for row in rows]
        self.files, self.shown = files, wanted
        _place(self)

    @acts
    async def show_more(self, actor: Actor, item: str):
        """Show more of a file's text."""
        place, changes = place_of(self), await self.get_state(ChangesState)
        at = next((index for index, file in enumerate(_plain(self.files)) if file.id == item), -1)
        path = _plain(self.files)[at].path if at >= 0 else ""
        rest = self._rest.get(path)
        if place.project is None or place.task is None or rest is None:
            return
        since = changes.last if changes.since else None
        verbs = services().texts
        part = await verbs.file(actor, place.project, place.task, path, since=since, offset=rest.offset)
        amid = At(rest.old, rest.new) if rest.old or rest.new else None
        found = piece(part.patch, MORE if rest.parts else FIRST, amid, rest.skip)
        files = _plain(self.files)
        file = files[at]
        if rest.parts:
            files.insert(at + 1, DiffFile(f"{path}\n{rest.parts}", path, found.text, file.type, file.old))
        else:
            files[at] = DiffFile(path, path, found.text, file.type, file.old)
        shown = files[at + (rest.parts > 0)]
        self._facts.pop(item, None)
        self._rest.pop(path)
        if not found.whole:
            self._rest[path] = replace(rest, skip=found.lines, parts=rest.parts + 1)
        elif part.next_offset is not None:
            self._rest[path] = Rest(part.next_offset, found.end.old, found.end.new, 0, rest.parts + 1)
        _end(self, shown)
        self.files = files
        _place(self)

    @acts
    async def choose(self, actor: Actor, path: str):
        """Go to a file."""
        changes = await self.get_state(ChangesState)
        page = page_of(changes, path)
        if page is None:
            return
        changes.page = page
        self.target = Target(path, n=self.target.n + 1)

    @acts
    async def select(self, actor: Actor, item: str, side: str, first: int, last: int):
        """Begin a comment on some lines."""
        changes = await self.get_state(ChangesState)
        if changes.state != "open" or not any(file.id == item for file in self.files):
            return None
        if changes.since and side == "old":
            return rx.toast.error("To comment on lines from before the change, show the whole change.")
        self._selected = (item, side, last)
        self.writing = [item, side, first, last]
        _place(self)
        return None


def _begin(state: ReviewState, row: FileRow, text: str | None, blob: str) -> DiffFile:
    """Make the first part of a file, and what is said of it where there is no text."""
    file = DiffFile(row.path, row.path, "", file_type(row), row.old)
    if row.text and text is not None:
        found = piece(text, FIRST)
        file.text = found.text
        if not found.whole:
            state._rest[row.path] = Rest(skip=found.lines, parts=1)
        _end(state, file)
        if file.text:
            return file
    fact = Note(row.path, row.path, "old" if row.mark == "D" else "new", 0)
    if row.text and text is None and row.additions + row.deletions:
        fact.words, fact.more = _NOT_KEPT, True
        state._rest[row.path] = Rest()
    elif row.picture:
        sides = {"A": ("new",), "D": ("old",)}.get(row.mark, ("old", "new"))
        for side in sides:
            setattr(fact, f"{side}_picture", f"{blob}&path={quote(row.path)}&side={side}")
    else:
        fact.words = _instead(row)
    state._facts[row.path] = fact
    return file


def _instead(row: FileRow) -> str:
    """Say why a file has no lines to show."""
    if "nested repository" in row.kind:
        return "A repository inside of the tree: what is in it is not part of the change."
    if "binary" in row.kind:
        return "A binary file: it has no lines to show."
    if row.mark == "R":
        return f"Renamed from {row.old}, without other changes."
    return f"{row.status}: {row.kind}." if row.kind else f"{row.status}: the file is empty."


def _end(state: ReviewState, file: DiffFile) -> None:
    """Note, of a file that goes on, below which line that is said."""
    if file.path not in state._rest:
        return
    for side in ("new", "old"):
        lines = [line for line, *_ in lines_of(file.text, side)]
        if lines:
            state._facts[file.id] = Note(file.id, file.path, side, lines[-1], more=True)
            return


def _place(state: ReviewState) -> None:
    """Put what is to be said between the lines."""
    writing = (state.writing[0], state.writing[1], state.writing[3]) if state.writing else None
    notes = {
        (note.item, note.side, note.line): note
        for note in placed(_plain(state.files), _plain(state.comments), writing)
    }
    for fact in state._facts.values():
        key = (fact.item, fact.side, fact.line)
        same = notes.get(key)
        notes[key] = replace(fact, comments=same.comments, writing=same.writing) if same else replace(fact)
    state.notes = list(notes.values())


def show_comments(state: ReviewState, read: ReadChange, revision: str) -> None:
    """Put the comments on the screen, on the lines of the revision that is shown."""
    rows = [comment_row(each, read.names, read.reader, revision) for each in read.comments]
    if _plain(state.comments) != rows:
        state.comments = rows
        _place(state)


def _plain(values: Sequence[Any]) -> list[Any]:
    return list(getattr(values, "__wrapped__", values))
