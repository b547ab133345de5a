"""Makes the trees of cards, finds them again, and removes them.

A tree is a repository of the agent's own, which borrows the hub's objects. It is made where no agent
can write and appears whole. Only what lies in the hub says that it is ours: whatever
an agent puts in its place is moved away, and the tree is made anew from what was kept of it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vibe_app.errors import Conflict, InvalidRequest
from vibe_app.inside import folder
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.git import checkpoints
from vibe_app.workspace_services.git.hub import AGENT, Hub

_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OBJECTS = "../../../../hub/objects\n"
_NAMED = 10


async def look(hub: Hub) -> wire.Repository:
    """Tell how the repository is."""
    numbers = [int(name) for name in os.listdir(hub.path / "vibe-trees") if name.isdecimal()]
    return wire.Repository(
        branch=hub.branch(),
        head=await hub.head(),
        trees=sorted(number for number in numbers if checkpoints.is_folder(hub.tree(number))),
        found=checkpoints.is_folder(hub.found),
    )


async def want(hub: Hub, number: int, asked: wire.WantTree) -> wire.Tree:
    """Make a card's tree, or find it again.

    Raises:
        InvalidRequest: A path to be copied is none.
        NotFound: A commit that is named is not in the hub.
        Unavailable: The disk is full, or git cannot work.
    """
    async with hub.locked(number):
        known = base_of(hub, number)
        if known and checkpoints.is_folder(hub.tree(number)):
            return wire.Tree(base=known, made=False, notices=await _mended(hub, number, known))
        await hub.require(asked.base, asked.revision)
        base = asked.base or known or await hub.head()
        notices = await make(hub, number, base, asked.revision, asked.copied)
        return wire.Tree(base=base, made=True, restored=bool(known or asked.revision), notices=notices)


async def _mended(hub: Hub, number: int, base: str) -> list[str]:
    """Give a tree whose agent removed its repository another; return a sentence if that was so."""
    tree = os.open(hub.tree(number), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if ".git" in os.listdir(tree):
            return []
        draft = hub.draft()
        try:
            own = await give_git(hub, draft, base)
            await give_index(hub, own, base)
            os.rename(own, ".git", dst_dir_fd=tree)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    finally:
        os.close(tree)
    return ["The card's own repository was removed from its files: it has a new one, without its commits."]


def base_of(hub: Hub, number: int) -> str:
    """The commit at which a card's tree began; empty where none of ours is known."""
    try:
        return hub.marker(number).read_text().strip()
    except FileNotFoundError:
        return ""


async def make(hub: Hub, number: int, base: str, revision: str | None, copied: Sequence[str]) -> list[str]:
    """Make a tree in place of whatever is there; return sentences on what could not be copied."""
    draft = hub.draft()
    try:
        tree, index = draft / "tree", draft / "index"
        tree.mkdir()
        # The tree is still ours alone, so git may check files out there.
        await hub.git("read-tree", "--reset", "-u", revision or base, tree=tree, index=index)
        own = await give_git(hub, draft, base)
        if revision is None:
            shutil.copyfile(index, own / "index")
        else:
            # For the agent's own git what was kept is not committed: it differs from its branch.
            await give_index(hub, own, base, tree)
        os.rename(own, tree / ".git")
        notices = _copy(hub.base, tree, copied)
        hub.throw_away(hub.tree(number))
        os.replace(index, hub.index(number))
        os.rename(tree, hub.tree(number))
        mark(hub, number, base)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    hub.empty_trash()
    return notices


def mark(hub: Hub, number: int, base: str) -> None:
    """Write down that a card's tree is ours."""
    marker = hub.marker(number)
    draft = marker.with_name(f"{number}.new")
    draft.write_text(f"{base}\n")
    os.replace(draft, marker)


async def give_git(hub: Hub, draft: Path, base: str) -> Path:
    """Make the repository of a tree's own, with the base branch at `base`, and return where it is.

    It is written by hand, which is a few files: `git clone --shared` takes longer, and borrows nothing
    from a hub whose history is cut short. It has no index yet.

    Args:
        hub: Whose objects it borrows, from where it will be.
        draft: Where it is made.
        base: Where its branch is.
    """
    own = draft / "git"
    for way in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (own / way).mkdir(parents=True)
    branch = hub.branch()
    (own / "HEAD").write_text(f"ref: refs/heads/{branch}\n")
    (own / "config").write_text(_config(hub, branch, len(base)))
    (own / "objects/info/alternates").write_text(_OBJECTS)
    listed = await hub.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", "refs/tags/")
    refs = [f"{base} refs/heads/{branch}".encode()]
    for line in listed.out.splitlines():
        commit, _, name = line.partition(b" ")
        if name.startswith(b"refs/heads/"):
            refs.append(commit + b" refs/remotes/origin/" + name.removeprefix(b"refs/heads/"))
        else:
            refs.append(line)
    (own / "packed-refs").write_bytes(b"".join(line + b"\n" for line in refs))
    with suppress(FileNotFoundError):
        shutil.copyfile(hub.path / "shallow", own / "shallow")
    return own


