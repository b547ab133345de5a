"""The texts of a change as the viewer gets them: a long one bit by bit, or what there is instead. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from vibe_app.web.changes.patches import At, complete, lines_of, piece, starts
from vibe_app.web.changes.rows import FileRow, Note, file_type
from vibe_app.web.kit.diff_viewer import PARTLY, DiffFile
from vibe_app.wire.git import FileDiff

FIRST = 24_000
"""Characters of a file's text that are shown at first."""
MORE = 250_000
"""Characters that each press on "Show more" adds."""
PART = "\n"
"""Between a path and the number of a part in the name of an item: no path has one, as they are written."""
_NOT_KEPT = "This text is long, so it is not kept beside the card. Showing it may wake the workspace."


@dataclass(frozen=True)
class Rest:
    """Where a file's text goes on: the byte where a part begins, the lines there, and those shown."""

    offset: int = 0
    old: int = 0
    new: int = 0
    skip: int = 0
    parts: int = 0


def begin(
    row: FileRow, text: str | None, blob: str, since: str | None = None
) -> tuple[DiffFile, Note | None, Rest | None]:
    """Make the first part of a file.

    Args:
        row: The file.
        text: Its patch, if that is at hand.
        blob: The address of what it holds, to which `&path=` and `&side=` are added.
        since: The checkpoint that it is compared with; None for the base.

    Returns:
        The part; what is said instead of a text, or below one that goes on; where it goes on.
    """
    file = DiffFile(row.path, row.path, "", file_type(row), row.old)
    file.additions, file.deletions = row.additions, row.deletions
    if row.text and text is not None:
        found = piece(text, FIRST)
        file.text = found.text
        if file.text:
            if found.whole:
                file.whole = complete(file.text)
                return file, None, None
            file.type = PARTLY
            return file, tail(file), Rest(skip=found.lines, parts=1)
    fact = Note(row.path, row.path, "old" if row.mark == "D" else "new", 0)
    if row.text and text is None and row.additions + row.deletions:
        return file, replace(fact, words=_NOT_KEPT, more=True), Rest()
    if not row.picture:
        return file, replace(fact, words=_instead(row)), None
    for side in {"A": ("new",), "D": ("old",)}.get(row.mark, ("old", "new")):
        # The change knows what its files were called at the base, but not at every checkpoint.
        path = row.old if since and side == "old" and row.old else row.path
        address = f"{blob}&path={quote(path)}&side={side}"
        setattr(fact, f"{side}_picture", f"{address}&since={since}" if since else address)
    return file, fact, None


def go_on(last: DiffFile, rest: Rest, part: FileDiff) -> tuple[DiffFile, Rest | None]:
    """Make the next part of a file.

    Args:
        last: The part before it, or what stands in its place.
        rest: Where it begins.
        part: What the workspace tells from there on.

    Returns:
        The part, and where the text goes on after it.
    """
    amid = At(rest.old, rest.new) if rest.offset else None
    found = piece(part.patch, MORE if rest.parts else FIRST, amid, rest.skip)
    name = f"{last.path}{PART}{rest.parts}" if rest.parts else last.path
    made = DiffFile(name, last.path, found.text, last.type, last.old)
    if rest.parts or not found.whole or part.next_offset is not None:
        made.type = PARTLY
    if not found.whole:
        return made, replace(rest, skip=found.lines, parts=rest.parts + 1)
    if part.next_offset is None:
        return made, None
    return made, Rest(part.next_offset, found.end.old, found.end.new, 0, rest.parts + 1)


def tail(file: DiffFile) -> Note:
    """Return the note below a text that goes on."""
    lines = {side: [line for line, *_ in lines_of(file.text, side)] for side in ("new", "old")}
    side = "new" if lines["new"] else "old"
    return Note(file.id, file.path, side, (lines[side] or [0])[-1], more=True)


def changed(text: str) -> list[tuple[str, int, str]]:
    """Return the changed lines of a text in the order in which they are shown: side, number and words."""
    found = list[tuple[str, int, str]]()
    at: At | None = None
    for line in text.split("\n"):
        if start := starts(line):
            at = start
        elif at is not None:
            if line[:1] in ("+", "-"):
                found.append(("new", at.new, line[1:]) if line[0] == "+" else ("old", at.old, line[1:]))
            at = At(at.old + (line[:1] in (" ", "-")), at.new + (line[:1] in (" ", "+")))
    return found


def _instead(row: FileRow) -> str:
    """Say why a file has no lines to show."""
    if "nested repository" in row.kind:
        return "A repository inside of the tree: what is in it is not part of the change."
    if "binary" in row.kind:
        return "A binary file: it has no lines to show."
    if row.mark == "R":
        return f"Renamed from {row.old}, without other changes."
    return f"{row.status}: {row.kind}." if row.kind else f"{row.status}: the file is empty."
