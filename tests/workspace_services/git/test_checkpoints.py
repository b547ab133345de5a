"""That a checkpoint holds exactly what a `git add` without filters stores, whatever an agent leaves."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from tests.workspace_services.git.rooms import (
    BUBBLEWRAP,
    PERSON,
    checkpoint,
    content,
    made,
    own_git,
    sound,
    tree,
)
from vibe_app.errors import NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, checkpoints, forgetting, trees
from vibe_app.workspace_services.git.hub import Hub

FILES = {"README.md": "Hello\n", "src/a.py": "a = 1\n", "src/deep/b.py": "b = 2\n", ".gitignore": "*.log\n"}
NAMES = [
    b"plain", b"with space", b"new\nline", b'quo"te', b"it's", b"back\\slash", b"\xff\xfe",
    "Ünïcode".encode(), b"README.md", b"readme.md", b"src", b"a.py", b"-dash", b":colon", b"*.star",
    b"[b]", b"x.log", b"deep", b"tab\t", b"trailing ", b"#hash", b"!bang", b"~tilde", b"a.CRLF",
]  # fmt: skip
CONTENTS = [
    b"", b"x", b"one\ntwo\n", b"one\r\ntwo\r\n", b"no last newline\nhere", b"\0binary\0\xff", b"$Id$\n",
    b"x" * 70_000,
]  # fmt: skip
ATTRIBUTES = [
    b"* text=auto\n", b"*.py text eol=crlf\n", b"* filter=evil\n", b"* ident\n", b"* -text\n",
    b"plain working-tree-encoding=UTF-16\n", b"a\\\nb\n",
]  # fmt: skip


@pytest.fixture(
    params=[BUBBLEWRAP, ""] if BUBBLEWRAP else [""], ids=lambda path: "walled" if path else "open"
)
async def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Hub:
    return await made(tmp_path / "workspace", FILES, request.param)


def twin_of(hub: Hub, number: int, twin: Path) -> str:
    """What a plain git stores of the same files: the hash of the tree."""
    if not twin.exists():
        own_git(hub.root, "clone", "--quiet", str(hub.path), str(twin))
    for path in twin.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def special(folder: str, names: list[str]) -> list[str]:
        at_top = os.path.samefile(folder, hub.tree(number))
        modes = {name: os.lstat(os.path.join(folder, name)).st_mode for name in names}
        skipped = [name for name, mode in modes.items() if stat.S_ISFIFO(mode)]
        return [*skipped, *([".git"] if at_top else [])]

    shutil.copytree(hub.tree(number), twin, symlinks=True, dirs_exist_ok=True, ignore=special)
    own_git(twin, "add", "--all", "--ignore-errors", status=None)
    return own_git(twin, "write-tree")


async def test_a_checkpoint_holds_what_a_plain_add_stores_after_any_turns(hub: Hub, tmp_path: Path) -> None:
    for seed in range(12):
        chance = random.Random(seed)
        number, revision = seed + 1, None
        root = os.fsencode(await tree(hub, number))
        for _ in range(4):
            for _ in range(chance.randint(1, 8)):
                turn(root, chance)
            kept = await checkpoint(hub, number, revision)
            expected = twin_of(hub, number, tmp_path / f"twin-{number}")
            stored = await hub.tree_of(kept.revision or trees.base_of(hub, number))
            assert stored == expected, f"seed {seed}"
            revision = kept.revision
            again = await checkpoint(hub, number, revision)
            assert (again.revision, again.written) == (revision, False)
    await sound(hub)


def turn(root: bytes, chance: random.Random) -> None:
    """Do one thing in a tree, as an agent might; what cannot be done just now is left."""
    folders = [
        folder for folder, names, _ in os.walk(root) if b"/.git" not in folder and b"nested" not in folder
    ]
    folder = chance.choice(folders)
    path = os.path.join(folder, chance.choice(NAMES))
    what = chance.choice(TURNS)
    try:
        what(path, chance)
    except OSError:
        return


def _write(path: bytes, chance: random.Random) -> None:
    with open(path, "wb") as file:
        file.write(chance.choice(CONTENTS))


def _remove(path: bytes, chance: random.Random) -> None:
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def _folder(path: bytes, chance: random.Random) -> None:
    os.mkdir(path)
    _write(os.path.join(path, b"inner"), chance)


def _link(path: bytes, chance: random.Random) -> None:
    os.symlink(chance.choice([b"/etc/passwd", b"nowhere", b"..", b"src", b"/", b"\xff"]), path)


def _instead(path: bytes, chance: random.Random) -> None:
    """A folder for a file, a file for a folder, or a link to a folder that has the same."""
    if os.path.isdir(path) and chance.random() < 0.5:
        os.rename(path, path + b"-moved")
        os.symlink(os.path.basename(path) + b"-moved", path)
        return
    _remove(path, chance)
    chance.choice([_folder, _write])(path, chance)


def _rename(path: bytes, chance: random.Random) -> None:
    os.rename(path, chance.choice([path + b"2", path.swapcase() if b"/" not in path else path + b"3"]))


def _executable(path: bytes, chance: random.Random) -> None:
    os.chmod(path, chance.choice([0o755, 0o644]))


def _attributes(path: bytes, chance: random.Random) -> None:
    with open(os.path.join(os.path.dirname(path), b".gitattributes"), "wb") as file:
        file.write(chance.choice(ATTRIBUTES))


def _ignore(path: bytes, chance: random.Random) -> None:
    with open(os.path.join(os.path.dirname(path), b".gitignore"), "wb") as file:
        file.write(chance.choice([b"*.log\n", b"plain\n", b"src/\n", b"*\n!*.py\n", b""]))


def _pipe(path: bytes, chance: random.Random) -> None:
    os.mkfifo(path)


def _nested(path: bytes, chance: random.Random) -> None:
    inner = Path(os.fsdecode(os.path.join(os.path.dirname(path), b"nested")))
    inner.mkdir(exist_ok=True)
    if not (inner / ".git").exists():
        own_git(inner, "init", "--quiet")
    if chance.random() < 0.7:
        own_git(inner, "commit", "--quiet", "--allow-empty", "--message=Inside")
    (inner / "file").write_text(str(chance.random()))


def _agents_git(path: bytes, chance: random.Random) -> None:
    top = Path(os.fsdecode(path))
    while top.parent.name != "tasks":
        top = top.parent
    turns = [
        ["add", "--all"], ["commit", "--quiet", "--all", "--message=Mine"], ["stash"],
        ["checkout", "--quiet", "-B", "other"], ["gc", "--quiet", "--prune=now"],
        ["commit", "--quiet", "--amend", "--allow-empty", "--message=Other"],
        ["reset", "--soft", "HEAD"], ["config", "filter.evil.clean", "false"],
    ]  # fmt: skip
    if chance.random() < 0.1:
        shutil.rmtree(top / ".git", ignore_errors=True)
    elif (top / ".git").exists():
        own_git(top, *chance.choice(turns), status=None)


TURNS = [
    _write, _write, _write, _remove, _folder, _link, _instead, _rename, _executable, _attributes, _ignore,
    _pipe, _nested, _agents_git, _agents_git,
]  # fmt: skip


async def test_rounds_follow_each_other_and_a_repeated_call_makes_no_second(hub: Hub) -> None:
    folder = await tree(hub)
    base = trees.base_of(hub, 1)
    untouched = await checkpoint(hub)
    assert (untouched.revision, untouched.number, untouched.written) == (None, 0, False)
    (folder / "new").write_text("1")
    first = await checkpoint(hub)
    # The answer was lost: asked again with what is known, it is the same one.
    assert await checkpoint(hub) == first
    assert (first.number, first.written) == (1, True)
    (folder / "new").write_text("2")
    second = await checkpoint(hub, 1, first.revision)
    assert second.number == 2
    assert (await hub.git("rev-parse", f"{second.revision}^")).word == first.revision
    assert (await hub.git("rev-parse", f"{first.revision}^")).word == base
    assert (await hub.git("rev-parse", "refs/vibe/1/2")).word == second.revision
    said = await hub.git("show", "-s", "--format=%an, %cn, %B", second.revision or "")
    assert said.word == "OpenCode, Vibe, Round"


async def test_a_base_that_was_brought_in_becomes_a_parent(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    first = await checkpoint(hub)
    await tree(hub, 2)
    newer = await hub.commit(
        await hub.tree_of("HEAD"), [await hub.head()], "Newer", wire.Person(name="A", email="a")
    )
    asked = wire.TakeCheckpoint(base=newer, revision=first.revision, message="Merged")
    second = await checkpoints.take(hub, 1, asked)
    parents = (await hub.git("rev-parse", f"{second.revision}^@")).out.decode().split()
    assert parents == [first.revision, newer]
    third = await checkpoints.take(hub, 1, asked.model_copy(update={"revision": second.revision}))
    assert (third.revision, third.written) == (second.revision, False)


async def test_a_repository_in_a_tree_is_named_as_its_commits_are_in_no_checkpoint(hub: Hub) -> None:
    folder = await tree(hub)
    assert (await checkpoint(hub)).left_out == []
    inner = folder / "src" / "inner"
    inner.mkdir()
    own_git(inner, "init", "--quiet")
    own_git(inner, "commit", "--quiet", "--allow-empty", "--message=x")
    named = [wire.LeftOut(path="src/inner", why="it is a repository of its own")]
    kept = await checkpoint(hub)
    assert kept.left_out == named
    again = await checkpoint(hub, revision=kept.revision)
    assert (again.written, again.left_out) == (False, named)
    # A tree that is made anew has its folder, and nothing in it that could be lost.
    at = trees.base_of(hub, 1)
    await trees.drop(hub, 1, wire.DropTree(anyway=True))
    await trees.want(hub, 1, wire.WantTree(base=at, revision=kept.revision))
    assert (await checkpoint(hub, revision=kept.revision)).left_out == []


async def test_large_files_are_left_out_and_named_and_never_reach_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LARGEST_FILE", 2000)
    monkeypatch.setattr(wire, "LARGEST_TREE", 4000)
    folder = await tree(hub)
    (folder / "big\nname").write_bytes(b"x" * 2001)
    (folder / "README.md").write_bytes(b"y" * 2001)
    for name, size in {"one": 1900, "two": 1800, "three": 1700, "four": 10}.items():
        (folder / name).write_bytes(os.urandom(size))
    (folder / "ignored.log").write_bytes(b"z" * 9000)
    kept = await checkpoint(hub)
    assert {left.path: left.why for left in kept.left_out} == {
        "big\\x0aname": "it is larger than 0 MiB",
        "README.md": "it is larger than 0 MiB",
        "one": "what is new here is larger than 0 MiB together, and it is one of the largest",
    }
    held = await content(hub, kept.revision or "")
    assert "\ttwo\0" in held
    assert "\tone\0" not in held
    assert (await hub.git("show", f"{kept.revision}:README.md")).out == b"Hello\n"
    sizes = await hub.git("cat-file", "--batch-all-objects", "--batch-check=%(objectsize)")
    assert max(map(int, sizes.out.split())) < 2000


async def test_a_repository_without_a_commit_is_named_and_the_rest_is_kept(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "empty").mkdir()
    own_git(folder / "empty", "init", "--quiet")
    (folder / "other").write_text("kept")
    kept = await checkpoint(hub)
    assert [(left.path, left.why) for left in kept.left_out] == [
        ("empty/", "it is a repository without a commit")
    ]
    assert "\tother\0" in await content(hub, kept.revision or "")


async def test_a_pipe_that_git_would_wait_for_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = await tree(hub)
    os.mkfifo(folder / "src" / ".gitignore")
    monkeypatch.setattr(checkpoints, "_SUSPICIOUS", 0.2)
    with pytest.raises(Unavailable, match=r"src/\.gitignore is no file, and git waits for it: remove it"):
        await checkpoint(hub)
    os.unlink(folder / "src" / ".gitignore")
    (folder / "new").write_text("1")
    assert (await checkpoint(hub)).written


async def test_without_a_tree_there_is_no_checkpoint(hub: Hub) -> None:
    with pytest.raises(NotFound) as caught:
        await checkpoint_of_nothing(hub)
    assert caught.value.code == "tree_gone"
    folder = await tree(hub)
    shutil.rmtree(folder)
    folder.symlink_to("/etc")
    with pytest.raises(NotFound):
        await checkpoint_of_nothing(hub)


async def checkpoint_of_nothing(hub: Hub) -> None:
    await checkpoints.take(hub, 1, wire.TakeCheckpoint(base=await hub.head(), message="m"))


async def refs(hub: Hub, number: int = 1) -> list[str]:
    listed = await hub.git("for-each-ref", "--format=%(refname:lstrip=3)", f"refs/vibe/{number}/")
    return listed.out.decode().split()


async def test_what_one_change_left_is_let_go_of_and_nothing_of_another(hub: Hub) -> None:
    folder = await tree(hub)
    revision = None
    for text in ("1", "2"):
        (folder / "thrown").write_text(text)
        revision = (await checkpoint(hub, revision=revision)).revision
    await trees.drop(hub, 1, wire.DropTree(anyway=True))
    other = await tree(hub)
    (other / "kept").write_text("1")
    kept = (await checkpoint(hub)).revision
    second = await tree(hub, 2)
    (second / "kept").write_text("1")
    await checkpoint(hub, 2)
    assert await refs(hub) == ["1", "2", "3"]
    # A checkpoint of the newer change of which no row tells yet is none of the one that goes.
    (other / "kept").write_text("2")
    await checkpoint(hub, revision=kept)
    asked = wire.Forget(revision=revision, kept=[kept or ""])
    assert (await forgetting.forget(hub, 1, asked)).count == 2
    assert (await forgetting.forget(hub, 1, asked)).count == 0
    assert await refs(hub) == ["3", "4"]
    assert await refs(hub, 2) == ["1"]
    await hub.git("reflog", "expire", "--expire=all", "--all")
    await hub.git("prune", "--expire=now")
    # Nor is it a fault where all of it is removed already, on either side.
    assert (await forgetting.forget(hub, 1, asked)).count == 0
    assert (await forgetting.forget(hub, 1, wire.Forget(revision=kept, kept=["0" * 40]))).count == 1
    assert (await forgetting.forget(hub, 1, wire.Forget())).count == 1
    assert (await refs(hub), await refs(hub, 2)) == ([], ["1"])
    await sound(hub)


async def test_what_was_joined_into_the_base_is_not_let_go_of(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    kept = await checkpoint(hub)
    revision, message = kept.revision or "", "m"
    plan = await base.plan(
        hub,
        wire.PlanMerge(
            number=1, base=kept.base, revision=revision, strategy="merge", message=message, author=PERSON
        ),
    )
    await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new or ""))
    assert (await forgetting.forget(hub, 1, wire.Forget(revision=revision))).count == 0
    assert await refs(hub) == ["1"]
