"""What a command of the agent prints, put together from what OpenCode reports of it. Pure, no files.

While a command runs, OpenCode reports the last 30,000 characters of its output again and
again; when it has ended, all of it or, beyond 50 KB, where all of it lies (which whoever
feeds this has read). Of that a bounded part is shown: the beginning as it comes, and the
end when the command has ended, with the number of lines between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypedDict

from vibe_app.wire import clean_text
from vibe_app.workspace_services.sidecar import tails
from vibe_app.workspace_services.sidecar.opencode_json import ToolState
from vibe_app.workspace_services.sidecar.redraw import Held, Redraw

OUTPUT_CAP = 64 * 1024
"""Characters of one tool's output that are shown from its start."""
END_SHOWN = 8_000
"""Characters that are shown from its end where it is longer."""
LONGEST_CHUNK = 16 * 1024
LONGEST_LOST_MS = 3_000
"""Milliseconds for which a report that does not follow on those before waits for the end of the command."""
_GOES_ON = "[the output goes on; its end is shown when the command has ended]\n"
_GAP = "[a part of the output came too fast and is left out here]\n"


class Mark(TypedDict, total=False):
    """How much of a part was taken in, and whether that is all."""

    n: int
    f: int


class CommandMark(Mark, total=False):
    """What must be known of a command's output to go on with it.

    `a` is what was taken in last, `s` how many characters were shown, `h` how many lines and characters
    were not, `g` whether some are missing, `r` what is held back.
    """

    a: str
    s: int
    h: tuple[int, int]
    g: int
    r: Held


class Shown(NamedTuple):
    """A text to show, and the mark of the command from which its output can be continued after it."""

    text: str
    mark: CommandMark
    notice: bool = False
    """Whether it is a remark about the output, on lines of its own."""


