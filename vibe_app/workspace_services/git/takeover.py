"""Takes over a workspace of the earlier layout, where one repository lay in the folder itself.

Its branches go to the hub, and the branch that was checked out is the base. What was not committed waits
in `found/` until it becomes a card's change. Everything else that was there stays in `.earlier/`. A file
beside the workspace, where no agent could ever write, says how far it has come: nothing in the folder
is believed, as agents could write all of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from vibe_app.errors import NotFound, Unavailable
from vibe_app.inside import Spot
from vibe_app.shapes import shaped
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import checkpoints, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Call, Failed, run

MADE, MOVING, TAKEN = "made", "moving", "taken"
_OURS = ".opencode"
_HEADS = "refs/heads/"
_USUAL = ("main", "master")
# Ignored files that people keep beside their code, such as `.env`; what builds make is larger, or a folder.
_MOST_IGNORED, _LARGEST_IGNORED = 200, 1 << 20
_LARGEST_HEAD = 4096


def state_file(root: Path) -> Path:
    """Beside the workspace, where no agent can write: how far its layout is."""
    return root.parent / f".{root.name}.layout"


def _state(root: Path) -> dict[str, str]:
    try:
        return shaped(dict[str, str], json.loads(state_file(root).read_text()))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise Unavailable(
            f"{state_file(root)} is damaged: it says how far the workspace's layout is.", "repository_damaged"
        ) from error


def _write(root: Path, state: str, taken: str = "") -> None:
    draft = state_file(root).with_name(f"{state_file(root).name}.new")
    draft.write_text(json.dumps({"state": state, "taken": taken}))
    os.replace(draft, state_file(root))


def gather(root: Path) -> Path | None:
    """Move what lies in a folder of the earlier layout out of the way; it may be called again and again.

    Returns:
        Where it lies now; None for a workspace that is of today's layout, or has nothing yet.

    Raises:
        OSError: Something cannot be moved.
        Unavailable: What says how far it has come is damaged.
    """
    state = _state(root)
    if not state:
        if not [name for name in os.listdir(root) if name != _OURS]:
            _write(root, MADE)
            return None
        state = {"state": MOVING, "taken": f".taken-{uuid4().hex}"}
        _write(root, **state)
    if state["state"] == MADE:
        return None
    taken = root / state["taken"]
    if state["state"] == MOVING:
        taken.mkdir(exist_ok=True)
        for name in os.listdir(root):
            if name not in (_OURS, taken.name):
                os.rename(root / name, taken / name)
        _write(root, TAKEN, taken.name)
    return taken


async def bring_history(hub: Hub, made: Path, taken: Path, call: Call) -> str:
    """Bring the branches of the earlier repository into a new hub, and name its base branch.

    Its own git directory is what an agent could write: git reads it as another repository, behind the
    guard, where it borrows from nowhere outside.

    Returns:
        A sentence on what could not be read; empty for none.
    """
    head = _head(taken)
    missing = ""
    for wanted in (f"+{_HEADS}*:{_HEADS}*", f"+{_HEADS}{head}:{_HEADS}{head}" if head else ""):
        try:
            if wanted:
                await _fetch(hub, made, taken, wanted, call)
            break
        except Failed as error:
            missing = f"The workspace's earlier history could not be read as a whole: {error}"
    listed = await run(made, call, "for-each-ref", "--format=%(refname)", _HEADS)
    branches = [line.removeprefix(_HEADS) for line in listed.decode("utf-8", "replace").splitlines()]
    if branches and head not in branches:
        head = next((name for name in (*_USUAL, *branches) if name in branches), branches[0])
    with suppress(Failed):
        await run(made, call, "check-ref-format", f"{_HEADS}{head}")
        await run(made, call, "symbolic-ref", "HEAD", f"{_HEADS}{head}")
    return missing


async def _fetch(hub: Hub, made: Path, taken: Path, wanted: str, call: Call) -> None:
    # The files may be of another user, where a pod was given another one.
    trusting = made.parent / "trusting"
    trusting.write_text("[safe]\n\tdirectory = *\n")
    env = {"GIT_ALLOW_PROTOCOL": "file", "GIT_CONFIG_GLOBAL": str(trusting)}
    config = (("core.alternateRefsCommand", ""), ("uploadpack.packObjectsHook", ""))
    guarded = Call(call.mark, config, env, before=hub.guard((made.parent,), (taken,)))
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    source = str(taken / ".git")
    await run(made, guarded, f"--git-dir={made}", *fetch, "--upload-pack=git-upload-pack", source, wanted)


def _head(taken: Path) -> str:
    """The branch that was checked out; empty where that cannot be known."""
    with suppress(OSError):
        said = Spot(taken, (".git", "HEAD")).read(_LARGEST_HEAD).decode("utf-8", "replace").strip()
        if said.startswith(f"ref: {_HEADS}"):
            return said.removeprefix(f"ref: {_HEADS}")
    return ""


async def finish(hub: Hub, taken: Path) -> None:
    """Have what was not committed wait, once the hub and the base's folder are there. `base` is locked."""
    if checkpoints.is_folder(taken):
        os.rename(taken, hub.found)
    if checkpoints.is_folder(hub.found):
        base = await hub.head()
        for path in await asyncio.to_thread(checkpoints.waiting_for, hub.found):
            # Pipes: nothing is in them.
            os.unlink(os.path.join(os.fsencode(hub.found), path))
        await asyncio.to_thread((hub.path / "vibe-found").write_text, f"{base}\n")
        await _bring_ours(hub, base)
        await _copy_ignored(hub)
        seen = await checkpoints.look(hub, hub.found, hub.index("found"), base)
        if seen.tree == await hub.tree_of(base) and not seen.left_out:
            _keep_aside(hub, hub.found, "files")
    _write(hub.root, MADE)


