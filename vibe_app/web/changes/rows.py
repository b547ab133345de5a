"""What the Changes tab says of files and of comments: pure words, no look (that is the views)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import PurePosixPath
from uuid import UUID

from vibe_app.board.changes.schemas import CommentView
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.changes.patches import lines_of, told
from vibe_app.web.kit.diff_viewer import DiffFile
from vibe_app.wire.git import ChangedFile, FileKind, FileStatus

LONG, LONG_LINES = 900, 12
MOST_CHARS, BEGINNING = 500_000, 300
"""Characters of all comments that are shown whole, and of one that is shown in part."""
_LEFT_OUT = "*The rest is left out here, as the comments are too long in all. The API tells it.*"
"""Characters and lines of a comment that is shown whole."""
PICTURES = frozenset({".avif", ".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".webp"})
_KINDS = {
    FileKind.FILE: "",
    FileKind.EXECUTABLE: "",
    FileKind.SYMLINK: "link",
    FileKind.REPOSITORY: "nested repository",
}
_STATUS = {
    FileStatus.ADDED: ("A", "Added"),
    FileStatus.MODIFIED: ("M", "Modified"),
    FileStatus.DELETED: ("D", "Deleted"),
    FileStatus.RENAMED: ("R", "Renamed"),
    FileStatus.TYPE_CHANGED: ("T", "Changed its kind"),
}


@dataclass
class FileRow:
    """A file in the list. `kind` is what it is besides a text; `picture` is whether it can be looked at."""

    path: str
    old: str
    mark: str
    status: str
    kind: str
    additions: int
    deletions: int
    text: bool
    picture: bool
    seen: bool = False
    page: int = 0
    nested: bool = False
    """A repository inside of the tree, whose counts say nothing."""


@dataclass
class CommentRow:
    """A comment, and where its lines are now. `where` says that in words."""

    id: str
    author: str
    mine: bool
    path: str
    side: str
    line: int
    where: str
    quote: str
    body: str
    state: str
    taken: bool
    """A run takes it along just now."""
    created: int
    edited: bool
    saving: bool = False
    long: bool = False
    """It is shown folded."""


@dataclass
class Note:
    """What stands below a line: the comments on it, and the form for another where `writing`.

    At line 0 it stands above the file's first line: what is to be said of the file instead of a text.
    """

    item: str
    path: str
    side: str
    line: int
    comments: list[CommentRow] = field(default_factory=list)
    writing: bool = False
    words: str = ""
    old_picture: str = ""
    new_picture: str = ""
    more: bool = False


def file_row(file: ChangedFile, page: int, seen: bool) -> FileRow:
    """Make the row of a file."""
    mark, status = _STATUS[file.status]
    kind = _kind(file)
    plain = file.kind in (FileKind.FILE, FileKind.EXECUTABLE)
    return FileRow(
        path=file.path,
        old=file.old_path or "",
        mark=mark,
        status=status,
        kind=kind,
        additions=file.additions,
        deletions=file.deletions,
        text=not file.binary and file.kind is not FileKind.REPOSITORY,
        picture=plain and PurePosixPath(file.path).suffix.lower() in PICTURES,
        seen=seen,
        page=page,
        nested=file.kind is FileKind.REPOSITORY,
    )


def _kind(file: ChangedFile) -> str:
    words = [_KINDS[file.kind]]
    if file.old_kind is not None and FileKind.EXECUTABLE in (file.kind, file.old_kind):
        words.append("now executable" if file.kind is FileKind.EXECUTABLE else "no longer executable")
    elif file.old_kind is not None:
        words.append(f"was a {_KINDS[file.old_kind] or 'file'}")
    if file.binary:
        words.append("binary")
    return ", ".join(filter(None, words))


def comment_row(comment: CommentView, names: Mapping[UUID, str], reader: UUID, revision: str) -> CommentRow:
    """Make the row of a comment.

    Args:
        comment: What to show.
        names: The people's.
        reader: Who looks.
        revision: Which revision is shown: that may be older than the newest one.
    """
    there = comment.line if comment.revision == revision else comment.now_line
    line = 0 if comment.outdated and comment.revision != revision else (there or 0)
    return CommentRow(
        id=str(comment.id),
        author=names.get(comment.author_id, "") if comment.author_id else "",
        mine=comment.author_id == reader,
        path=comment.path,
        side=comment.side,
        line=line + comment.line_end - comment.line if line else 0,
        where=_where(comment, line),
        quote=told(comment.quote),
        body=comment.body,
        state=comment.state.value,
        taken=comment.session_id is not None,
        created=epoch_ms(comment.created_at),
        long=len(comment.body) > LONG or comment.body.count("\n") > LONG_LINES,
        edited=comment.updated_at - comment.created_at > timedelta(seconds=1) and comment.state == "open",
    )


def comment_rows(
    comments: Collection[CommentView], names: Mapping[UUID, str], reader: UUID, revision: str
) -> list[CommentRow]:
    """Make the rows of comments. All of them travel: where they are long in all, only the beginnings of some.

    Args:
        comments: What to show, oldest first.
        names: The people's.
        reader: Who looks.
        revision: Which revision is shown.
    """
    left, rows = MOST_CHARS, list[CommentRow]()
    for comment in comments:
        row = comment_row(comment, names, reader, revision)
        if len(row.body) + len(row.quote) > max(left, 2 * BEGINNING):
            body = row.body if len(row.body) <= BEGINNING else f"{row.body[:BEGINNING]}…\n\n{_LEFT_OUT}"
            # Nobody edits what they see in part.
            row = replace(row, body=body, quote=row.quote[:BEGINNING], mine=False)
        left -= len(row.body) + len(row.quote)
        rows.append(row)
    return rows


def _where(comment: CommentView, line: int) -> str:
    first = line or comment.line
    last = first + comment.line_end - comment.line
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    return f"{lines} before the change" if comment.side == "old" else lines


def file_type(row: FileRow) -> str:
    """Return how the diff viewer calls what became of a file."""
    kinds = {"A": "new", "D": "deleted"}
    renamed = "rename-changed" if row.additions + row.deletions else "rename-pure"
    return renamed if row.mark == "R" else kinds.get(row.mark, "change")


def apart(
    files: Sequence[DiffFile], comments: Sequence[CommentRow], going_on: Collection[str]
) -> list[CommentRow]:
    """Return the comments that stand below no line: theirs is gone, or is in no hunk of a file that is shown.

    Args:
        files: The files, or parts of them, that are shown.
        comments: All comments.
        going_on: The paths of the files whose texts go on, where a line may be still to come.
    """
    asked = {(each.path, each.side) for each in comments}
    shown: dict[tuple[str, str], set[int]] = {}
    for file in files:
        for side in ("old", "new"):
            if file.path not in going_on and (file.path, side) in asked:
                lines = shown.setdefault((file.path, side), set())
                lines.update(line for line, *_ in lines_of(file.text, side))
    # Of a file that is not shown, or not to its end, nothing is known.
    return [
        each
        for each in comments
        if not each.line or each.line not in shown.get((each.path, each.side), {each.line})
    ]


def placed(
    files: Sequence[DiffFile], comments: Sequence[CommentRow], writing: tuple[str, str, int] | None
) -> list[Note]:
    """Put comments below their lines.

    Args:
        files: The files, or parts of them, that are shown.
        comments: All comments; those on lines that are not shown are left out.
        writing: Item, side and line below which the form for a new one stands.
    """
    notes: dict[tuple[str, str, int], Note] = {}

    def at(item: str, path: str, side: str, line: int) -> Note:
        return notes.setdefault((item, side, line), Note(item, path, side, line))

    for file in files:
        of_file = [each for each in comments if each.path == file.path and each.line]
        shown = {side: {line for line, *_ in lines_of(file.text, side)} for side in {c.side for c in of_file}}
        for comment in of_file:
            if comment.line in shown[comment.side]:
                at(file.id, file.path, comment.side, comment.line).comments.append(comment)
        if writing and writing[0] == file.id:
            at(file.id, file.path, writing[1], writing[2]).writing = True
    return list(notes.values())
