"""Keeps all that is in a card's tree as a commit in the hub: exactly what a `git add` without filters stores.

What the agent did with git in its own repository does not matter, as that is never asked. What cannot
be stored is named, and stops nothing.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from vibe_app.errors import NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.git.base import standing
from vibe_app.workspace_services.git.brought import brought
from vibe_app.workspace_services.git.hub import AGENT, NOTHING, Hub

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MIB = 1 << 20
_NAMED = 1000
_REPOSITORY = b"160000"
# Seconds after which it is looked why a list takes so long.
_SUSPICIOUS = 10.0
_UNREADABLE = b"warning: could not open directory"
# What git reads wherever it finds it: opening a pipe of that name would wait for ever.
_READ_EVERYWHERE = (b".gitignore", b".gitattributes")


@dataclass(frozen=True)
class Snapshot:
    """What a tree holds at a moment.

    Args:
        tree: Hash of its files.
        left_out: What could not be stored, or shall not be.
    """

    tree: str
    left_out: list[wire.LeftOut]


async def take(hub: Hub, number: int, asked: wire.TakeCheckpoint) -> wire.Checkpoint:
    """Keep what is in a card's tree.

    Raises:
        NotFound: The tree is not there (`tree_gone`), or a commit that is named is not in the hub.
        Unavailable: The disk is full, or git cannot work.
    """
    async with hub.locked(number):
        present(hub, number)
        await hub.require(asked.base, asked.revision)
        return await keep(hub, number, asked)


async def keep(hub: Hub, number: int, asked: wire.TakeCheckpoint) -> wire.Checkpoint:
    """The same for who has locked the tree and looked whether it is there."""
    before = asked.revision or asked.base
    beside = asyncio.ensure_future(_known(hub, number, asked.base))
    try:
        found = await look(hub, hub.tree(number), hub.index(number), before)
    finally:
        # Whatever comes of it, nothing is at work here once the tree is free for others.
        await asyncio.wait([beside])
    (base, theirs), head, kept = beside.result()
    left_out = [*found.left_out, *await _nested(hub, hub.tree(number), base, found.tree)][:_NAMED]
    parents = [before]
    # What was brought into the tree of the base: from now on the change is what differs from there. What
    # was of its remote: with the change it joins the base branch.
    for brought_in in filter(None, (base, theirs)):
        if brought_in != before and not await hub.contains(before, brought_in):
            parents.append(brought_in)
    written, at, commit = False, 0, asked.revision
    if len(parents) > 1 or found.tree != await hub.tree_of(before):
        written = True
        at, commit = kept[-1] if kept else (0, "")
        if not commit or not await _is(hub, commit, found.tree, parents):
            commit = await hub.commit(found.tree, parents, asked.message, AGENT)
            at += 1
            await hub.git("update-ref", f"refs/vibe/{number}/{at}", commit, NOTHING)
    elif asked.revision is not None:
        at = next((k for k, known in reversed(kept) if known == asked.revision), 0)
    stands = await standing(hub, head, base, commit or base)
    return wire.Checkpoint(
        base=base,
        behind=stands.behind,
        brings=await hub.count(head, theirs) if theirs else 0,
        conflicts=stands.conflicts,
        revision=commit,
        number=at,
        written=written,
        left_out=left_out,
    )


async def _nested(hub: Hub, tree: Path, base: str, stored: str) -> list[wire.LeftOut]:
    """The repositories in a tree that its change brings: of these only the newest commit's hash is stored."""
    said = await hub.git("diff-tree", "-r", "-z", "--raw", "--no-renames", base, stored)
    parts = said.out.split(b"\0")
    brought_in = (
        name
        for facts, name in zip(parts[::2], parts[1::2], strict=False)
        if facts.split(b" ")[1] == _REPOSITORY
    )
    # The empty folder of one that is not here holds nothing.
    return [
        _left_out(name, "it is a repository of its own") for name in brought_in if _is_repository(tree, name)
    ]


def _is_repository(tree: Path, name: bytes) -> bool:
    return os.path.lexists(os.path.join(os.fsencode(tree), name, b".git"))


async def _known(hub: Hub, number: int, base: str) -> tuple[tuple[str, str], str, list[tuple[int, str]]]:
    """What the hub knows beside the tree: on what the change is founded, the base's head, checkpoints."""
    return await brought(hub, number, base), await hub.head(), await kept_of(hub, number)


async def kept_of(hub: Hub, number: int) -> list[tuple[int, str]]:
    """The checkpoints of a card so far, by their numbers."""
    listed = await hub.git(
        "for-each-ref", "--format=%(objectname) %(refname:lstrip=3)", f"refs/vibe/{number}/"
    )
    pairs = (line.split(" ") for line in listed.out.decode().splitlines())
    return sorted((int(k), commit) for commit, k in pairs if k.isdecimal())


async def _is(hub: Hub, commit: str, tree: str, parents: Sequence[str]) -> bool:
    """Whether a commit is the one that is about to be made: then a call was only repeated."""
    said = await hub.git("rev-parse", f"{commit}^{{tree}}", f"{commit}^@")
    return said.out.decode().split() == [tree, *parents]


