"""A session's events as the text of a terminal: cleaned, timed, coloured, in rows of whole words. Pure.

A terminal breaks its rows in the middle of a word, so they are broken here, for the width that it has. What
must be known to go on from any event is a short text (`Rows.carry`), which whoever asks for more brings.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vibe_app.wire import Event, EventType, clean_text

RESET = "\x1b[m"
PLAIN = (
    r"((texts) => texts.join('').replace(/\x1b\[[\d;:]*m|\x1b\]8;[^\x1b]*\x1b\\/g, '')"
    r".replace(/\S+\x1b\[\d+D\x1b\[K\r\v/g, '').replaceAll('\r\v', '').replaceAll('\v\r', ' ')"
    r".replaceAll('\r\n', '\n'))"
)
"""Undoes in a browser what `Rows` adds to the text, but for the times: a function of a list of texts."""

_TIMED = 9
"""Columns of a time and the space after it."""
_LONGEST_COLOURS = 200
_LONGEST_CARRY = 4000
_COLOURS = {"s": "\x1b[34m", "e": "\x1b[31m", "d": "\x1b[32m", "f": "\x1b[31m", "c": "\x1b[90m"}
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_TOKENS = re.compile(r"\x1b\[[0-9;:]*m|\x1b\]8;[^\x1b]*\x1b\\|\t| +|[^\x1b\t ]+|\x1b")
_NOT_PLAIN = re.compile(r"[\x1b\t]")
# A row is ended by one of these: before a word that does not fit, and in the place of a space.
_BEFORE_WORD, _FOR_SPACE = "\r\v", "\v\r"


@dataclass
class Rows:
    """The rows of a terminal, and where the last one stands.

    Args:
        columns: How wide the terminal is, in cells.
        zone: Whose clock the times are of.
        linked: What its first group finds in a text is a link; none where it is None.
        address: Where such a link leads, with what was found added at the end.
    """

    columns: int
    zone: tzinfo
    linked: re.Pattern[str] | None = None
    address: str = ""
    begun: bool = False
    amid: bool = False
    """The last line has not ended."""
    at: int = 0
    colours: str = ""
    """Those of the output, which other lines interrupt."""
    word: str = ""
    """The last word so far, where it can be written anew in the next row."""

    @property
    def carry(self) -> str:
        """What `resume` needs to go on behind the last event."""
        return json.dumps([self.amid, self.at, self.colours, self.word]) if self.begun else ""

    def resume(self, carry: str) -> None:
        """Go on behind an event. What a browser brings is no more than a hint for its own rows."""
        try:
            amid, at, colours, word = json.loads(carry[:_LONGEST_CARRY])
        except (ValueError, TypeError, RecursionError):
            return
        if isinstance(at, int) and isinstance(colours, str) and isinstance(word, str):
            self.begun, self.amid, self.at = True, bool(amid), min(max(at, 0), self.columns)
            self.colours, self.word = "".join(_SGR.findall(colours)), clean_text(word).replace("\n", "")

    def of(self, event: Event) -> str:
        """Return what an event adds to the terminal."""
        text = clean_text(event.text)
        kind = kind_of(event)
        if kind != "o":
            lines = text.rstrip("\n").split("\n")
            coloured = (self._begin(event.timestamp) + self._line(kind, line) for line in lines)
            made = "".join(coloured)
            self.amid = False
            return made
        made = list[str]()
        *whole, last = text.split("\n")
        for line in whole:
            made.append(self._output(event.timestamp, line, begin=True))
            self.amid = False
        made.append(self._output(event.timestamp, last, begin=bool(last)))
        return "".join(made)

    def _line(self, kind: str, line: str) -> str:
        return f"{_COLOURS[kind]}{self._fitted(line)}{RESET}"

    def _output(self, moment: datetime, line: str, *, begin: bool) -> str:
        made = ""
        if begin and not self.amid:
            made = self._begin(moment) + self.colours
            self.amid = True
        made += self._fitted(line)
        if "\x1b" in line:
            self._remember(line)
        return made

    def _begin(self, moment: datetime) -> str:
        """Begin a line. The break comes with the line after it, so that the last row is never empty."""
        end = f"{RESET if self.colours else ''}\r\n" if self.begun else ""
        self.begun, self.at, self.word = True, _TIMED, ""
        return f"{end}\x1b[90m{_clock(moment.replace(microsecond=0), self.zone)}{RESET} "

    def _remember(self, line: str) -> None:
        for code in _SGR.findall(line):
            whole = "" if code in ("\x1b[0m", RESET) else self.colours + code
            # A text that never resets must not grow this without end.
            self.colours = whole if len(whole) <= _LONGEST_COLOURS else code[:_LONGEST_COLOURS]

    def _fitted(self, line: str) -> str:
        """Return a piece of a line with its rows broken at the ends of words."""
        if self.linked is not None and (found := self.linked.search(line)):
            link = f"\x1b]8;;{self.address}{found[1]}\x1b\\{found[1]}\x1b]8;;\x1b\\"
            line = line[: found.start(1)] + link + line[found.end(1) :]
        elif self.at + len(line) <= self.columns and line.isascii() and not _NOT_PLAIN.search(line):
            self.at += len(line)
            self.word = line.rpartition(" ")[2] if " " in line else self.word + line
            return line
        return "".join(map(self._token, _TOKENS.findall(line)))

    def _token(self, token: str) -> str:
        if token[0] == "\x1b":
            return token
        if token[0] == " ":
            return self._spaces(len(token))
        if token == "\t":
            self.at, self.word = min((self.at // 8 + 1) * 8, self.columns), ""
            return token
        return self._word(token)

    def _spaces(self, count: int) -> str:
        self.word = ""
        fit = min(count, self.columns - self.at)
        self.at += fit
        if fit == count:
            return " " * count
        self.at = (count - fit - 1) % self.columns
        return " " * fit + _FOR_SPACE + " " * (count - fit - 1)

    def _word(self, token: str) -> str:
        width = cells(token)
        begun, self.word = self.word, self.word + token
        if self.at + width <= self.columns:
            self.at += width
            return token
        before = cells(begun)
        if before + width > self.columns - _TIMED:  # it fits nowhere, and is broken where the row ends
            self.at, self.word = (self.at + width - 1) % self.columns + 1, ""
            return token
        self.at = before + width
        return f"\x1b[{before}D\x1b[K{_BEFORE_WORD}{begun}{token}" if begun else _BEFORE_WORD + token


@lru_cache(200)
def _clock(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%H:%M:%S}"


def kind_of(event: Event) -> str:
    """Return the letter by which an event is coloured: an end is not always a success."""
    if event.type is EventType.DONE:
        for words, letter in (("Session failed", "f"), ("Session cancelled", "c")):
            if event.text.startswith(words):
                return letter
    return event.type.value[0]


def cells(text: str) -> int:
    """Return how many cells of a terminal a text without escapes takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


@lru_cache(200)
def zone_of(name: str, minutes: int) -> tzinfo:
    """Return a browser's time zone.

    Args:
        name: As the browser calls it, for example `Europe/Berlin`.
        minutes: How far it is behind UTC just now, for where this machine does not know the name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone(timedelta(minutes=-minutes)) if -1440 < minutes < 1440 else UTC
