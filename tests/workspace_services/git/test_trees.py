"""How the trees of cards are made, found again, made anew, and removed."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from tests.waiting import eventually
from tests.workspace_services.git.rooms import checkpoint, ignore, made, own_git, put_on_base, sound, tree
from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import hub as module
from vibe_app.workspace_services.git import trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspaces.runtimes.base import WorkspaceSpec

FILES = {"README.md": "Hello\n", "src/a.py": "a = 1\n", ".gitignore": ".env\nbuild/\n"}
NOWHERE = "1" * 40


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    return await made(tmp_path / "workspace", FILES)


async def test_a_tree_is_a_repository_of_its_own_that_borrows_the_hubs_objects(hub: Hub) -> None:
    folder = await tree(hub)
    assert own_git(folder, "status", "--porcelain") == ""
    assert own_git(folder, "log", "--format=%s") == "Files\nStart of the workspace"
    assert own_git(folder, "branch", "--show-current") == "main"
    assert own_git(folder, "rev-parse", "origin/main") == await hub.head()
    assert own_git(folder, "config", "remote.origin.url") == str(hub.path)
    assert own_git(folder, "config", "--local", "user.name") == "OpenCode"
    assert (folder / ".git/objects/info/alternates").read_text() == "../../../../hub/objects\n"
    assert not list((folder / ".git/objects/pack").iterdir())
    own_git(folder, "commit", "--quiet", "--allow-empty", "--message=Mine")
    newer = await put_on_base(hub, {"more": "1\n"})
    own_git(folder, "fetch", "--quiet")
    assert own_git(folder, "rev-parse", "origin/main") == newer
    own_git(folder, "fsck", "--full")


async def test_making_it_again_changes_nothing(hub: Hub) -> None:
    first = await trees.want(hub, 7, wire.WantTree())
    (hub.tree(7) / "work").write_text("mine")
    again = await trees.want(hub, 7, wire.WantTree(revision=first.base))
    assert (first.made, again.made, again.base) == (True, False, first.base)
    assert (hub.tree(7) / "work").read_text() == "mine"
    assert (await trees.look(hub)).trees == [7]


async def test_one_that_died_before_it_was_marked_is_made_again(hub: Hub) -> None:
    folder = await tree(hub)
    hub.marker(1).unlink()
    (folder / "not ours").touch()
    (hub.root / ".new-old").mkdir()
    assert (await trees.want(hub, 1, wire.WantTree())).made
    assert not (folder / "not ours").exists()
    await eventually(lambda: not list(hub.root.glob(".trash-*")))


@pytest.mark.parametrize("damage", ["gone", "link", "file", "pipe"])
async def test_a_tree_that_the_agent_destroyed_is_made_anew_from_the_checkpoint(
    hub: Hub, tmp_path: Path, damage: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    folder = await tree(hub)
    (folder / "new").write_text("kept")
    (folder / "src/a.py").unlink()
    kept = await checkpoint(hub)
    shutil.rmtree(folder)
    match damage:
        case "link":
            folder.symlink_to(outside)
        case "file":
            folder.write_text("mine")
        case "pipe":
            os.mkfifo(folder)
        case _:
            pass
    found = await trees.want(hub, 1, wire.WantTree(revision=kept.revision))
    assert (found.made, found.restored) == (True, True)
    assert (folder / "new").read_text() == "kept"
    assert own_git(folder, "status", "--porcelain").split("\n") == ["D src/a.py", "?? new"]
    assert own_git(folder, "rev-parse", "HEAD") == found.base
    again = await checkpoint(hub, 1, kept.revision)
    assert (again.revision, again.written) == (kept.revision, False)
    assert (outside / "file").read_text() == "outside"


async def test_a_tree_without_its_repository_is_given_another(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    shutil.rmtree(folder / ".git")
    found = await trees.want(hub, 1, wire.WantTree())
    assert (found.made, len(found.notices)) == (False, 1)
    assert own_git(folder, "status", "--porcelain") == "?? new"
    assert (await trees.want(hub, 1, wire.WantTree())).notices == []


async def test_one_hub_is_not_worked_on_by_two_processes_at_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Hub(hub.root)
    async with hub.locked(1):
        with monkeypatch.context() as patched:
            patched.setattr(module, "_WAIT", 0.1)
            with pytest.raises(Unavailable, match="in use"):
                await trees.want(other, 2, wire.WantTree())
        waiting = asyncio.ensure_future(trees.want(other, 2, wire.WantTree()))
        assert (await trees.want(hub, 3, wire.WantTree())).made
        assert not waiting.done()
    assert (await waiting).made
    # Nobody is at work: nobody is in the way.
    assert (await trees.want(hub, 4, wire.WantTree())).made


@pytest.mark.parametrize("lock", ["vibe-index/1.lock", "refs/vibe/1/1.lock", "packed-refs.lock", "HEAD.lock"])
async def test_locks_of_a_git_that_died_are_removed(hub: Hub, lock: str) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    (hub.path / "vibe.lock").write_text("at work\n")
    (hub.path / lock).parent.mkdir(parents=True, exist_ok=True)
    (hub.path / lock).touch()
    assert (await checkpoint(Hub(hub.root))).written
    assert not (hub.path / lock).exists()


async def test_files_are_copied_and_never_through_a_link(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (hub.base / ".env").write_text("KEY=1")
    (hub.base / "build").mkdir()
    (hub.base / "build/link").symlink_to(tmp_path / "secret")
    (hub.base / "build/deep").mkdir()
    (hub.base / "build/deep/kept").write_text("2")
    (hub.base / "out").symlink_to(tmp_path)
    copied = [".env", "build/link", "build/deep/kept", "out/secret", "build", "nowhere", "README.md"]
    found = await trees.want(hub, 1, wire.WantTree(copied=copied))
    folder = hub.tree(1)
    assert (folder / ".env").read_text() == "KEY=1"
    assert (folder / "build/deep/kept").read_text() == "2"
    assert "link" not in os.listdir(folder / "build")
    assert "out" not in os.listdir(folder)
    assert [notice.split(" was not copied: ")[0] for notice in found.notices] == [
        "build/link",
        "out/secret",
        "build",
        "nowhere",
        "README.md",
    ]
    for path in ("../x", "/etc/passwd", ".git/config", ""):
        with pytest.raises(InvalidRequest):
            await trees.want(hub, 2, wire.WantTree(copied=[path]))
    assert (await trees.look(hub)).trees == [1]
    assert not list(hub.root.glob(".new-*"))


async def test_a_commit_that_is_not_there_is_said(hub: Hub) -> None:
    with pytest.raises(NotFound) as caught:
        await trees.want(hub, 1, wire.WantTree(base=NOWHERE))
    assert caught.value.code == "no_such_commit"


async def test_a_tree_is_removed_only_when_nothing_is_lost(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    (folder / ".env").write_text("ignored")
    with pytest.raises(Conflict, match="holds what was not kept: new") as caught:
        await trees.drop(hub, 1, wire.DropTree())
    assert caught.value.code == "would_be_lost"
    kept = await checkpoint(hub)
    await trees.drop(hub, 1, wire.DropTree(revision=kept.revision))
    assert not folder.exists()
    assert (await trees.look(hub)).trees == []
    assert (await hub.git("rev-parse", "refs/vibe/1/1")).word == kept.revision
    # Once more, and one that never was.
    for number in (1, 2):
        await trees.drop(hub, number, wire.DropTree())


async def test_what_was_left_out_counts_as_lost_unless_that_is_meant(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LARGEST_FILE", 100)
    folder = await tree(hub)
    (folder / "big").write_bytes(b"x" * 101)
    kept = await checkpoint(hub)
    assert kept.revision is None
    with pytest.raises(Conflict, match="big"):
        await trees.drop(hub, 1, wire.DropTree())
    await trees.drop(hub, 1, wire.DropTree(anyway=True))
    assert not folder.exists()


async def test_a_removed_tree_leaves_nothing_though_the_agent_closed_its_folders(
    hub: Hub, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    folder = await tree(hub)
    (folder / "closed/inner").mkdir(parents=True)
    (folder / "closed/inner/file").touch()
    (folder / "closed/link").symlink_to(outside)
    (folder / "closed/inner").chmod(0)
    (folder / "closed").chmod(0o500)
    await trees.drop(hub, 1, wire.DropTree(anyway=True))
    await eventually(lambda: sorted(os.listdir(hub.root)) == ["base", "hub", "tasks"])
    assert outside.stat().st_mode & 0o777 == 0o755


async def test_the_branch_may_have_an_odd_name_and_the_history_may_be_short(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    own_git(source, "init", "--quiet", '--initial-branch=feature/a"b')
    for text in ("1", "2", "3"):
        (source / "file").write_text(text)
        own_git(source, "add", ".")
        own_git(source, "commit", "--quiet", f"--message={text}")
    own_git(source, "tag", "-a", "-m", "Tag", "v1")
    own_git(tmp_path, "clone", "--quiet", "--bare", "--depth=1", f"file://{source}", "cut.git")
    spec = WorkspaceSpec(uuid4(), f"file://{tmp_path}/cut.git")
    await make_workspace(tmp_path / "ws", source=spec.source(""), mark={}, progress=ignore)
    hub = Hub(tmp_path / "ws")
    folder = await tree(hub)
    assert own_git(folder, "log", "--format=%s") == "3"
    assert own_git(folder, "branch", "--show-current") == 'feature/a"b'
    assert own_git(folder, "tag") == "v1"
    (folder / "file").write_text("4")
    assert (await checkpoint(hub)).written
    await sound(hub)
