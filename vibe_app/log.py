"""The log of every process: one line for each thing that happened, whoever's words are in it.

What others send reaches the log inside of our own sentences: an address, a title, the
message of an exception. No such text can begin a line of its own or send an escape
sequence to a terminal: control characters are written as Python writes them in a string,
and a traceback is set in by four spaces.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from types import TracebackType

_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0a-\x1f\x7f-\x9f"  # control characters but the tab
    "\u2028\u2029"  # what some programs take for the end of a line
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what changes the direction of text (UAX #9)
    "\ud800-\udfff"  # what cannot be encoded
    "]"
)

LONGEST = 4000
"""Characters of a line, and of each line of a traceback."""


def visible(text: str) -> str:
    """Return a text as one line in which every character can be seen."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
"""What `sys.exc_info` returns."""


class OneLine(logging.Formatter):
    """Writes a record's message as one line, and a traceback below it, set in."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, without what it has beyond `LONGEST` characters."""
        line = visible(super().formatMessage(record)[: LONGEST + 1])
        return line if len(line) <= LONGEST else f"{line[:LONGEST]} [cut]"

    def formatException(self, ei: ExcInfo) -> str:
        """Return the traceback."""
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """Return the stack."""
        return _set_in(super().formatStack(stack_info))


def _set_in(text: str) -> str:
    return "\n".join(f"    {visible(line[:LONGEST])}" for line in text.split("\n"))


def set_up(level: str, *, with_process: bool = False) -> None:
    """Send the log of this process to its stderr.

    Args:
        level: `debug`, `info`, `warning` or `error`, in any case.
        with_process: Whether each line tells the process that wrote it.
    """
    process = " [%(process)d]" if with_process else ""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(f"%(asctime)s{process} %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # These bring handlers of their own, with another form, unless their level was set before.
    for own in ("engineio.server", "socketio.server"):
        logging.getLogger(own).setLevel(logging.ERROR)


class Seldom:
    """Lets so many lines through in a while, and counts the others: for what anybody can cause.

    Args:
        most: Lines in each span.
        seconds: How long a span is.
        clock: Seconds that only go forward.
    """

    def __init__(
        self, most: int = 10, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._began = float("-inf")
        self._count = 0

    def log(
        self, logger: logging.Logger, level: int, message: str, *args: object, error: Exception | None = None
    ) -> None:
        """Log a line, with an error's traceback below it, unless there were too many of late."""
        now = self._clock()
        if now - self._began > self._seconds:
            if (left := self._count - self._most) > 0:
                logger.log(level, "%d more lines of this kind were left out", left)
            self._began, self._count = now, 0
        self._count += 1
        if self._count <= self._most:
            logger.log(level, message, *args, exc_info=error)
