"""Unified patches as they are shown: in pieces of bearable size, each one a patch by itself. Pure.

A workspace tells a long patch in parts that end somewhere, and a browser is given only a piece of a part
at a time. So a piece may begin and end amid a hunk; each gets headers that count what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST_LINE = 2000
"""Characters of a line that are shown."""

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)")
_MARKS = ("+", "-", " ", "\\")
_TOLD = re.compile(r"⟨U\+(20(?:2[A-E]|6[6-9])|27E8)⟩")
TELLS = rf"[\u202a-\u202e\u2066-\u2069]|⟨(?={_TOLD.pattern[1:]})"
"""Characters by which a line is shown in another order than it is read in by a compiler (CVE-2021-42574), and
the one that begins a name of them, where a text holds such a name itself."""
_TELLS = re.compile(TELLS)


@dataclass(frozen=True)
class At:
    """The next line of either text, from 1."""

    old: int
    new: int


@dataclass(frozen=True)
class Piece:
    """Some hunks of a patch, without the lines before the first.

    `lines` is how many lines of hunks were read up to its end, `end` is where it ends, and `whole` tells
    that nothing of the patch follows.
    """

    text: str
    lines: int
    end: At
    whole: bool


def told(text: str) -> str:
    """Return a text in which the characters that turn it around are named, and turn nothing: `⟨U+202E⟩`."""
    return _TELLS.sub(lambda turn: f"⟨U+{ord(turn[0]):04X}⟩", text)


def untold(text: str) -> str:
    """Return the text that `told` was given."""
    return _TOLD.sub(lambda name: chr(int(name[1], 16)), text)


def piece(patch: str, size: int, at: At | None = None, skip: int = 0) -> Piece:
    """Return a piece of a patch.

    Args:
        patch: Hunks, with or without the lines that git writes before them.
        size: Characters after which it ends, at the end of a line.
        at: Where the patch begins, if that is amid a hunk.
        skip: `lines` of the piece before it.
    """
    done, hunk = list[str](), _Hunk(at) if at else None
    read = length = 0
    for line in patch.split("\n"):
        if match := _HUNK.match(line):
            done += hunk.written() if hunk else []
            hunk = _Hunk(At(int(match[1]), int(match[3])), match)
        elif hunk is not None and line[:1] in _MARKS:
            if length >= size and line[0] != "\\":
                return Piece("".join(done + hunk.written()), read, hunk.at, False)
            read += 1
            if read > skip:
                length += hunk.take(line)
            else:
                hunk.leave(line)
    end = hunk.at if hunk else At(1, 1)
    return Piece("".join(done + (hunk.written() if hunk else [])), read, end, True)


def starts(line: str) -> At | None:
    """Return the first lines of a hunk whose header this is, None for any other line."""
    match = _HUNK.match(line)
    return At(int(match[1]), int(match[3])) if match else None


def lines_of(patch: str, side: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the lines of one side of a patch: the number, the text, and whether it is a changed one.

    Args:
        patch: Hunks, with or without the lines that git writes before them.
        side: `new` or `old`.
    """
    mark, at = ("+", "-")[side == "old"], None
    for line in patch.split("\n"):
        if match := _HUNK.match(line):
            at = int(match[1] if side == "old" else match[3])
        elif at is not None and line[:1] in (" ", mark):
            yield at, line[1:], line[:1] == mark
            at += 1


def between(patch: str, start: tuple[str, int], end: tuple[str, int]) -> tuple[str, int, int] | None:
    """Return the lines of one side that lie between two lines: the side, the first and the last.

    Args:
        patch: Hunks, with or without the lines that git writes before them.
        start: A side and a line of it.
        end: The same, above or below. Where it is of the other side, the lines are those of `new`.

    Returns:
        None where one of two sides is not in the patch.
    """
    if start[0] == end[0]:
        return start[0], min(start[1], end[1]), max(start[1], end[1])
    rows = list(_rows(patch))
    places = [index for index, row in enumerate(rows) if start in row or end in row]
    if not any(start in row for row in rows) or not any(end in row for row in rows):
        return None
    new = [line for row in rows[places[0] : places[-1] + 1] for side, line in row if side == "new"]
    return "new", new[0], new[-1]


def complete(patch: str, context: int = 3) -> bool:
    """Tell whether the one hunk of a whole patch is all that there is of the file: nothing is left out."""
    rows = patch.split("\n")
    hunks = [number for number, line in enumerate(rows) if _HUNK.match(line)]
    at = starts(rows[hunks[0]]) if len(hunks) == 1 else None
    if at is None or max(at.old, at.new) > 1:
        return False
    marks = "".join(line[0] for line in rows[hunks[0] + 1 :] if line[:1] in ("+", "-", " "))
    # git leaves out what comes after so many lines; fewer are the end of the file.
    return len(marks) - len(marks.rstrip(" ")) < context


def within(patch: str, side: str, first: int, last: int) -> bool:
    """Tell whether the first and the last of some lines are in a patch; others stand between its hunks."""
    return {first, last} <= {line for line, *_ in lines_of(patch, side)}


def _rows(patch: str) -> Iterator[tuple[tuple[str, int], ...]]:
    """Yield each line of a patch as what it is called: by a side and its number there, or by both."""
    at: At | None = None
    for line in patch.split("\n"):
        if start := starts(line):
            at = start
        elif at is not None and line[:1] in (" ", "+", "-"):
            old, new = line[0] != "+", line[0] != "-"
            yield (("old", at.old),) * old + (("new", at.new),) * new
            at = At(at.old + old, at.new + new)


def quote_of(patch: str, side: str, first: int, last: int) -> str:
    """Return the text of some lines of a patch that is shown, as far as they are in it."""
    lines = [text.removesuffix("\r") for at, text, _ in lines_of(patch, side) if first <= at <= last]
    return untold("\n".join(lines))


class _Hunk:
    """Lines of one hunk that are next to each other, and where they stand."""

    def __init__(self, at: At, header: re.Match[str] | None = None) -> None:
        # A side without lines is numbered by the line before it.
        empty = [header is not None and header[number] == "0" for number in (2, 4)]
        self.at = self._first = At(at.old + empty[0], at.new + empty[1])
        self._words = header[5] if header else ""
        self._lines: list[str] = []

    def leave(self, line: str) -> None:
        """Pass over a line before the first that is shown."""
        self._pass(line)
        self._first, self._words = self.at, ""

    def take(self, line: str) -> int:
        """Add a line; return its length."""
        shown = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} … {len(line):,} characters"
        shown = told(shown)
        self._lines.append(shown)
        self._pass(line)
        return len(shown) + 1

    def _pass(self, line: str) -> None:
        if line[0] != "\\":
            self.at = At(self.at.old + (line[0] != "+"), self.at.new + (line[0] != "-"))

    def written(self) -> list[str]:
        """Return its lines below a header that counts them."""
        if not self._lines:
            return []
        old, new = self.at.old - self._first.old, self.at.new - self._first.new
        header = (
            f"@@ -{self._first.old - (old == 0)},{old} +{self._first.new - (new == 0)},{new} @@{self._words}"
        )
        return [f"{line}\n" for line in (header, *self._lines)]
