"""The lines of a change on the Changes tab, and the comments between them.

Texts are read a page of files at a time, and of a long one only its beginning, since what is in the State
travels. A comment stands on the screen before it is written down, and goes again where it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.changes.schemas import CommentPatch, CommentView, NewComment
from vibe_app.errors import VersionChanged, VibeError
from vibe_app.web.auth import acts
from vibe_app.web.card.conflict import Both
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.changes.patches import between, quote_of, within
from vibe_app.web.changes.rows import CommentRow, Note, apart, comment_row, comment_rows, placed
from vibe_app.web.changes.state import ChangesState, ReadChange, files_of_page, page_of
from vibe_app.web.changes.texts import PART, Rest, begin, changed, go_on, tail
from vibe_app.web.forms import words
from vibe_app.web.kit.diff_viewer import DiffFile, Target
from vibe_app.web.kit.draft import forget
from vibe_app.web.place import known, place_of
from vibe_app.wire import now
from vibe_app.wiring import services

MOST_HELD = 500
MOST_SAID = 300
"""Characters of a reason that the browser gives for itself."""
_TOO_FAR = "A comment stands on a line that changed, or close to one: the lines further away are only shown."
_SIDES = {"deletions": "old", "additions": "new"}
"""What the viewer calls the sides of a change."""


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
    apart: list[CommentRow] = []
    """Comments that stand below no line: theirs are gone, or not in the change."""
    target: Target = Target()
    writing: list[Any] = []
    """Item, side, first and last line of a comment that is being written."""
    editing: str = ""
    both: list[Both] = []
    """The words of the comment that is being edited, where they were changed meanwhile: mine and theirs."""
    texts: str = ""
    """The address of both texts of a file, to which `&path=` is added."""
    held: list[str] = []
    """Open comments that do not go with the next message."""
    spoken: str = ""
    """What a screen reader is told of the line that the keys have led to."""
    _facts: dict[str, Note] = {}
    """What is said of a file instead of its text, or below a text that goes on, by item."""
    _rest: dict[str, Rest] = {}
    _selected: tuple[str, str, int] | None = None
    _round: bool = False
    """Only what the last round has changed is shown, so that lines are missing that belong to the change."""

    @rx.var
    def led(self) -> bool:
        """Whether the keys have led to a line on which a comment can be begun."""
        return bool(self.spoken) and not self.writing

    @rx.var
    def sending(self) -> int:
        """How many comments go with the next message."""
        return sum(
            1
            for each in self.comments
            if each.state == "open" and not each.taken and each.id not in self.held
        )

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
            said = await services().comments.list(actor, place.project, place.task)
            people = await services().users.names({each.author_id for each in said if each.author_id})
        finally:
            self.loading = False
        names = {each: user.name for each, user in people.items()}
        # Where their lines are, or whether they are gone, depends on the revision.
        self.comments = comment_rows(said, names, actor.user_id, changes.revision)
        self._rest, self._facts, self._selected, self.writing = {}, {}, None, []
        self.spoken = ""
        self._round = since is not None
        base = f"/api/projects/{place.project}/tasks/{place.task}/change"
        self.texts = f"{base}/file?whole=true" + (f"&since={since}" if since else "")
        files = list[DiffFile]()
        for row in rows:
            file, fact, rest = begin(
                row, texts.get(row.path), f"{base}/blob?v={changes.revision[:12]}", since
            )
            files.append(file)
            self._facts |= {file.id: fact} if fact else {}
            self._rest |= {file.path: rest} if rest else {}
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
        files = _plain(self.files)
        added, on = go_on(files[at], rest, part)
        files[at : at + 1] = [files[at], added] if rest.parts else [added]
        self._facts = {each: fact for each, fact in self._facts.items() if each != item}
        self._rest = {each: left for each, left in self._rest.items() if each != path}
        if on:
            self._rest |= {path: on}
            self._facts |= {added.id: tail(added)}
        self.files = files
        _place(self)

    @acts
    async def choose(self, actor: Actor, path: str):
        """Go to a file."""
        changes = await self.get_state(ChangesState)
        page = page_of(changes, path)
        if page is None:
            return None
        changes.page = page
        self.target = Target(path, n=self.target.n + 1)
        return ReviewState.load

    @acts
    async def select(self, actor: Actor, item: str, side: str, line: int, end_side: str, end_line: int):
        """Begin a comment on the lines from one to another, whichever is above."""
        changes = await self.get_state(ChangesState)
        file = next((each for each in self.files if each.id == item), None)
        if changes.state != "open" or file is None:
            return None
        side, end_side = _SIDES.get(side, side), _SIDES.get(end_side, end_side)
        if (
            not {side, end_side} <= {"new", "old"}
            or not 1 <= min(line, end_line) <= max(line, end_line) < 2**31
        ):
            return None
        lines = between(file.text, (side, line), (end_side, end_line))
        if lines is None or not within(file.text, *lines):
            return rx.toast.info(_TOO_FAR)
        side, first, last = lines
        if changes.since and side == "old":
            return rx.toast.error("To comment on lines from before the change, show the whole change.")
        self._selected = (item, side, last)
        self.writing, self.editing = [item, side, first, last], ""
        _place(self)
        return None

    @rx.event
    def leave(self):
        """Close the form of a comment. What was typed stays with the browser unless it was cancelled."""
        self.writing, self.editing, self.both = [], "", []
        _place(self)

    @acts
    async def add(self, actor: Actor, form: dict[str, Any]):
        """Comment on the lines that were selected; shown at once, taken back where it is refused."""
        place, changes, body = place_of(self), await self.get_state(ChangesState), words(form, "body")
        writing = list(self.writing)
        file = next((each for each in self.files if writing and each.id == writing[0]), None)
        if place.project is None or place.task is None or file is None or not body.strip():
            return
        item, side, first, last = writing
        new = NewComment(
            revision=changes.revision,
            path=file.path,
            side=side,
            line=first,
            line_end=last,
            quote=quote_of(file.text, side, first, last),
            body=body,
        )
        shown = _shown(new)
        self.comments, self.writing = [*_plain(self.comments), shown], []
        _place(self)
        yield
        try:
            made = await services().comments.add(actor, place.project, place.task, new)
        except VibeError:
            self.comments = [each for each in _plain(self.comments) if each.id != shown.id]
            self.writing = writing
            _place(self)
            raise
        me = await services().users.names([actor.user_id])
        names = {each: user.name for each, user in me.items()}
        row = comment_row(made, names, actor.user_id, changes.revision)
        others = [each for each in _plain(self.comments) if each.id not in (shown.id, row.id)]
        self.comments = [*others, row]
        _place(self)
        yield forget(draft_name(self.task_id, item, side, last))

    @rx.event
    def edit(self, comment_id: str):
        """Show the form for a comment's words, or for none."""
        self.editing, self.writing, self.both = comment_id, [], []
        _place(self)

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep the changed words of the comment that is being edited."""
        patch = CommentPatch(body=words(form, "body"), was=words(form, "was") or None)
        return await self._rewrite(actor, patch) if self.editing else None

    async def _rewrite(self, actor: Actor, patch: CommentPatch) -> Any:
        """Write the words of the comment that is being edited, or show them beside those that are there."""
        comment_id = self.editing
        try:
            await _change(self, actor, comment_id, patch)
        except VersionChanged as error:
            self.both = [Both("body", "Comment", error.yours["body"], error.present.body)]
            await _show(self, actor, error.present)
            return None
        self.editing, self.both = "", []
        return forget(draft_name(comment_id))

    @acts
    async def settle(self, actor: Actor, field: str, choice: str):
        """Keep mine or take theirs of a comment that was changed while it was being edited."""
        row = next((each for each in _plain(self.both) if each.field == field), None)
        if row is None or not self.editing:
            return None
        # Words that are there already are written by nobody: with theirs, only the form goes.
        body = row.mine if choice == "mine" else row.theirs
        return await self._rewrite(actor, CommentPatch(body=body, was=row.theirs))

    @rx.event
    def settle_later(self):
        """Show the form again, with what was typed."""
        self.both = []

    @rx.event
    def not_shown(self, why: str):
        """Say why the lines between changes are not shown."""
        return rx.toast.error(why[:MOST_SAID])

    @acts
    async def resolve(self, actor: Actor, comment_id: str, resolved: bool):
        """Mark a comment as resolved, or open it again."""
        await _change(self, actor, comment_id, CommentPatch(state="resolved" if resolved else "open"))

    @acts
    async def delete(self, actor: Actor, comment_id: str):
        """Delete a comment that the agent has not had."""
        place = place_of(self)
        if place.project is None or place.task is None:
            return
        await services().comments.delete(actor, place.project, place.task, known(comment_id))
        self.comments = [each for each in _plain(self.comments) if each.id != comment_id]
        _place(self)

    @rx.event
    def hold(self, comment_id: str, held: bool):
        """Keep an open comment out of the next message, or let it go with it."""
        others = [each for each in self.held if each != comment_id]
        there = any(each.id == comment_id for each in _plain(self.comments))
        self.held = ([*others, comment_id] if held and there else others)[-MOST_HELD:]

    @acts
    async def step(self, actor: Actor, by: int):
        """Select the next changed line, or the one before."""
        places = [
            (file.id, side, line, text)
            for file in _plain(self.files)
            for side, line, text in changed(file.text)
        ]
        if not places:
            return
        here = [each[:3] for each in places]
        at = here.index(self._selected) + by if self._selected in here else (0 if by > 0 else -1)
        item, side, line, text = places[min(max(at, 0), len(places) - 1) if at >= 0 or by < 0 else 0]
        if self._selected == (item, side, line):
            return
        self._selected = (item, side, line)
        self.target = Target(item, side, line, self.target.n + 1)
        what = "added" if side == "new" else "removed"
        self.spoken = f"{item.partition(PART)[0]}, {what} line {line}: {text[:200]}"

    @rx.event
    def comment_here(self):
        """Begin a comment on the line that the keys have led to."""
        if self._selected is None:
            return None
        item, side, line = self._selected
        return ReviewState.select(item, side, line, side, line)


def chosen(state: ReviewState) -> list[UUID]:
    """Return the comments that go with the next message."""
    free = [each for each in _plain(state.comments) if each.state == "open" and not each.taken]
    return [known(each.id) for each in free if each.id not in state.held]


def draft_name(*of: Any) -> str:
    """Return the name under which the browser keeps what is typed into a comment."""
    return ":".join(["comment", *map(str, of)])


async def _change(state: ReviewState, actor: Actor, comment_id: str, patch: CommentPatch) -> None:
    place, verbs = place_of(state), services().comments
    if place.project is None or place.task is None:
        return
    await _show(state, actor, await verbs.change(actor, place.project, place.task, known(comment_id), patch))


async def _show(state: ReviewState, actor: Actor, comment: CommentView) -> None:
    """Show a comment as it is by now."""
    changes, rows = await state.get_state(ChangesState), _plain(state.comments)
    for number, row in enumerate(rows):
        if row.id == str(comment.id):
            names = {comment.author_id: row.author} if comment.author_id else {}
            rows[number] = comment_row(comment, names, actor.user_id, changes.revision)
    state.comments = rows
    _place(state)


def _shown(new: NewComment) -> CommentRow:
    """Make the row of a comment that is being written down."""
    last = new.line_end or new.line
    lines = f"line {last}" if last == new.line else f"lines {new.line} to {last}"
    return CommentRow(
        id=str(uuid4()),
        author="You",
        mine=False,
        path=new.path,
        side=new.side,
        line=last,
        where=lines,
        quote=new.quote,
        body=new.body,
        state="open",
        taken=True,
        created=epoch_ms(now()),
        edited=False,
        saving=True,
    )


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
    files = list[DiffFile]() if state._round else _plain(state.files)
    state.apart = apart(files, _plain(state.comments), set(state._rest))
    # React tells notes apart by their order: the form that somebody types into stays the first.
    state.notes = sorted(notes.values(), key=lambda note: not note.writing)


def show_comments(state: ReviewState, read: ReadChange, revision: str) -> None:
    """Put the comments on the screen, on the lines of the revision that is shown."""
    rows = comment_rows(read.comments, read.names, read.reader, revision)
    if _plain(state.comments) != rows:
        state.comments = rows
        _place(state)


def _plain(values: Sequence[Any]) -> list[Any]:
    return list(getattr(values, "__wrapped__", values))
