"""That nothing an agent puts into its tree runs with our rights, and nothing outside is read or written.

Each trap is first sprung by git as people use it, so that it is known to be one. Then every verb is done on a
tree that has it. Those that git has documented are in git-config(1), gitattributes(5) and githooks(5).
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workspace_services.git.rooms import (
    BUBBLEWRAP,
    PERSON,
    checkpoint,
    made,
    own_git,
    put_on_base,
    sound,
    tree,
)
from vibe_app.errors import VibeError
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, changes, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Failed

FILES = {"README.md": "Hello\n", "src/a.py": "a = 1\n", "b.txt": "b\n"}
SECRET = "outside: nobody's business\n"
HOOKS = [
    "pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "post-merge",
    "pre-push", "pre-rebase", "post-rewrite", "post-index-change", "reference-transaction", "pre-auto-gc",
    "update", "pre-receive", "post-receive", "post-update", "fsmonitor-watchman", "sendemail-validate",
]  # fmt: skip


@dataclass
class Place:
    """A tree with a trap in it.

    Args:
        folder: The tree.
        program: What must not run: it leaves traces wherever it can.
        outside: A folder that must not be read or written.
    """

    folder: Path
    program: Path
    outside: Path

    def config(self, *settings: str, at: str = ".") -> None:
        for setting in settings:
            name, _, value = setting.partition("=")
            own_git(self.folder / at, "config", name, value)

    def attributes(self, text: str, at: str = ".gitattributes") -> None:
        path = self.folder / at
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)


def fsmonitor(at: Place) -> None:
    at.config(f"core.fsmonitor={at.program}")


def included(at: Place) -> None:
    (at.folder / "evil.cfg").write_text(f"[core]\n\tfsmonitor = {at.program}\n")
    at.config("include.path=../evil.cfg")


def worktree_config(at: Place) -> None:
    at.config("core.repositoryformatversion=1", "extensions.worktreeConfig=true")
    (at.folder / ".git/config.worktree").write_text(f"[core]\n\tfsmonitor = {at.program}\n")


def hooks(at: Place) -> None:
    (at.folder / ".git/hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        (at.folder / ".git/hooks" / name).symlink_to(at.program)


def hooks_path(at: Place) -> None:
    hooks(at)
    (at.folder / ".git/hooks").rename(at.folder / "myhooks")
    at.config("core.hooksPath=myhooks")


def clean(at: Place) -> None:
    at.config(
        f"filter.evil.clean={at.program}", f"filter.evil.smudge={at.program}", "filter.evil.required=true"
    )
    at.attributes("* filter=evil\n")


def process(at: Place) -> None:
    at.config(f"filter.evil.process={at.program}")
    at.attributes("* filter=evil\n")


def hidden_attributes(at: Place) -> None:
    at.config(f"filter.evil.clean={at.program}", f"diff.evil.textconv={at.program}")
    at.attributes("* filter=evil diff=evil\n", ".git/info/attributes")


def lfs(at: Place) -> None:
    at.config(f"filter.lfs.clean={at.program}", f"filter.lfs.process={at.program}")
    at.attributes("*.txt filter=lfs diff=lfs merge=lfs\n")


def external_diff(at: Place) -> None:
    at.config(f"diff.external={at.program}")


def diff_command(at: Place) -> None:
    at.config(f"diff.evil.command={at.program}", f"diff.evil.textconv={at.program}")
    at.attributes("* diff=evil\n")


def merge_driver(at: Place) -> None:
    at.config(f"merge.evil.driver={at.program} %O %A %B", "merge.default=evil")
    at.attributes("* merge=evil\n")


def signing(at: Place) -> None:
    at.config("commit.gpgSign=true", f"gpg.program={at.program}")


def pager(at: Place) -> None:
    at.config(f"core.pager={at.program}", f"pager.log={at.program}", f"core.editor={at.program}")


def remotes(at: Place) -> None:
    at.config(
        f"remote.origin.uploadpack={at.program}", f"remote.origin.receivepack={at.program}",
        f"core.sshCommand={at.program}", f"core.gitProxy={at.program}", f"credential.helper=!{at.program}",
        f"core.askPass={at.program}", f"core.alternateRefsCommand={at.program}",
        f"uploadpack.packObjectsHook={at.program}", "protocol.ext.allow=always",
        f"url.ext::{at.program} .insteadOf=https://",
    )  # fmt: skip


def replaced(at: Place) -> None:
    shutil.move(at.folder / ".git", at.folder / "real")
    (at.folder / ".git").write_text("gitdir: real\n")
    own_git(at.folder, "config", "core.fsmonitor", str(at.program))


def linked(at: Place) -> None:
    shutil.move(at.folder / ".git", at.outside / "git")
    (at.folder / ".git").symlink_to(at.outside / "git")
    # What it borrows is elsewhere from there.
    (at.outside / "git/objects/info/alternates").write_text(f"{at.folder.parents[1]}/hub/objects\n")
    own_git(at.folder, "config", "core.fsmonitor", str(at.program))


def nested(at: Place) -> None:
    (at.folder / "nested").mkdir()
    own_git(at.folder / "nested", "init", "--quiet")
    (at.folder / "nested/file").write_text("1\n")
    own_git(at.folder / "nested", "add", "file")
    own_git(at.folder / "nested", "commit", "--quiet", "--message=Inside")
    own_git(at.folder, "add", "nested")
    (at.folder / "nested/file").write_text("2\n")


def nested_fsmonitor(at: Place) -> None:
    nested(at)
    at.config(f"core.fsmonitor={at.program}", at="nested")


def nested_filter(at: Place) -> None:
    nested(at)
    at.config(f"filter.evil.clean={at.program}", at="nested")
    at.attributes("* filter=evil\n", "nested/.gitattributes")


def nested_elsewhere(at: Place) -> None:
    nested_filter(at)
    shutil.move(at.folder / "nested/.git", at.outside / "inner")
    (at.folder / "nested/.git").write_text(f"gitdir: {at.outside}/inner\n")


def submodule(at: Place) -> None:
    nested(at)
    (at.folder / ".gitmodules").write_text(
        f'[submodule "nested"]\n\tpath = nested\n\turl = ext::{at.program}\n\tupdate = !{at.program}\n'
    )
    at.config(
        f"submodule.nested.update=!{at.program}", "submodule.recurse=true", "submodule.nested.active=true"
    )
    at.config(f"core.fsmonitor={at.program}", at="nested")


def other_worktree(at: Place) -> None:
    """Nothing runs; git as people use it reads and writes elsewhere."""
    at.config(f"core.worktree={at.outside}")
    at.config(f"core.fsmonitor={at.program}")


TRAPS: list[Callable[[Place], None]] = [
    fsmonitor, included, worktree_config, hooks, hooks_path, clean, process, hidden_attributes, lfs,
    external_diff, diff_command, merge_driver, signing, remotes, replaced, linked, nested_fsmonitor,
    nested_filter, nested_elsewhere, submodule, other_worktree,
]  # fmt: skip
NAIVE = [
    ["status"], ["diff"], ["add", "--all"], ["commit", "--message=x", "--allow-empty"], ["merge", "side"],
    ["log", "-p", "-1"], ["fetch", "origin"], ["submodule", "update"], ["checkout", "-q", "--", "."],
]  # fmt: skip


@pytest.fixture(
    params=[BUBBLEWRAP, ""] if BUBBLEWRAP else [""], ids=lambda path: "walled" if path else "open"
)
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Hub:
    return await made(tmp_path / "workspace", FILES, request.param)


async def placed(hub: Hub, tmp_path: Path, number: int = 1) -> Place:
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "b.txt").write_text(SECRET)
    folder = await tree(hub, number)
    program = hub.tasks / "program"
    traces = [hub.path / "ran", hub.tasks / "ran", tmp_path / "ran", outside / "ran"]
    program.write_text("#!/bin/sh\n" + "".join(f": >> {trace}\n" for trace in traces) + "exit 0\n")
    program.chmod(0o755)
    return Place(folder, program, outside)


def has_run(hub: Hub, tmp_path: Path) -> bool:
    found = [Path(folder, "ran") for folder, _, files in os.walk(tmp_path) if "ran" in files]
    for path in found:
        path.unlink()
    return bool(found)


def spring(at: Place) -> None:
    """Use git in the tree as people do, with a branch beside to be merged."""
    head = own_git(at.folder, "rev-parse", "HEAD", status=None)
    own_git(at.folder, "branch", "side", status=None)
    (at.folder / "b.txt").write_text("mine\n")
    own_git(at.folder, "commit", "--quiet", "--all", "--message=Mine", status=None)
    own_git(at.folder, "checkout", "--quiet", "side", status=None)
    (at.folder / "b.txt").write_text("theirs\n")
    own_git(at.folder, "commit", "--quiet", "--all", "--message=Theirs", status=None)
    own_git(at.folder, "checkout", "--quiet", "main", status=None)
    for command in NAIVE:
        (at.folder / "b.txt").write_text(f"{command}\n")
        own_git(at.folder, *command, status=None)
    own_git(at.folder, "update-ref", "refs/heads/main", head, status=None)


async def every_verb(hub: Hub, number: int, before: str) -> None:
    """Do all that is done with a card's tree; refusals in words are as good as answers."""
    kept = await checkpoint(hub, number)
    (hub.tree(number) / "later").write_text("later")
    again = await checkpoint(hub, number, kept.revision)
    assert kept.revision
    assert again.revision
    between = {"base": before, "revision": again.revision}
    listed = await changes.diff(hub, wire.AskDiff(**between))
    await changes.patches(hub, wire.AskPatches(**between))
    for file in listed.files:
        await changes.file(hub, wire.AskFile(**between, path=file.path, old_path=file.old_path))
        try:
            _, content = await changes.blob(hub, wire.AskBlob(commit=again.revision, path=file.path))
            assert SECRET.encode() not in b"".join([piece async for piece in content])
        except VibeError:
            continue
    plan = await base.plan(
        hub, wire.PlanMerge(number=number, **between, message="Accepted", author=PERSON, strategy="merge")
    )
    if plan.new:
        await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new))
    await put_on_base(hub, {f"saved-{number}": "x"})
    await trees.look(hub)
    await trees.want(hub, number, wire.WantTree(revision=again.revision))
    shutil.rmtree(hub.tree(number))
    await trees.want(hub, number, wire.WantTree(revision=again.revision, copied=["b.txt", ".env"]))
    try:
        await trees.drop(hub, number, wire.DropTree(revision=again.revision))
    except VibeError:
        await trees.drop(hub, number, wire.DropTree(anyway=True))


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
async def test_no_program_of_the_trees_runs(hub: Hub, tmp_path: Path, trap: Callable[[Place], None]) -> None:
    before = await hub.head()
    at = await placed(hub, tmp_path)
    trap(at)
    spring(at)
    assert has_run(hub, tmp_path), "git as people use it does not spring this trap"
    await put_on_base(hub, {"b.txt": "moved\n"})
    shutil.rmtree(at.outside)
    await trees.drop(hub, 1, wire.DropTree(anyway=True))
    at = await placed(hub, tmp_path)
    trap(at)
    (at.folder / "b.txt").write_text("changed\n")
    (at.folder / "README.md").write_text("changed\n")
    outside = sorted(path.relative_to(at.outside) for path in at.outside.rglob("*"))
    await every_verb(hub, 1, before)
    assert not has_run(hub, tmp_path)
    assert sorted(path.relative_to(at.outside) for path in at.outside.rglob("*")) == outside
    assert (at.outside / "b.txt").read_text() == SECRET
    await nothing_of_outside(hub)
    await sound(hub)