async def _bring_ours(hub: Hub, base: str) -> None:
    """Write a team's own files in `.opencode` among the others: the folder itself stayed where it was."""
    index = hub.index("found")
    index.unlink(missing_ok=True)
    await hub.git("read-tree", base, index=index)
    listed = await hub.git("ls-files", "-z", "--", _OURS, index=index)
    if listed.out:
        words = ("checkout-index", "-z", "--stdin", "--force")
        await hub.git(*words, tree=hub.found, index=index, given=listed.out)


async def _copy_ignored(hub: Hub) -> None:
    """Copy small files that git ignores to the base's folder, from where trees can be given them."""
    index = hub.index("found")
    which = ("--others", "--ignored", "--exclude-standard", "--directory")
    listed = await hub.git("ls-files", "-z", *which, tree=hub.found, index=index, guarded=True)
    names = [name for name in listed.out.split(b"\0") if name and not name.endswith(b"/")]
    for name in names[:_MOST_IGNORED]:
        way = os.fsdecode(name).split("/")
        with suppress(OSError):
            if Spot(hub.found, tuple(way)).stat().st_size <= _LARGEST_IGNORED:
                trees.copy_one(hub.found, hub.base, way)


def _keep_aside(hub: Hub, path: Path, name: str) -> None:
    """Keep something of the earlier layout that nothing of today's needs; people may remove it."""
    earlier = hub.root / ".earlier"
    earlier.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        os.rename(path, earlier / (name if not (earlier / name).exists() else f"{name}-{uuid4().hex[:8]}"))


async def adopt(hub: Hub, number: int, asked: wire.AdoptFound) -> wire.Adopted:
    """Make the work that was found a card's tree, and keep it.

    Raises:
        NotFound: Nothing was found, or it has been another card's.
    """
    async with hub.locked("found"), hub.locked(number):
        if checkpoints.is_folder(hub.found):
            await _move_in(hub, number)
        elif not trees.base_of(hub, number):
            raise NotFound("No work of an earlier layout waits here.", "nothing_found")
        checkpoints.present(hub, number)
        base = trees.base_of(hub, number)
        wanted = wire.TakeCheckpoint(base=base, message=asked.message)
        kept = await checkpoints.keep(hub, number, wanted)
        return wire.Adopted(base=base, revision=kept.revision, left_out=kept.left_out)


async def _move_in(hub: Hub, number: int) -> None:
    """Make `found` the card's tree. Only its last step takes `found` away, so that all is done again."""
    base = (hub.path / "vibe-found").read_text().strip()
    draft = hub.draft()
    try:
        own = await trees.give_git(hub, draft, base)
        await trees.give_index(hub, own, base)
        _keep_aside(hub, hub.found / ".git", "git")
        os.rename(own, hub.found / ".git")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    hub.throw_away(hub.tree(number))
    with suppress(FileNotFoundError):
        os.replace(hub.index("found"), hub.index(number))
    trees.mark(hub, number, base)
    os.rename(hub.found, hub.tree(number))
    hub.empty_trash()
