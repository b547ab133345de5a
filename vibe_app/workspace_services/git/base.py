"""The base branch: what joins it, and how it moves, with its folder behind it.

It moves by compare-and-swap of one reference. The folder follows; where a process died in between, it
follows with the next thing that is done to it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vibe_app.errors import Conflict, InvalidRequest, NotFound
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.git.aside import begun, make_way
from vibe_app.workspace_services.git.hub import VIBE, Hub
from vibe_app.workspace_services.git.program import Failed

_MOST_CONFLICTS = 1000
ACCEPTED = "refs/vibe-accepted/"
"""Below it, by card and checkpoint: commits of accepted changes that the base branch does not get here."""
_SAVED = "base-saved-"
"""Begins the name of the index that a save leaves for who comes after it, and that its commit ends."""


async def plan(hub: Hub, asked: wire.PlanMerge) -> wire.MergePlan:
    """Make the commit that joins a checkpoint into the base branch, without moving anything.

    Where the checkpoint changes nothing there, the plan is to stay. A commit that is to be kept has a
    reference of its own, so that it is there for as long as its push takes.

    Raises:
        NotFound: A commit is not in the hub.
    """
    await hub.require(asked.base, asked.revision)
    old = await hub.head()
    tree, conflicts = await joined(hub, old, asked.revision)
    if conflicts:
        return wire.MergePlan(old=old, conflicts=conflicts)
    theirs = await _theirs(hub, old, asked.revision)
    if tree == await hub.tree_of(old) and not theirs:
        return wire.MergePlan(old=old, new=old)
    parents = [old, *theirs] if asked.strategy == "squash" else [old, asked.revision]
    new = await hub.commit(tree, parents, asked.message, asked.author)
    if asked.keep:
        await hub.git("update-ref", f"{ACCEPTED}{asked.number}/{asked.revision}/{new}", new)
    return wire.MergePlan(old=old, new=new)


async def _theirs(hub: Hub, old: str, revision: str) -> list[str]:
    """The newest commit of the remote's that a checkpoint has and the base branch has not, if there is one.

    It stays in the history however the change is joined: else the remote would go on being another.
    """
    there = await hub.remote_head()
    if not there or await hub.contains(old, there):
        return []
    found = await hub.git("merge-base", revision, there, accepted=(0, 1))
    return [] if found.status or await hub.contains(old, found.word) else [found.word]


async def joined(hub: Hub, ours: str, theirs: str) -> tuple[str, list[str]]:
    """Join two commits' files; return the hash of the outcome, or the paths that conflict."""
    if (await hub.git("merge-base", ours, theirs, accepted=(0, 1))).status:
        return "", ["(they have no commit in common)"]
    said = await hub.git(
        *("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs), accepted=(0, 1)
    )
    words = [word for word in said.out.split(b"\0") if word]
    if said.status == 0:
        return words[0].decode(), []
    names = sorted(dict.fromkeys(words[1:]))
    return words[0].decode(), [shown(name) for name in names[:_MOST_CONFLICTS]]


async def standings(hub: Hub, asked: wire.AskStandings) -> wire.Standings:
    """Tell how changes stand to the base branch; nothing is moved, and no reference is made."""
    head = await hub.head()
    found: list[wire.Standing | None] = []
    for each in asked.changes:
        try:
            await hub.require(each.base, each.revision)
        except NotFound:
            found.append(None)
        else:
            found.append(await standing(hub, head, each.base, each.revision))
    return wire.Standings(changes=found)


async def standing(hub: Hub, head: str, base: str, revision: str) -> wire.Standing:
    """Tell how a change from one commit to another stands to the base branch's head."""
    if base == head:
        return wire.Standing(behind=0)
    _, conflicts = await joined(hub, head, revision)
    return wire.Standing(behind=await hub.count(base, head), conflicts=conflicts)


async def move(hub: Hub, asked: wire.MoveBase) -> wire.Moved:
    """Move the base branch forward from the head that was seen, and its folder with it.

    Raises:
        InvalidRequest: The new commit does not follow the old one.
        NotFound: A commit is not in the hub.
    """
    async with hub.locked("base"):
        await hub.require(asked.old, asked.new)
        head = await hub.head()
        if await hub.contains(head, asked.new):
            outcome = "moved"
        elif head != asked.old:
            outcome = "elsewhere"
        elif not await hub.contains(asked.new, asked.old):
            raise InvalidRequest("The base branch is only moved forward.", "not_forward")
        else:
            await hub.git("update-ref", hub.reference, asked.new, asked.old)
            head, outcome = asked.new, "moved"
        if outcome == "moved":
            await follow(hub)
        return wire.Moved(outcome=outcome, head=head)


async def follow(hub: Hub) -> None:
    """Bring the base's folder to the base branch's head; what git ignores there stays, if need be under
    another name.

    Its index tells which commit's files it has: it is written when they are all there. `base` is locked.
    """
    index, head = hub.index("base"), await hub.head()
    hub.base.mkdir(exist_ok=True)
    await _end_save(hub, head)
    if index.exists():
        # Not as it was when a folder was taken away, or is of another file system now.
        has = (await hub.git("write-tree", index=index)).word
        if has == await hub.tree_of(head):
            return
        await make_way(hub, has, head)
        try:
            # Keeps what was written there and is no commit yet, where the move does not touch it.
            await hub.git("read-tree", "-m", "-u", has, head, tree=hub.base, index=index)
        except Failed:
            await hub.git("read-tree", "--reset", "-u", head, tree=hub.base, index=index)
        begun(hub).unlink(missing_ok=True)
        return
    await hub.git("read-tree", "--reset", "-u", head, tree=hub.base, index=index)


async def save(hub: Hub, asked: wire.SaveOnBase) -> wire.SavedOnBase:
    """Make what was written in the base's folder a commit on the base branch.

    Raises:
        Conflict: The base branch moves just now.
    """
    async with hub.locked("base"):
        await follow(hub)
        head = await hub.head()
        draft = hub.index("base-draft")
        try:
            shutil.copyfile(hub.index("base"), draft)
            tree = await _saved(hub, asked.paths, draft)
            if tree == await hub.tree_of(head):
                return wire.SavedOnBase(commit=None)
            commit = await hub.commit(tree, [head], asked.message, asked.author)
            os.replace(draft, hub.index(f"{_SAVED}{commit}"))
        finally:
            draft.unlink(missing_ok=True)
        # From here on `follow` finds by that name what has become of a save that died.
        try:
            await hub.git("update-ref", hub.reference, commit, head)
        except Failed as error:
            raise Conflict("The base branch moved meanwhile: try again.", "base_moved") from error
        os.replace(hub.index(f"{_SAVED}{commit}"), hub.index("base"))
        return wire.SavedOnBase(commit=commit)


async def _end_save(hub: Hub, head: str) -> None:
    """Take up the index of a save that died, if its commit has joined the base branch; else forget it.

    Without it the files that it saved would lie in the way of their own commit.
    """
    index = hub.index("base")
    for left in index.parent.glob(f"{_SAVED}*"):
        commit = left.name.removeprefix(_SAVED)
        # 128: the commit is gone from the hub, so that nothing has joined.
        known = await hub.git("merge-base", "--is-ancestor", commit, head, accepted=(0, 1, 128))
        if known.status == 0 and index.exists():
            os.replace(left, index)
        else:
            left.unlink()


async def _saved(hub: Hub, paths: Sequence[str], index: Path) -> str:
    """Store some files of the base's folder; return the hash of all of its files then."""
    names = [raw(path).strip(b"/") for path in paths]
    listed = await hub.git(
        *("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", "--", *names),
        tree=hub.base,
        index=index,
    )
    if listed.out:
        # Not the paths as they were named: git refuses those that it ignores, and those that are gone.
        await hub.git(
            *("add", "--all", "--pathspec-from-file=-", "--pathspec-file-nul"),
            tree=hub.base,
            index=index,
            given=listed.out,
        )
    return (await hub.git("write-tree", index=index)).word


async def join(hub: Hub, theirs: str, message: str) -> tuple[str, str]:
    """Join another line of history into the base branch, as Vibe: forward where that is enough.

    `base` is locked.

    Returns:
        `same`, `forwarded`, `merged` or `diverged`, and the base branch's head then.
    """
    head = await hub.head()
    if await hub.contains(head, theirs):
        return "same", head
    if await hub.contains(theirs, head):
        outcome, new = "forwarded", theirs
    else:
        tree, conflicts = await joined(hub, head, theirs)
        if conflicts:
            return "diverged", head
        outcome, new = "merged", await hub.commit(tree, [head, theirs], message, VIBE)
    await hub.git("update-ref", hub.reference, new, head)
    await follow(hub)
    return outcome, new
