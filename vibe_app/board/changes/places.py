"""Where the lines of a comment are in a later revision: where their text still is, and nowhere else. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def place(quote: str, side: str, line: int, patch: str) -> int | None:
    """Return the first line of what was commented on, in a newer patch of the file.

    Args:
        quote: The text of the lines.
        side: `new` or `old`: of which text of the patch they are.
        line: Where they were.
        patch: The unified patch of the file now.

    Returns:
        Where the same lines stand in the patch, nearest to where they were; None where they do not.
    """
    wanted = quote.splitlines()
    if not wanted:
        return None
    found = [
        start
        for first, lines in _stretches(patch, side)
        for start in range(first, first + len(lines) - len(wanted) + 1)
        if lines[start - first : start - first + len(wanted)] == wanted
    ]
    return min(found, key=lambda start: abs(start - line), default=None)


def _stretches(patch: str, side: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the consecutive lines of one side of a patch, and the number of the first of them."""
    first, lines = 0, list[str]()
    skipped = "-" if side == "new" else "+"
    for text in patch.split("\n"):
        if match := _HUNK.match(text):
            if lines:
                yield first, lines
            first, lines = int(match[2] if side == "new" else match[1]), []
        elif first and text[:1] in (" ", "+", "-") and text[:1] != skipped:
            lines.append(text[1:].removesuffix("\r"))
    if lines:
        yield first, lines
