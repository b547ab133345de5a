"""What git ignores in the base's folder: nothing else is written there while a project delivers by request.

Whether it does is asked of the hub and the base's own files, which no agent can write, and `base` stays
locked until the thing is done: no fetch brings another `.gitignore` in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from vibe_app.errors import Conflict
from vibe_app.wire.files import NOT_IGNORED, GitState
from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.git.base import follow
from vibe_app.workspace_services.git.hub import Hub

_RULES = frozenset({b".gitignore", b".gitattributes"})
"""What git goes by: such a file would change how the others count, though git ignored it itself."""


@dataclass(frozen=True)
class Touched:
    """What somebody is about to do to the base's files: names from its folder, without links.

    Args:
        written: What comes into being or changes; a folder ends with a slash.
        removed: What goes from its place, with all that is in it.
    """

    written: Sequence[bytes] = ()
    removed: Sequence[bytes] = ()


@asynccontextmanager
async def only_ignored(hub: Hub, touched: Callable[[], Touched]) -> AsyncGenerator[None]:
    """Let something be done to the base's files that leaves what git has of them as it is.

    What is written must be ignored, what is removed must be in no commit.

    Args:
        hub: The hub.
        touched: Finds out what is touched; it may block.

    Raises:
        Conflict: It would change what git has (`not_ignored`).
    """
    async with hub.locked("base"):
        await follow(hub)
        found = await asyncio.to_thread(touched)
        # The folder itself is refused by who does it.
        written = [path for path in found.written if path.strip(b"/")]
        removed = [path for path in found.removed if path]
        head = await hub.head()
        for path in (*written, *removed):
            if (await hub.git("ls-tree", "-z", head, "--", path.rstrip(b"/"))).out:
                raise _refused(path)
        ignored = await _ignored(hub, written)
        for path in written:
            if path not in ignored or path.rsplit(b"/", 1)[-1] in _RULES:
                raise _refused(path)
        yield


async def states(hub: Hub, folder: bytes, names: Sequence[bytes]) -> list[GitState]:
    """Say how the entries of a folder of the base stand with git.

    Args:
        hub: The hub.
        folder: Without links; empty for the base itself.
        names: Of the entries, from the base; a folder ends with a slash.
    """
    inside = ("--", folder + b"/") if folder else ()
    listed = await hub.git("ls-tree", "-z", "--name-only", await hub.head(), *inside)
    tracked, ignored = frozenset(listed.out.split(b"\0")), await _ignored(hub, names)
    return [
        "tracked" if name.rstrip(b"/") in tracked else "ignored" if name in ignored else "untracked"
        for name in names
    ]


async def _ignored(hub: Hub, paths: Collection[bytes]) -> frozenset[bytes]:
    """Of these paths in the base's folder, those that git ignores, in a commit or not."""
    if not paths:
        return frozenset()
    said = await hub.git(
        *("check-ignore", "--no-index", "-z", "--stdin"),
        tree=hub.base,
        # With a dot before them they are names and nothing else; check-ignore knows no literal ones.
        given=b"".join(b"./" + path + b"\0" for path in paths),
        env={"GIT_LITERAL_PATHSPECS": "0"},
        accepted=(0, 1),
    )
    return frozenset(path.removeprefix(b"./") for path in said.out.split(b"\0"))


def _refused(path: bytes) -> Conflict:
    return Conflict(
        f"git does not ignore {shown(path.rstrip(b'/'))}, so it is not written here.", NOT_IGNORED
    )