async def give_index(hub: Hub, own: Path, base: str, tree: Path | None = None) -> None:
    """Give a tree's repository an index of its base, over files that are others.

    Args:
        hub: Whose objects it borrows.
        own: The repository.
        base: The commit.
        tree: The files, where no agent has had them: then it is known at once which are the base's.
    """
    index = own / "index"
    await hub.git("read-tree", base, index=index)
    if tree is not None:
        await hub.git("update-index", "-q", "--refresh", tree=tree, index=index, accepted=(0, 1))


def _config(hub: Hub, branch: str, digits: int) -> str:
    longer = digits > 40
    lines = ["[core]", f"repositoryformatversion = {int(longer)}", "filemode = true", "bare = false"]
    lines += ["logallrefupdates = true"]
    if longer:
        lines += ["[extensions]", "objectFormat = sha256"]
    lines += ['[remote "origin"]', f"url = {_quoted(str(hub.path))}"]
    lines += ["fetch = +refs/heads/*:refs/remotes/origin/*"]
    lines += [f"[branch {_quoted(branch)}]", "remote = origin", f"merge = {_quoted(f'refs/heads/{branch}')}"]
    lines += ["[user]", f"name = {AGENT.name}", f"email = {AGENT.email}"]
    return "".join(f"{line}\n" if line.startswith("[") else f"\t{line}\n" for line in lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _copy(base: Path, tree: Path, copied: Sequence[str]) -> list[str]:
    """Copy files from the base's folder; return sentences on those that cannot be."""
    notices: list[str] = []
    for text in copied:
        way = [part for part in os.fsdecode(raw(text)).split("/") if part not in ("", ".")]
        if not way or ".." in way or text.startswith("/") or ".git" in (part.lower() for part in way):
            raise InvalidRequest(
                f"{text[:200] or 'An empty path'} cannot be copied: the path must stay inside the project.",
                "outside_workspace",
            )
        try:
            copy_one(base, tree, way)
        except FileNotFoundError:
            notices.append(f"{text} was not copied: there is none in the base's files.")
        except OSError as error:
            # A link on the way, a folder, a file of the repository's own in its place.
            notices.append(f"{text} was not copied: {_reason(error)}.")
    return notices


def _reason(error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return "the branch has it"
    return "it is no plain file" if not isinstance(error, PermissionError) else "it cannot be read"


def copy_one(base: Path, tree: Path, way: list[str]) -> None:
    """Copy one file to where there is none, on both sides through no link.

    Raises:
        OSError: It is no plain file, or one of more than `LARGEST_FILE`; or something is there.
    """
    with folder(base, way[:-1]) as above:
        source = os.open(way[-1], os.O_RDONLY | _FILE, dir_fd=above)
    with os.fdopen(source, "rb") as file:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode) or found.st_size > wire.LARGEST_FILE:
            raise OSError(0, "no plain file")
        for depth in range(1, len(way)):
            with folder(tree, way[: depth - 1]) as above, suppress(FileExistsError):
                os.mkdir(way[depth - 1], dir_fd=above)
        with folder(tree, way[:-1]) as above:
            made = os.open(
                way[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, found.st_mode & 0o777, dir_fd=above
            )
        with os.fdopen(made, "wb") as copy:
            shutil.copyfileobj(file, copy)


async def drop(hub: Hub, number: int, asked: wire.DropTree) -> None:
    """Remove a card's tree. The references to what was kept of it stay.

    Raises:
        Conflict: It holds what was not kept (`would_be_lost`).
        NotFound: A commit that is named is not in the hub.
    """
    async with hub.locked(number):
        await hub.require(asked.base, asked.revision)
        known = base_of(hub, number)
        if known and not asked.anyway and checkpoints.is_folder(hub.tree(number)):
            await _nothing_lost(hub, number, asked.revision or asked.base or known)
        hub.marker(number).unlink(missing_ok=True)
        hub.throw_away(hub.tree(number))
        hub.index(number).unlink(missing_ok=True)
    hub.empty_trash()


async def _nothing_lost(hub: Hub, number: int, kept: str) -> None:
    found = await checkpoints.look(hub, hub.tree(number), hub.index(number), kept)
    listed = await hub.git("diff-tree", "-r", "-z", "--no-renames", "--name-only", kept, found.tree)
    names = [shown(name) for name in listed.out.split(b"\0") if name]
    names += [left.path for left in found.left_out]
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise Conflict(
            f"The card's tree holds what was not kept: {', '.join(names[:_NAMED])}{more}.", "would_be_lost"
        )
