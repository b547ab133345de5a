"""How a workspace comes to be, of repositories as people have them."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest

from tests.workspace_services.git.rooms import PERSON, checkpoint, ignore, own_git, put_on_base, sound, tree
from vibe_app.errors import Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, changes, cloning, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspaces.runtimes.base import WorkspaceSpec


def source(folder: Path, *how: str) -> Path:
    folder.mkdir()
    own_git(folder, "init", "--quiet", "--initial-branch=main", *how)
    return folder


async def cloned(root: Path, of: Path, branch: str | None = None) -> Hub:
    wanted = WorkspaceSpec(uuid4(), f"file://{of}", branch).source("")
    await make_workspace(root, source=wanted, mark={}, progress=ignore)
    return Hub(root)


async def test_an_empty_one_has_a_commit_and_is_made_once(tmp_path: Path) -> None:
    root = tmp_path / "data/workspaces/1"
    for _ in range(2):
        await make_workspace(root, source=None, mark={}, progress=ignore)
    assert (
        own_git(root / "hub", "log", "--format=%an <%ae> %s")
        == "Vibe <vibe@localhost> Start of the workspace"
    )
    assert sorted(os.listdir(root)) == ["base", "hub", "tasks"]
    assert sorted(os.listdir(root.parent)) == [".1.layout", "1"]


async def test_a_clone_tells_its_progress(tmp_path: Path) -> None:
    of = source(tmp_path / "source")
    own_git(of, "commit", "--quiet", "--allow-empty", "--message=First")
    said: list[str] = []

    async def progress(sentence: str) -> None:
        said.append(sentence)

    wanted = WorkspaceSpec(uuid4(), f"file://{of}").source("")
    await make_workspace(tmp_path / "ws", source=wanted, mark={}, progress=progress)
    assert said[0] == "Cloning the repository"
    assert said[-1] == "Writing the repository's files"


async def test_a_clone_that_fails_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "workspaces/1"
    with pytest.raises(Unavailable, match="could not be cloned"):
        await cloned(root, tmp_path / "nowhere")
    assert not root.exists()
    # Tried again, with another address.
    of = source(tmp_path / "source")
    own_git(of, "commit", "--quiet", "--allow-empty", "--message=First")
    assert (await trees.look(await cloned(root, of))).branch == "main"


async def test_a_git_that_is_too_old_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def old(*_: object) -> bytes:
        return b"git version 2.34.1"

    monkeypatch.setattr(cloning.program, "run", old)
    with pytest.raises(
        Unavailable, match=r"A workspace needs git 2\.38 or newer, and this machine has 2\.34"
    ):
        await make_workspace(tmp_path / "ws", source=None, mark={}, progress=ignore)


@pytest.mark.parametrize("kind", ["empty", "sha256", "shallow", "single", "crlf", "odd"])
async def test_repositories_as_people_have_them(tmp_path: Path, kind: str) -> None:
    of = source(tmp_path / "source", *(["--object-format=sha256"] if kind == "sha256" else []))
    if kind != "empty":
        for turn in range(3):
            write(of, kind, turn)
            own_git(of, "add", "--all")
            own_git(of, "commit", "--quiet", f"--message={turn}")
        own_git(of, "branch", "other", "HEAD~1")
    if kind in ("shallow", "single"):
        more = ["--depth=1"] if kind == "shallow" else ["--single-branch"]
        own_git(tmp_path, "clone", "--quiet", "--bare", *more, f"file://{of}", "cut.git")
        of = tmp_path / "cut.git"
    hub = await cloned(tmp_path / "ws", of)
    folder = await tree(hub)
    assert own_git(folder, "status", "--porcelain") == ""
    untouched = await checkpoint(hub)
    assert (untouched.revision, untouched.written) == (None, False)
    (folder / "new").write_text("1")
    kept = await checkpoint(hub)
    assert kept.revision
    between = {"base": trees.base_of(hub, 1), "revision": kept.revision}
    told = await changes.diff(hub, wire.AskDiff(**between))
    assert [file.path for file in told.files] == ["new"]
    plan = await base.plan(hub, wire.PlanMerge(number=1, **between, message="m", author=PERSON))
    assert plan.new
    await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new))
    await put_on_base(hub, {"saved": "x"})
    await sound(hub)


def write(of: Path, kind: str, turn: int) -> None:
    (of / "a.txt").write_text(f"{turn}\n")
    if kind == "crlf":
        (of / ".gitattributes").write_text("*.txt text eol=crlf\n*.bin -text\nmixed text=auto\n")
        (of / "b.txt").write_bytes(b"one\r\ntwo\n")
        (of / "c.bin").write_bytes(b"one\r\n")
        (of / "mixed").write_bytes(b"one\r\ntwo\r\n")
    if kind == "odd":
        for name in (
            b"new\nline",
            b"\xff\xfe",
            b'"quoted"',
            b"back\\slash",
            b"Case",
            b"case",
            b" ",
            b"-x",
            b"a\tb",
        ):
            (of / os.fsdecode(name)).write_text(str(turn))
        (of / "deep").mkdir(exist_ok=True)
        for name, target in {
            "out": "/etc/passwd",
            "up": "../..",
            "loop": "loop",
            "deep/x": "nowhere",
        }.items():
            if not (of / name).is_symlink():
                (of / name).symlink_to(target)
        (of / "run.sh").write_text("#!/bin/sh\n")
        (of / "run.sh").chmod(0o755)
        (of / "no newline").write_text("x")
        (of / "binary").write_bytes(bytes(range(256)))
