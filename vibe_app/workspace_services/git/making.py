"""Makes a workspace: a hub, empty or cloned, with the base's folder and a place for the cards' trees.

The hub appears whole or not at all, and everything else is brought about from it: whatever dies here,
the next start goes on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from vibe_app.errors import Unavailable
from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.git import base, cloning, takeover
from vibe_app.workspace_services.git.checkout import note, notices
from vibe_app.workspace_services.git.cloning import Source
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Call, Failed, run

_BRANCH = "main"
# It joins commits without checking anything out (git merge-tree --write-tree).
_OLDEST_GIT = (2, 38)
_START = "Start of the workspace"
_LINK, _GITLINK = _ODD = (b"120000", b"160000")
_MOST_SUBMODULES = 100
_SUBMODULE = "The submodule {path} did not come along: the trees of cards are without submodules."


async def make_workspace(
    root: Path,
    *,
    source: Source | None,
    mark: Mapping[str, str],
    progress: Callable[[str], Awaitable[None]],
    bubblewrap: str = "",
) -> list[str]:
    """Make `root` a workspace with a hub, or bring one to the end that was begun.

    Args:
        root: Where it shall be; its parent is made if need be.
        source: What to clone, or None to begin empty.
        mark: Variables by which the git processes are recognised if this one dies.
        progress: Takes sentences while a clone goes on.
        bubblewrap: Path of the program that hides the rest of the machine from a git that reads what an
            agent wrote; empty where there is none.

    Returns:
        Sentences on what of the repository is not in the workspace, also where it was there already.

    Raises:
        InvalidRequest: The address may not be reached.
        Unavailable: git is missing or the repository cannot be cloned.
        OSError: The folder cannot be written.
    """
    new, root = _opened(root)
    hub = Hub(root, bubblewrap, mark)
    try:
        await cloning.need(root, hub.mark, _OLDEST_GIT, "A workspace")
        taken = await asyncio.to_thread(takeover.gather, root)
        if not hub.exists:
            await _make_hub(hub, source, progress, taken)
        async with hub.locked("base"):
            hub.tasks.mkdir(exist_ok=True)
            await progress("Writing the repository's files")
            await base.follow(hub)
            if taken is not None:
                await progress("Taking over what was not committed")
                await takeover.finish(hub, taken)
            await _note(hub)
    except Failed as error:
        raise Unavailable(f"The workspace's git repository could not be made: {error}") from error
    finally:
        if new:
            with suppress(OSError):
                os.rmdir(root)
                takeover.state_file(root).unlink()
    return notices(root)


def is_made(root: Path) -> bool:
    """Whether a workspace has its repository, in this layout or in the one of before."""
    return any((root / name).exists() for name in ("hub", ".git"))


def _opened(root: Path) -> tuple[bool, Path]:
    """Make the folder if need be; return whether it was, and where it really is."""
    new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    return new, root.resolve()


async def _make_hub(
    hub: Hub, source: Source | None, progress: Callable[[str], Awaitable[None]], taken: Path | None
) -> None:
    draft = hub.draft()
    made, call = draft / "hub", Call(mark=hub.mark)
    made.mkdir()
    try:
        if source and taken is None:
            await progress("Cloning the repository")
            await cloning.clone_bare(source, made, hub.mark, progress)
        else:
            await run(made, call, "init", "--quiet", "--bare", "--template=", f"--initial-branch={_BRANCH}")
        if taken is not None:
            await progress("Taking over the workspace's history")
            if missing := await takeover.bring_history(hub, made, taken, call):
                (made / "vibe-missing").write_text(missing)
        await _settle(made, call)
        os.rename(made, hub.path)
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


async def _note(hub: Hub) -> None:
    """Keep what of the repository is not in the workspace, the first time that its files are there."""
    done = hub.path / "vibe-noted"
    if done.exists():
        return
    index = hub.index("base")
    listed = await hub.git("ls-files", "-z", "--stage", index=index)
    entries = [entry.partition(b"\t") for entry in listed.out.split(b"\0") if entry]
    modes = {mode: [os.fsdecode(path) for meta, _, path in entries if meta[:6] == mode] for mode in _ODD}
    lfs = await hub.git(
        "ls-files", "-z", "--", cloning.LFS, tree=hub.base, index=index, env={"GIT_LITERAL_PATHSPECS": "0"}
    )
    pointers = [os.fsdecode(name) for name in lfs.out.split(b"\0") if name]
    cut = (hub.path / "shallow").exists()
    said = [_SUBMODULE.format(path=shown(os.fsencode(path))) for path in modes[_GITLINK][:_MOST_SUBMODULES]]
    said += await asyncio.to_thread(cloning.notable, hub.base, modes[_LINK], pointers, cut=cut)
    with suppress(FileNotFoundError):
        said.append((hub.path / "vibe-missing").read_text())
    note(hub.root, said)
    done.touch()


async def _settle(made: Path, call: Call) -> None:
    """Give a new hub a first commit if it has none, and the folders that are ours in it."""
    for name in ("vibe-index", "vibe-trees", "vibe-bin"):
        (made / name).mkdir(exist_ok=True)
    (made / "vibe-bin" / "git").symlink_to(shutil.which("true") or "/bin/true")
    head = await run(made, call, "symbolic-ref", "HEAD")
    branch = head.decode().strip()
    try:
        await run(made, call, "rev-parse", "--quiet", "--verify", branch)
    except Failed:
        tree = (await run(made, call, "hash-object", "-t", "tree", "-w", "/dev/null")).decode().strip()
        commit = (await run(made, call, "commit-tree", tree, "-m", _START)).decode().strip()
        await run(made, call, "update-ref", branch, commit)
    # What is left unreferenced may be what a tree borrows, or a plan of a merge.
    for name, value in (("gc.auto", "0"), ("gc.pruneExpire", "never")):
        await run(made, call, "config", name, value)
