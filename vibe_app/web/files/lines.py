"""The rows of the tree of files, as its folders were last read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vibe_app.web.files import listings
from vibe_app.web.files.listings import Entry, Where
from vibe_app.web.files.paths import above, icon_of, shortened


@dataclass
class Row:
    """A row in sight."""

    index: int
    key: str
    name: str
    note: bool
    level: int
    place: int
    count: int
    folder: bool
    opened: bool
    icon: str
    mark: bool


class Line(NamedTuple):
    """A row of the whole tree: an entry, or a note below a folder. `more` names the folder to read on."""

    key: str
    level: int
    entry: Entry | None
    place: int = 0
    of: int = 0
    note: str = ""
    more: str | None = None


_Key = tuple[Where, frozenset[str], tuple[float, ...]]
_lines: OrderedDict[_Key, list[Line]] = OrderedDict()


def lines_of(place: Where, opened: Collection[str]) -> list[Line]:
    """Return the rows of the tree as its folders were last read; the same list while nothing has changed."""
    stamps = tuple(
        listing.at if (listing := listings.kept(place, path)) else 0.0 for path in sorted({"", *opened})
    )
    key = (place, frozenset(opened), stamps)
    if key not in _lines:
        _lines[key] = list(_walk(place, "", 1, frozenset(opened)))
        while len(_lines) > 16:
            _lines.popitem(last=False)
    _lines.move_to_end(key)
    return _lines[key]


def _walk(place: Where, path: str, level: int, opened: frozenset[str]) -> Iterator[Line]:
    known = listings.kept(place, path)
    if known is None or known.entries is None:
        if level > 1:
            yield Line(f"{path}/:", level, None, note=(known.error if known else "") or "Loading…")
        return
    for index, entry in enumerate(known.entries, 1):
        yield Line(entry.path, level, entry, index, known.total)
        if entry.kind == "directory" and entry.path in opened:
            yield from _walk(place, entry.path, level + 1, opened)
    if not known.entries and level > 1:
        yield Line(f"{path}/:", level, None, note="Empty")
    if known.left > 0 and len(known.entries) >= listings.PAGE:
        yield Line(f"{path}/+", level, None, note=f"{known.left} more…", more=path)


def with_folders(paths: Collection[str]) -> set[str]:
    """Return paths and all folders above them."""
    return {each for path in paths for each in (path, *above(path))}


def row_of(index: int, line: Line, changed: set[str], opened: set[str]) -> Row:
    """Return a row of the tree as the page shows it."""
    entry = line.entry
    if entry is None:
        return Row(index, line.key, line.note, True, line.level, 1, 1, False, False, "", False)
    folder = entry.kind == "directory"
    icon = icon_of(entry.name, entry.kind, link=entry.link)
    return Row(
        index,
        line.key,
        shortened(entry.name),
        False,
        line.level,
        line.place,
        line.of,
        folder,
        folder and line.key in opened,
        icon,
        line.key in changed,
    )
