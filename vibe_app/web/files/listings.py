"""The folders that somebody looks at, as they were last read; each process keeps them once for all its tabs.

A tab's State holds the rows in sight and no more: a folder of thousands of entries is neither kept for every
tab nor sent whole. Who may see a folder is asked anew each time, before anything kept is shown.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.clients.files import FileReader
from vibe_app.errors import InvalidRequest, NotFound, Unauthenticated, VibeError
from vibe_app.web.files.paths import name_of, parent_of
from vibe_app.wire import files as wire
from vibe_app.wiring import services

PAGE = 5000
"""Entries of a folder that are read at first, and with each "more"."""
LARGE = 1000
"""A folder with more entries is read again at most every `LARGE_PAUSE` seconds, unless somebody asks."""
LARGE_PAUSE = 10.0
_KEPT = 150_000
"""Entries that a process keeps of all folders."""


class Entry(NamedTuple):
    """One entry of a folder. `kind`, links followed, is `file`, `directory`, `broken` or `other`."""

    name: str
    path: str
    kind: str
    link: bool
    size: int
    modified: int
    git: str

    @property
    def stamp(self) -> str:
        """Changes when the file does, as far as its folder tells."""
        return f"{self.modified} {self.size}"


@dataclass(frozen=True)
class Where:
    """Which files: a project's or a card's, and whether each is to say how it stands with git."""

    project: UUID
    tree: int
    git: bool

    @property
    def task(self) -> int | None:
        """The card, as a verb of files is asked for it."""
        return self.tree or None


@dataclass(frozen=True)
class Listing:
    """What is known of a folder. `entries` is None where it could not be read, for the reason `error`."""

    entries: tuple[Entry, ...] | None = None
    total: int = 0
    error: str = ""
    missing: bool = False
    pages: int = 1
    at: float = 0.0
    names: dict[str, Entry] = field(default_factory=dict, compare=False, repr=False)

    @property
    def complete(self) -> bool:
        """Whether every entry is known."""
        return self.entries is not None and len(self.entries) >= self.total

    @property
    def left(self) -> int:
        """How many entries are not known."""
        return self.total - len(self.entries or ())


_known: OrderedDict[tuple[Where, str], Listing] = OrderedDict()


def kept(where: Where, path: str) -> Listing | None:
    """Return a folder as it was last read; None where it was not, or is not kept any more.

    Ask `check` before anything of it is shown.
    """
    found = _known.get((where, path))
    if found is not None:
        _known.move_to_end((where, path))
    return found


async def check(actor: Actor, where: Where) -> None:
    """Return if the actor may look at these files.

    Raises:
        NotFound: There is no such project, or none that they may see.
    """
    await services().projects.check(actor, where.project, ProjectRole.VIEWER)


async def read(actor: Actor, where: Where, path: str, *, gently: bool = False, more: bool = False) -> Listing:
    """Read a folder, and keep what it holds.

    Args:
        actor: Who asks.
        where: Whose files.
        path: The folder.
        gently: Nobody asked for it just now: a large folder that was read a moment ago is not read again.
        more: One page more than before.

    Raises:
        NotFound: There is no such project, or none that the actor may see.
        TooMany: The actor has woken too many workspaces.
    """
    await check(actor, where)
    old = kept(where, path)
    if gently and old is not None and old.total > LARGE and time.monotonic() - old.at < LARGE_PAUSE:
        return old
    pages = (old.pages if old is not None else 1) + more
    try:
        found = await _all(await services().files.reading(actor, where.project), where, path, pages)
    except Unauthenticated:
        raise
    except (NotFound, InvalidRequest) as error:
        found = Listing(error=error.message, missing=isinstance(error, NotFound), at=time.monotonic())
    except VibeError as error:
        # What was shown stays while the workspace is away.
        return replace(old, error=error.message) if old is not None else Listing(error=error.message)
    _keep((where, path), found)
    return found


async def _all(reader: FileReader, where: Where, path: str, pages: int) -> Listing:
    entries: list[Entry] = []
    total = 0
    for page in range(1, pages + 1):
        asked = wire.ListFolder(path=path, page=page, page_size=PAGE, git=where.git, task=where.task)
        part = await reader.list(asked)
        entries += [_entry(each) for each in part.entries]
        total = part.total_count
    names = {each.name: each for each in entries}
    return Listing(tuple(entries), total, pages=pages, at=time.monotonic(), names=names)


def _entry(each: wire.FileEntry) -> Entry:
    link = each.type == "symlink"
    kind = (each.leads_to or "broken") if link else each.type
    modified = int(datetime.fromisoformat(each.modified).timestamp() * 1000)
    return Entry(each.name, each.path, kind, link, each.size, modified, each.git or "")


def _keep(key: tuple[Where, str], listing: Listing) -> None:
    _known[key] = listing
    _known.move_to_end(key)
    held = sum(len(each.entries or ()) + 1 for each in _known.values())
    while held > _KEPT and len(_known) > 1:
        _, gone = _known.popitem(last=False)
        held -= len(gone.entries or ()) + 1


@dataclass(frozen=True)
class Found:
    """What a path names. `kind` is as of an entry, `gone` for nothing, `error` where it could not be read."""

    kind: str
    entry: Entry | None = None
    error: str = ""


async def find(actor: Actor, where: Where, path: str, *, gently: bool) -> Found:
    """Find out what a path names: by its folder, and where that is too long to be known whole, by itself.

    Raises:
        NotFound: There is no such project, or none that the actor may see.
    """
    if not path:
        return Found("directory")
    folder, name = parent_of(path), name_of(path)
    around = await read(actor, where, folder, gently=gently)
    if name not in around.names and gently:
        # What is not in it may be newer than it.
        around = await read(actor, where, folder)
    if around.entries is None:
        return Found("gone" if around.missing else "error", error=around.error)
    if (entry := around.names.get(name)) is not None:
        return Found(entry.kind, entry)
    if around.complete:
        return Found("gone")
    inside = await read(actor, where, path, gently=gently)
    return Found("directory" if inside.entries is not None else "file")