def present(hub: Hub, number: int) -> None:
    """Make sure that a card's tree is one of ours and a folder.

    Raises:
        NotFound: It is not.
    """
    if not (hub.marker(number).exists() and is_folder(hub.tree(number))):
        raise NotFound(
            "The card's files are gone from the workspace; what was kept of them before is not lost.",
            "tree_gone",
        )


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


async def look(hub: Hub, tree: Path, index: Path, before: str) -> Snapshot:
    """Store what a tree holds and that git does not ignore, without making a commit of it.

    Args:
        hub: The hub.
        tree: The tree, which is locked.
        index: Ours over its files.
        before: What the index begins with, where there is none yet.
    """
    if not os.access(index, os.F_OK):
        await hub.git("read-tree", before, index=index)
    names = await _differing(hub, tree, index)
    left_out: dict[bytes, str] = {}
    if names:
        left_out = _too_large(tree, names)
        left_out |= await _add(hub, tree, index, left_out)
    said = await hub.git("write-tree", index=index)
    return Snapshot(said.word, [_left_out(name, left_out[name]) for name in sorted(left_out)[:_NAMED]])


def _left_out(name: bytes, why: str) -> wire.LeftOut:
    return wire.LeftOut(path=shown(name), why=why)


async def _differing(hub: Hub, tree: Path, index: Path) -> list[bytes]:
    """The files of a tree that are not as the index has them, without ignored ones.

    A repository inside of which nothing is known yet stands there with a slash at its end.
    """
    words = ("ls-files", "-z", "--modified", "--others", "--exclude-standard")
    listing = asyncio.ensure_future(hub.git(*words, tree=tree, index=index, guarded=True))
    try:
        done, _ = await asyncio.wait([listing], timeout=_SUSPICIOUS)
        if not done and (waits_for := await asyncio.to_thread(waiting_for, tree)):
            raise Unavailable(
                f"{shown(waits_for[0])} is no file, and git waits for it: remove it.", "tree_unreadable"
            )
        listed = await listing
    finally:
        listing.cancel()
        await asyncio.wait([listing])
    return list(dict.fromkeys(name for name in listed.out.split(b"\0") if name))


def _too_large(tree: Path, names: Collection[bytes]) -> dict[bytes, str]:
    """Those of some files that are too large, by themselves or together."""
    sizes = dict[bytes, int]()
    root = os.open(tree, _FOLDER)
    try:
        for name in names:
            try:
                found = os.stat(name, dir_fd=root, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                sizes[name] = found.st_size
    finally:
        os.close(root)
    most = wire.LARGEST_FILE // _MIB
    left_out = {
        name: f"it is larger than {most} MiB" for name, size in sizes.items() if size > wire.LARGEST_FILE
    }
    total = sum(size for name, size in sizes.items() if name not in left_out)
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if total <= wire.LARGEST_TREE:
            break
        if name not in left_out:
            total -= sizes[name]
            left_out[name] = (
                f"what is new here is larger than {wire.LARGEST_TREE // _MIB} MiB together,"
                " and it is one of the largest"
            )
    return left_out


async def _add(hub: Hub, tree: Path, index: Path, without: Collection[bytes]) -> dict[bytes, str]:
    """Bring the index to what the tree holds; return what could not be stored, with the reason."""
    more: tuple[str, ...] = ()
    given, env = b"", dict[str, str]()
    if without:
        more = ("--pathspec-from-file=-", "--pathspec-file-nul")
        given = b"\0".join([b".", *(b":(exclude,literal)" + name.rstrip(b"/") for name in without)])
        env = {"GIT_LITERAL_PATHSPECS": "0"}
    done = await hub.git(
        *("add", "--all", "--ignore-errors", *more),
        tree=tree,
        index=index,
        given=given,
        env=env,
        guarded=True,
        accepted=(0, 1),
    )
    left_out: dict[bytes, str] = {}
    if done.status:
        for name in await _differing(hub, tree, index):
            if name not in without:
                left_out[name] = _why(name)
    if _UNREADABLE in done.errors:
        left_out |= dict.fromkeys(_closed(tree), "this folder cannot be read")
    return left_out


def _why(name: bytes) -> str:
    return "it is a repository without a commit" if name.endswith(b"/") else "it cannot be read"


def _closed(tree: Path) -> list[bytes]:
    """The folders of a tree that cannot be read."""
    found: list[bytes] = []

    def closed(error: OSError) -> None:
        if isinstance(error.filename, bytes) and isinstance(error, PermissionError):
            found.append(os.path.relpath(error.filename, os.fsencode(tree)))

    for _, folders, _, _ in os.fwalk(os.fsencode(tree), follow_symlinks=False, onerror=closed):
        if b".git" in folders:
            folders.remove(b".git")
    return found


def waiting_for(tree: Path) -> list[bytes]:
    """What in a tree git would wait for for ever: pipes in the place of files that it reads everywhere."""
    found: list[bytes] = []
    for folder, folders, files, descriptor in os.fwalk(os.fsencode(tree), follow_symlinks=False):
        if b".git" in folders:
            folders.remove(b".git")
        for name in _READ_EVERYWHERE:
            if name in files:
                mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                    found.append(os.path.relpath(os.path.join(folder, name), os.fsencode(tree)))
    return found