class CommandOutput:
    """The output of one command as far as it is known.

    Args:
        mark: The last mark that was stored; empty for a command that begins.
        cap: Characters that are shown from its start.
    """

    def __init__(self, mark: CommandMark, cap: int = OUTPUT_CAP) -> None:
        self._cap = cap
        self._start = mark.get("n", 0)
        self._anchor = mark.get("a", "")
        self._shown = mark.get("s", 0)
        self._lines, self._characters = mark.get("h", (0, 0))
        self._gap = bool(mark.get("g"))
        self._redraw = Redraw(mark.get("r"))
        self._held = ""
        self._end = ""
        self._in_line = False
        self._previous = ""
        self._lost_since: float | None = None

    @property
    def mark(self) -> CommandMark:
        """Small JSON to continue from: how much was taken in, what was taken last, what was shown."""
        mark: CommandMark = {"n": self._start, "a": self._anchor, "s": self._shown}
        if self._characters:
            mark["h"] = (self._lines, self._characters)
        if self._gap:
            mark["g"] = 1
        if state := self._redraw.state:
            mark["r"] = state
        return mark

    def report(self, state: ToolState, *, over: bool, now_ms: float = 0) -> Iterator[Shown]:
        """Take in a report and yield what it adds.

        Args:
            state: Of bash's part, as OpenCode reports it; `metadata.whole` is the text of the file in
                which all of a long output lies, and `metadata.cut` whether that text is only its beginning.
            over: Whether the command has ended.
            now_ms: The present in milliseconds since 1970.
        """
        metadata = state.get("metadata") or {}
        tail = tails.paired(metadata.get("output") or "")
        whole = tails.whole_output(state, tail) if over else (None if tails.slid(tail) else tail)
        if whole is not None:
            self._continue_in(whole)
            if metadata.get("cut"):
                yield from self._advance(over=False)
                yield from self._skip(tail[len(tails.SLID) :])
        elif over or tail != self._previous:
            yield from self._slide(tail[len(tails.SLID) :], over=over, now_ms=now_ms)
        self._previous = tail
        if self._lost_since is not None:
            return
        yield from self._advance(over=over)
        if over:
            yield from self._ending(tail, tails.kept_as(metadata))

    def settle(self) -> Iterator[Shown]:
        """Yield the present state of a line that is drawn again and again, after a while of silence."""
        if text := self._visible(clean_text(self._redraw.settle())):
            yield Shown(text, self.mark)

    def _continue_in(self, whole: str) -> None:
        self._lost_since = None
        if self._gap:
            place = whole.rfind(self._anchor)
            self._held = whole[place + len(self._anchor) :] if self._anchor and place >= 0 else self._held
        elif len(whole) > self._start + len(self._held):
            self._held = whole[self._start :]

    def _slide(self, tail: str, *, over: bool, now_ms: float) -> Iterator[Shown]:
        """Append what a slid tail adds to the text received so far."""
        previous = self._previous
        previous = previous[len(tails.SLID) :] if tails.slid(previous) else previous
        anchor = self._anchor + self._held
        added = tails.overlap(previous, tail)
        if added is None and len(anchor) >= tails.ANCHOR:
            place = tail.rfind(anchor[-tails.ANCHOR :])
            added = None if place < 0 else tail[place + tails.ANCHOR :]
        if added is not None and self._lost_since is None:
            self._held += added
            return
        # What comes in one gush is whole in the final report: wait for it, but not for ever. Not by the
        # number of reports: on a busy machine a gush that takes a moment comes in many.
        self._lost_since = now_ms if self._lost_since is None else self._lost_since
        if over or now_ms - self._lost_since > LONGEST_LOST_MS:
            self._lost_since = None
            yield from self._skip(tail)

    def _skip(self, tail: str) -> Iterator[Shown]:
        """Go on with a text that does not follow on what was received."""
        yield from self._advance(over=True)
        self._gap = True
        if self._shown < self._cap:
            yield Shown(_GAP, self.mark, notice=True)
        self._held = tail

    def _advance(self, *, over: bool) -> Iterator[Shown]:
        """Take in what is complete of the received text, in chunks."""
        began_hidden = self._shown >= self._cap
        while self._held:
            piece = self._held[:LONGEST_CHUNK]
            cut = len(piece) if over and len(piece) == len(self._held) else tails.complete(piece)
            if not cut:
                break
            raw, self._held = piece[:cut], self._held[cut:]
            self._start += cut
            self._anchor = (self._anchor + raw)[-tails.ANCHOR :]
            yield Shown(self._visible(clean_text(self._redraw.feed(raw))), self.mark)
        if over:
            yield Shown(self._visible(clean_text(self._redraw.close())), self.mark)
        elif self._shown >= self._cap and not began_hidden:
            yield Shown(_GOES_ON, self.mark, notice=True)

    def _visible(self, text: str) -> str:
        """The part of a text that is within the cap; remembers the end of what is not."""
        room = self._cap - self._shown
        if len(text) <= room:
            self._shown += len(text)
            self._in_line = not text.endswith("\n") if text else self._in_line
            return text
        cut = (text.rfind("\n", 0, room) + 1 or room) if room > 0 else 0
        self._shown = self._cap
        hidden = text[cut:]
        in_line = not text[:cut].endswith("\n") if cut else self._in_line
        self._in_line = False
        # The rest of a line that is shown in part is no line of its own.
        self._lines += hidden.count("\n") - in_line
        self._characters += len(hidden)
        self._end = (self._end + hidden)[-END_SHOWN:]
        return text[:cut]

    def _ending(self, tail: str, name: str) -> Iterator[Shown]:
        """Yield the end of an output that is longer than the cap, and what is missing before it."""
        if not self._characters:
            return
        if len(self._end) < min(END_SHOWN, self._characters):  # it was taken in by an earlier process
            redraw = Redraw()
            self._end = clean_text(redraw.feed(tail.removeprefix(tails.SLID)) + redraw.close())[-END_SHOWN:]
        end = self._end
        if self._characters > len(end):
            end = end.partition("\n")[2] or end
            missing = left_out(
                self._lines - end.count("\n"),
                self._characters - len(end),
                more="more than " if self._gap else "",
                name=name,
            )
            yield Shown(missing, self.mark, notice=True)
        self._lines = self._characters = 0
        yield Shown(end, self.mark)


def left_out(lines: int, characters: int, *, more: str = "", name: str = "") -> str:
    """Say how much of an output is not shown, and by which name all of it can be asked for."""
    what = f"{lines:,} {'line is' if lines == 1 else 'lines are'}"
    what = what if lines > 0 else f"{characters:,} characters are"
    return f"[{more}{what} left out here{name and f'; all of it is kept as {name}'}]\n"


def shortened(text: str, cap: int) -> str:
    """The beginning and the end of a text, with what is left out between them."""
    if len(text) <= cap + END_SHOWN:
        return text
    cut = text.rfind("\n", 0, cap) + 1 or cap
    end = text[-END_SHOWN:].partition("\n")[2] or text[-END_SHOWN:]
    between = text[cut : len(text) - len(end)]
    before = "" if text[:cut].endswith("\n") else "\n"
    return text[:cut] + before + left_out(between.count("\n"), len(between)) + end
