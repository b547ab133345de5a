"""Lines that a program draws again and again become one line each. Pure: no clock, no files.

Progress bars go back with a carriage return, a backspace or an escape sequence and write
over what they have written. What is shown only grows, so a line that is written over is
held back until the cursor has left it for good: its first state and its last one are
shown, and a few in between, the 8th, 64th, 512th … Bars of several lines (cursor up) are
held as a block in the same way. Everything else passes as it comes.

The same text gives the same lines however it is cut, and `state` is all that a reducer
must know to go on elsewhere. The sequences are those of ECMA-48 that npm, pip, cargo,
docker and tqdm use; others have no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TypedDict

_TOKEN = re.compile(
    r"\x1b\[(?P<given>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_](?:[^\x07\x1b\n]|\x1b(?!\\))*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\r\n\b]"
    r"|(?P<text>[^\x1b\r\n\b]+)"
)
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_MOVES = re.compile(r"[\r\b]|\x1b\[[0-?]*[ -/]*[A-GJK]")
_WIDEST = 2000
_HIGHEST = 60
_SETTLED = 5
# What each number of a colour sequence (SGR) replaces: those of one kind end each other.
_KINDS = {
    **dict.fromkeys((*range(30, 40), *range(90, 98)), "ink"),
    **dict.fromkeys((*range(40, 50), *range(100, 108)), "paper"),
    **{1: "weight", 2: "weight", 22: "weight", 3: "slant", 23: "slant", 4: "line", 21: "line", 24: "line"},
    **{5: "blink", 6: "blink", 25: "blink", 7: "turned", 27: "turned", 8: "hidden", 28: "hidden"},
    **{9: "struck", 29: "struck"},
}
_ENDS = frozenset({22, 23, 24, 25, 27, 28, 29, 39, 49})

Cell = tuple[str, str]
"""A character with the colours that were set when it was written."""
Row = list[Cell] | None
"""A line of the block; None is one that was shown before and not written over yet."""


class Held(TypedDict, total=False):
    """What is held back, as JSON: the colours set, the line, or a block with its lines as they were and were
    shown, the cursor's place, the counts, and whether the cursor has gone back.
    """

    pen: str
    line: str
    rows: list[str | None]
    seen: list[str]
    at: tuple[int, int]
    counts: tuple[int, int, int, int]
    back: int


class Redraw:
    """Turns what a program writes to a terminal into lines that are never taken back.

    Args:
        state: What `state` returned elsewhere; None begins anew. It may be wrong: it was kept where an agent
            can write.
    """

    def __init__(self, state: Held | None = None) -> None:
        known: Held = state or {}
        self._pen = known.get("pen", "")
        self._line = known.get("line", "")
        self._rows: list[Row] = [None if row is None else _cells(row) for row in known.get("rows") or []]
        height = len(self._rows)
        self._seen: list[str] = (list(known.get("seen") or []) + [""] * height)[:height]
        y, x = known.get("at", (0, 0))
        self._y, self._x = min(max(0, y), max(0, height - 1)), max(0, x)
        counts = (max(0, count) for count in known.get("counts", (0, 0, 0, 0)))
        self._reach, self._since, self._count, self._settled = counts
        self._back = bool(known.get("back"))
        self._out: list[str] = []

    @property
    def state(self) -> Held:
        """What a reducer must know to go on, as JSON; empty between two lines of plain output."""
        found: Held = {}
        if self._pen:
            found["pen"] = self._pen
        if self._rows:
            found["rows"] = [None if row is None else _text(row) for row in self._rows]
            found["seen"] = self._seen
            found["counts"] = (self._reach, self._since, self._count, self._settled)
        elif self._line:
            found["line"] = self._line
        if self._rows or self._x:
            found["at"] = (self._y, self._x)
        if self._back:
            found["back"] = 1
        return found

    def feed(self, text: str) -> str:
        """Take the next piece and return what can be shown by now.

        Args:
            text: It may end anywhere but within an escape sequence.
        """
        text = text.replace("\r\n", "\n")
        if self._rows or self._back or _MOVES.search(text):
            for found in _TOKEN.finditer(text):
                self._token(found)
        else:
            self._plain(text)
        return self._taken()

    def settle(self) -> str:
        """Return the present state of what is held back, as lines, where nothing more has come for a while.

        Only the first few times for one line or block, however long it lasts.
        """
        if self._rows and self._settled < _SETTLED:
            self._settled += 1
            self._snapshot()
        return self._taken()

    def close(self) -> str:
        """Return all that is still held back: nothing more comes."""
        if self._rows:
            self._leave()
        return self._taken()

    def _taken(self) -> str:
        taken, self._out = "".join(self._out), []
        return taken

    def _token(self, found: re.Match[str]) -> None:
        token = found[0]
        if text := found["text"]:
            self._write(text)
        elif token == "\n":
            self._newline()
        elif token == "\r":
            self._x, self._back = 0, self._back or bool(self._rows or self._line)
        elif token == "\b":
            self._x, self._back = max(0, self._x - 1), self._back or bool(self._rows or self._line)
        elif found["final"] == "m":
            self._colour(token)
        elif found["final"]:
            given = found["given"].partition(";")[0]
            self._sequence(found["final"], int(given) if given.isdigit() and len(given) < 6 else None)

    def _colour(self, code: str) -> None:
        self._pen = _pen_after(self._pen, code)
        if not self._rows:
            self._out.append(code)
            self._line += code

    def _plain(self, text: str) -> None:
        """Pass on what writes over nothing."""
        self._out.append(text)
        for code in _COLOUR.findall(text):
            self._pen = _pen_after(self._pen, code)
        _, newline, last = text.rpartition("\n")
        self._line = last if newline else self._line + last
        self._x = len(_COLOUR.sub("", self._line))
        if len(self._line) > 2 * _WIDEST:
            self._line = self._line[: 2 * _WIDEST]

    def _write(self, text: str) -> None:
        if not self._rows and (not self._back or self._x >= len(_COLOUR.sub("", self._line))):
            self._back = False
            return self._plain(text)
        self._redraw()
        row = self._row()
        row.extend([("", " ")] * (min(self._x, _WIDEST) - len(row)))
        written = [(self._pen, character) for character in text[: max(0, _WIDEST - self._x)]]
        row[self._x : self._x + len(written)] = written
        self._x += len(text)

    def _newline(self) -> None:
        self._x, self._back = 0, False
        if not self._rows:
            self._out.append("\n")
            self._line = ""
            return
        self._y += 1
        self._since += 1
        if self._y == len(self._rows):
            self._rows.append([])
            self._seen.append("")
        while self._y > self._reach:
            self._commit()
        if not self._reach or self._since > 2 * self._reach + 5:
            self._leave()

    def _sequence(self, final: str, given: int | None) -> None:
        count = max(1, given or 1)
        if final in "AF":
            self._up(count)
        elif final in "BE" and self._rows:
            self._y = min(self._y + count, len(self._rows) - 1)
        elif final == "C":
            self._x = min(self._x + count, _WIDEST)
        elif final == "D":
            self._x = max(0, self._x - count)
        elif final == "G":
            self._x = min(count - 1, _WIDEST)
        elif final in "JK":
            return self._erase(final, given or 0)
        if final in "EF":
            self._x = 0
        if final in "DFG":
            self._back = self._back or bool(self._rows or self._line)

    def _erase(self, final: str, given: int) -> None:
        if (final == "J" and given) or given > 2:
            return  # a whole screen: there is none
        here = self._rows[self._y] or [] if self._rows else _COLOUR.sub("", self._line)
        if (not here or (given == 0 and self._x >= len(here))) and not (final == "J" and self._rows):
            return  # nothing is there
        self._redraw(erasing=True)
        row = self._row()
        if given == 0:
            del row[self._x :]
        else:
            row[: self._x if given == 1 else None] = [("", " ")] * min(self._x, _WIDEST)
        if final == "J":
            for below in range(self._y + 1, len(self._rows)):
                self._rows[below] = []

    def _up(self, count: int) -> None:
        if not self._rows:
            self._hold(bool(self._line))
        missing = min(count, _HIGHEST) - self._y
        if missing > 0:
            self._rows[:0] = [None] * missing
            self._seen[:0] = [""] * missing
            self._y += missing
        self._y -= min(count, _HIGHEST)
        self._reach = min(max(self._reach, len(self._rows) - 1 - self._y), _HIGHEST)
        self._since, self._back = 0, True

    def _hold(self, begun: bool) -> None:
        """Begin to hold lines back; what was shown of the present one stands."""
        self._rows, self._seen = [_cells(self._line)], [_text(_cells(self._line))]
        self._y = self._reach = self._since = self._count = self._settled = 0
        if begun:
            self._out.append("\x1b[0m\n" if self._pen else "\n")
        self._line = ""

    def _redraw(self, *, erasing: bool = False) -> None:
        """Note that something is about to be written over."""
        if not self._rows:
            self._hold(bool(self._line))
        if (self._back or erasing) and _text(self._rows[self._y] or []):
            self._count += 1
            if self._count > 1 and oct(self._count).strip("0") == "o1":
                self._snapshot()
        self._back = False

    def _row(self) -> list[Cell]:
        row = self._rows[self._y]
        if row is None:
            row = self._rows[self._y] = []
        return row

    def _snapshot(self) -> None:
        for place, row in enumerate(self._rows):
            self._show(place, row)

    def _show(self, place: int, row: Row) -> None:
        text = "" if row is None else _text(row)
        if text and text != self._seen[place]:
            self._seen[place] = text
            self._out.append(f"{text}\n")

    def _commit(self) -> None:
        """Show the topmost line, which the cursor has left."""
        self._show(0, self._rows[0])
        del self._rows[0], self._seen[0]
        self._y -= 1

    def _leave(self) -> None:
        """Hold nothing back any longer."""
        self._snapshot()
        self._rows, self._seen = [], []
        self._y = self._x = self._reach = self._since = self._count = self._settled = 0
        self._line, self._back = self._pen, False
        if self._pen:
            self._out.append(self._pen)


@lru_cache(1000)
def _pen_after(pen: str, code: str) -> str:
    """The colours that are set after a colour sequence, as the shortest sequences that set them."""
    kinds = {_KINDS.get(int(found[2:-1].partition(";")[0]), ""): found for found in _COLOUR.findall(pen)}
    numbers = iter(code[2:-1].replace(":", ";").split(";"))
    for word in numbers:
        number = int(word or 0) if len(word) < 4 else -1
        if number == 0:
            kinds.clear()
        elif number in (38, 48):  # 38;5;<index> or 38;2;<red>;<green>;<blue>
            more = [next(numbers, "0")]
            more += [next(numbers, "0") for _ in range(3 if more == ["2"] else 1)]
            kinds[_KINDS[number]] = f"\x1b[{number};{';'.join(more)}m"
        elif number in _ENDS:
            kinds.pop(_KINDS[number], None)
        elif number in _KINDS:
            kinds[_KINDS[number]] = f"\x1b[{number}m"
    return "".join(kinds.values())


def _cells(text: str) -> list[Cell]:
    """The cells of a line with colours in it."""
    cells: list[Cell] = []
    pen = ""
    for found in _TOKEN.finditer(text):
        if characters := found["text"]:
            cells += [(pen, character) for character in characters]
        elif found["final"] == "m":
            pen = _pen_after(pen, found[0])
    return cells[:_WIDEST]


def _text(cells: Iterable[Cell]) -> str:
    """A line with its colours, without the blanks at its end."""
    made: list[str] = []
    before = ""
    for pen, character in _trimmed(list(cells)):
        if pen != before:
            made.append(("\x1b[0m" if before else "") + pen)
            before = pen
        made.append(character)
    return "".join(made) + ("\x1b[0m" if before else "")


def _trimmed(cells: list[Cell]) -> list[Cell]:
    while cells and cells[-1][1] in " \t":
        cells.pop()
    return cells
