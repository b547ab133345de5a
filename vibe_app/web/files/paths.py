"""How paths of a workspace become addresses and words, and what an address asks for. Pure.

A path is spelled as the interface spells it: a byte that is no UTF-8 as `\\xNN`, a backslash as two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode
from uuid import UUID

from vibe_app.web.place import Place

PICTURE = re.compile(r"\.(avif|bmp|gif|ico|jpe?g|png|svg|webp)$", re.IGNORECASE)
MARKDOWN = re.compile(r"\.(md|markdown)$", re.IGNORECASE)
SVG = re.compile(r"\.svg$", re.IGNORECASE)
_PROSE = re.compile(r"\.(md|txt|rst)$", re.IGNORECASE)
_LINE = re.compile(r"L([1-9][0-9]{0,8})(?:-L?([1-9][0-9]{0,8}))?")
# What JavaScript's `encodeURIComponent` leaves as it is.
_PLAIN = "!'()*-._~"
_STEPS = ("B", "KiB", "MiB", "GiB", "TiB")
QUERY_CHARS = 200


@dataclass(frozen=True)
class Here:
    """What an address of the page of files asks for."""

    project: UUID
    tree: int
    path: str
    searching: bool
    query: str
    in_text: bool
    ignored: bool

    @property
    def base(self) -> str:
        """The address of all files that these are among."""
        return base_of(str(self.project), self.tree)


def base_of(project: str, tree: int) -> str:
    """Return the address of a project's files, or of those of a card."""
    return f"/p/{project}{f'/trees/{tree}' if tree else ''}/files"


def here_of(place: Place, path: str, query: Mapping[str, str]) -> Here | None:
    """Read an address; None where it names no project."""
    if place.project is None:
        return None
    base = base_of(str(place.project), place.tree)
    return Here(
        place.project,
        place.tree,
        path_in(base, path),
        "q" in query,
        query.get("q", "").strip()[:QUERY_CHARS],
        query.get("in") == "text",
        "all" in query,
    )


def path_in(base: str, address: str) -> str:
    """Return the path of a file that an address below `base` names."""
    return "/".join(_decoded(part) for part in address[len(base) :].strip("/").split("/"))


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        return part  # an address that somebody typed


def address_of(base: str, path: str, line: int = 0) -> str:
    """Return the address of a file or folder, or of a line in it."""
    below = "/".join(quote(part, safe=_PLAIN) for part in path.split("/")) if path else ""
    return (f"{base}/{below}" if below else base) + (f"#L{line}" if line else "")


def search_address(base: str, query: str, *, in_text: bool, ignored: bool) -> str:
    """Return the address of a search."""
    asked = {"q": query} | ({"in": "text"} if in_text else {}) | ({"all": "1"} if ignored else {})
    return f"{base}?{urlencode(asked)}"


def lines_of(fragment: str) -> list[int]:
    """Return the first and the last line that `#L3` or `#L3-L8` points at; nothing for anything else."""
    match = _LINE.fullmatch(fragment)
    return [int(each) for each in match.groups() if each] if match else []


def parent_of(path: str) -> str:
    """Return the folder that a path is in."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def joined(folder: str, name: str) -> str:
    """Return the path of something in a folder."""
    return f"{folder}/{name}" if folder else name


def above(path: str) -> list[str]:
    """Return the folders on the way to a path, the outermost, which is empty, first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts))]


def spelled(name: str) -> str:
    """Spell a name that a browser says as the interface spells it."""
    return name.replace("\\", "\\\\")


def visible(name: str) -> str:
    """Return a name with each space at its ends, which nobody would see, as `␣`."""
    rest = name.lstrip(" ")
    inner = rest.rstrip(" ")
    return "␣" * (len(name) - len(rest)) + inner + "␣" * (len(rest) - len(inner))


def shortened(name: str) -> str:
    """Return a name of a length that can be shown, spelled so that all of it is seen."""
    name = visible(name)
    return f"{name[:150]}…{name[-40:]}" if len(name) > 200 else name


def size_words(size: int) -> str:
    """Return a number of bytes in words: "1.4 KiB"."""
    step = 0
    value = float(size)
    while value >= 1024 and step < len(_STEPS) - 1:
        value, step = value / 1024, step + 1
    if not step:
        return f"{size} B"
    return f"{value:.1f} {_STEPS[step]}" if value < 10 else f"{round(value)} {_STEPS[step]}"


def kind_words(name: str) -> str:
    """Return what a file that is no text is, by its name."""
    ending = name.rpartition(".")[2] if "." in name else ""
    return f"A {ending.upper()} file" if ending and len(ending) <= 8 else "A binary file"


def icon_of(name: str, kind: str, *, link: bool) -> str:
    """Return the icon of an entry: `folder`, `image`, `link`, `text` or `file`."""
    if kind == "directory":
        return "folder"
    if PICTURE.search(name):
        return "image"
    if _PROSE.search(name):
        return "text"
    return "link" if link else "file"