async def nothing_of_outside(hub: Hub) -> None:
    secret = await hub.git("hash-object", "--stdin", given=SECRET.encode())
    held = await hub.git("cat-file", "--batch-check", given=secret.out)
    assert b"missing" in held.out


async def test_links_are_kept_as_links_and_never_followed(hub: Hub, tmp_path: Path) -> None:
    at = await placed(hub, tmp_path)
    for name in ("b.txt", "src"):
        path = at.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(at.outside / "b.txt" if name == "b.txt" else at.outside)
    (at.folder / ".gitignore").symlink_to(at.outside / "b.txt")
    (at.folder / ".gitattributes").symlink_to(at.outside / "b.txt")
    await every_verb(hub, 1, await hub.head())
    # The base has the links now: what is written there afterwards stays inside.
    (hub.base / "new").touch()
    await put_on_base(hub, {"new": "x"})
    await tree(hub, 2, copied=["src/b.txt", "b.txt"])
    assert (at.outside / "b.txt").read_text() == SECRET
    assert sorted(os.listdir(at.outside)) == ["b.txt"]
    await nothing_of_outside(hub)


def taken_away(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


async def test_a_commit_that_leads_a_folder_elsewhere_writes_nothing_there(hub: Hub, tmp_path: Path) -> None:
    """First a link is accepted, then a change has files below its name, and the other way round."""
    at = await placed(hub, tmp_path)
    revision: str | None = None
    for number, turn in enumerate(("link", "folder", "link"), start=1):
        folder = await tree(hub, number)
        path = folder / "turns"
        taken_away(path)
        if turn == "link":
            path.symlink_to(at.outside)
        else:
            path.mkdir()
            (path / "b.txt").write_text("written")
        revision = (await checkpoint(hub, number)).revision
        assert revision
        asked = wire.PlanMerge(
            number=number, base=await hub.head(), revision=revision, message="Accepted", author=PERSON
        )
        plan = await base.plan(hub, asked)
        assert plan.new
        await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new))
    assert (at.outside / "b.txt").read_text() == SECRET
    assert sorted(os.listdir(at.outside)) == ["b.txt"]


@pytest.mark.skipif(not BUBBLEWRAP, reason="without bubblewrap an agent of this machine is its user")
async def test_folders_that_are_exchanged_for_links_at_any_moment_give_nothing_away(tmp_path: Path) -> None:
    hub = await made(tmp_path / "workspace", {f"src/{i}/b.txt": "b\n" for i in range(200)})
    at = await placed(hub, tmp_path)
    for i in range(200):
        (at.outside / str(i)).mkdir()
        (at.outside / str(i) / "b.txt").write_text(SECRET)
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            (at.folder / "src").rename(at.folder / "away")
            (at.folder / "src").symlink_to(at.outside)
            (at.folder / "src").unlink()
            (at.folder / "away").rename(at.folder / "src")

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        revision: str | None = None
        # At least 25, and so many that one has gone through meanwhile: when it does is chance.
        for turn in range(500):
            if turn >= 25 and revision:
                break
            (at.folder / "turn").write_text(str(turn))
            try:
                revision = (await checkpoint(hub, 1, revision)).revision
            except (VibeError, Failed):
                continue
    finally:
        over.set()
        thread.join()
    assert revision
    await nothing_of_outside(hub)
    await sound(hub)
