"""Whether an agent has brought the base branch into its tree: from where on its change is to be read.

What its own repository says is a claim, and taken for no more: it decides against what the change is
shown, and whoever accepts that sees it. Its git directory is read as text, and its objects as data of the
hub's own git; its configuration is never asked.
"""

from __future__ import annotations

import re
from pathlib import Path

from vibe_app.inside import Spot
from vibe_app.workspace_services.git.hub import Hub

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFERENCE = re.compile(r"ref: (refs/heads/[\w./+@-]{1,200})")
_LARGEST = 1 << 20


async def brought(hub: Hub, number: int, base: str) -> str:
    """Return the newest commit of the base branch that a card's tree has, by what it says of itself.

    Args:
        hub: The hub.
        number: The card's.
        base: The commit on which its change is founded so far, which is returned where there is none newer.
    """
    own = hub.tree(number) / ".git"
    for commit in (_head(own), _line(own, "MERGE_HEAD")):
        if not commit or commit == base:
            continue
        said = await hub.git(
            *("merge-base", commit, hub.reference),
            env={"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(own / "objects")},
            accepted=(0, 1, 128),
            guarded=True,
        )
        # Only a commit that is the hub's own is ever named from here on.
        if said.status == 0 and _HASH.fullmatch(said.word) and said.word != base:
            head = await hub.head()
            if await hub.contains(head, said.word) and await hub.contains(said.word, base):
                return said.word
    return base


def _head(own: Path) -> str:
    """The commit that is checked out, by the text of the files that say so; empty where that is unclear."""
    said = _line(own, "HEAD")
    if match := _REFERENCE.fullmatch(said):
        return _line(own, *match[1].split("/")) or _packed(own, match[1])
    return said if _HASH.fullmatch(said) else ""


def _packed(own: Path, name: str) -> str:
    for line in _text(own, "packed-refs").splitlines():
        commit, _, named = line.partition(" ")
        if named == name and _HASH.fullmatch(commit):
            return commit
    return ""


def _line(own: Path, *way: str) -> str:
    text = _text(own, *way).strip()
    return text if _HASH.fullmatch(text) or _REFERENCE.fullmatch(text) else ""


def _text(own: Path, *way: str) -> str:
    """A small file of a tree's git directory; empty where there is none that is one."""
    try:
        return Spot(own.parent, (own.name, *way)).read(_LARGEST).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
