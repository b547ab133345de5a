"""Whether an agent has brought the base branch into its tree, from where on its change is then to be read; or
what its remote has.

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


async def brought(hub: Hub, number: int, base: str) -> tuple[str, str]:
    """Return the newest commits of the base branch and of its remote that a tree has, by its own word.

    Args:
        hub: The hub.
        number: The card's.
        base: The commit on which its change is founded so far, which is returned where there is none newer.

    Returns:
        The base branch's; and the remote's, empty where the base branch has all that the tree has of it.
    """
    own = hub.tree(number) / ".git"
    has = [commit for commit in (_head(own), _line(own, "MERGE_HEAD")) if commit and commit != base]
    head = await hub.head() if has else ""
    newest = base
    for commit in has:
        found = await _common(hub, own, commit, hub.reference)
        if found and found != base and await hub.contains(head, found) and await hub.contains(found, base):
            newest = found
            break
    there = await hub.remote_head() if has else ""
    if there and not await hub.contains(head, there):
        for commit in has:
            found = await _common(hub, own, commit, there)
            if found and await hub.contains(there, found) and not await hub.contains(head, found):
                return newest, found
    return newest, ""


async def _common(hub: Hub, own: Path, commit: str, other: str) -> str:
    """The newest commit that one of a tree's has in common with one of the hub's; empty for none.

    Only a commit that is the hub's own is ever named from here on.
    """
    said = await hub.git(
        *("merge-base", commit, other),
        env={"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(own / "objects")},
        accepted=(0, 1, 128),
        guarded=True,
    )
    return said.word if said.status == 0 and _HASH.fullmatch(said.word) else ""


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
