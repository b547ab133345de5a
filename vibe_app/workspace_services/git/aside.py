"""Makes way for files that come to the base's folder: what a person put there, and is in no commit, is kept.

It stays beside them under another name, `.env.before-1a2b3c4`: git would write over what it ignores.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.git.hub import Hub

logger = logging.getLogger(__name__)

_DIGITS = 7


def begun(hub: Hub) -> Path:
    """The file that says for which commit way was made, until its files are there."""
    return hub.path / "vibe-index" / "base-to"


async def make_way(hub: Hub, has: str, head: str) -> None:
    """Give what lies where a commit brings files another name. `base` is locked.

    Where a process died while git wrote the files, they are not taken for a person's.

    Args:
        hub: The hub.
        has: The files that the folder has of git.
        head: The commit whose files come.
    """
    mark = begun(hub)
    before = mark.read_text() if mark.exists() else ""
    if before == head:
        return
    said = await hub.git("diff-tree", "-r", "-z", "--no-renames", "--name-status", has, head)
    words = said.out.split(b"\0")
    status = dict(zip(words[1::2], words[0::2], strict=False))
    added = {path for path, letter in status.items() if letter == b"A"}
    gone = {path for path, letter in status.items() if letter == b"D"}
    if before and added:
        added.difference_update(
            (await hub.git("ls-tree", "-r", "-z", "--name-only", before)).out.split(b"\0")
        )
    if added:
        await asyncio.to_thread(_move, os.fsencode(hub.base), added, gone, head[:_DIGITS].encode())
        mark.write_text(head)


def _move(base: bytes, added: Collection[bytes], gone: Collection[bytes], digits: bytes) -> None:
    for path in sorted(set(_in_the_way(base, added, gone))):
        name = b"%s.before-%s" % (path, digits)
        number = 2
        while os.path.lexists(os.path.join(base, name)):
            name = b"%s.before-%s-%d" % (path, digits, number)
            number += 1
        os.rename(os.path.join(base, path), os.path.join(base, name))
        logger.info("%s came to the base branch: what was there is %s now", shown(path), shown(name))


def _in_the_way(base: bytes, added: Collection[bytes], gone: Collection[bytes]) -> Iterator[bytes]:
    """What no commit has, and lies where a file comes, or where a folder for it does."""
    for path in added:
        parts = path.split(b"/")
        for depth in range(1, len(parts) + 1):
            at = b"/".join(parts[:depth])
            try:
                is_folder = stat.S_ISDIR(os.lstat(os.path.join(base, at)).st_mode)
            except FileNotFoundError:
                break
            if not is_folder:
                if at not in gone:
                    yield at
                break
            if depth == len(parts) and _holds_others(base, at, gone):
                yield at


def _holds_others(base: bytes, folder: bytes, gone: Collection[bytes]) -> bool:
    """Whether a folder holds a file that is not one of those that go."""
    for above, folders, files in os.walk(os.path.join(base, folder)):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        for name in (*files, *links):
            if os.path.relpath(os.path.join(above, name), base) not in gone:
                return True
    return False
