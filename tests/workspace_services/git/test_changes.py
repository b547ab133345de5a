"""What is told of a change: its files, their patches and texts, and files of a commit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workspace_services.git.rooms import checkpoint, made, own_git, tree
from vibe_app.errors import InvalidRequest, NotFound
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import changes, trees
from vibe_app.workspace_services.git.hub import Hub

FILES = {
    "a.txt": "one\ntwo\n", "gone.txt": "x\n", "old name": "".join(f"{i}\n" for i in range(50)),
    "mode.sh": "#!\n",
    "link me": "text\n", "z": "diff --git a/x b/x\n", ".gitattributes": "*.txt diff=evil\n",
}  # fmt: skip


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    return await made(tmp_path / "workspace", FILES)


async def change(hub: Hub) -> tuple[str, str]:
    folder = await tree(hub)
    (folder / "a.txt").write_text("one\nthree\nfour\n")
    (folder / "gone.txt").unlink()
    (folder / "old name").rename(folder / "new\nname")
    (folder / "mode.sh").chmod(0o755)
    (folder / "link me").unlink()
    (folder / "link me").symlink_to("/etc/passwd")
    (folder / "z").write_text("diff --git a/x b/x\n+++ b/y\n")
    (folder / "bin").write_bytes(b"\0\1\2")
    (folder / "empty").touch()
    (folder / "nested").mkdir()
    own_git(folder / "nested", "init", "--quiet")
    own_git(folder / "nested", "commit", "--quiet", "--allow-empty", "--message=x")
    (folder / os.fsdecode(b"\xff")).write_bytes(b"latin \xe9\n")
    kept = await checkpoint(hub)
    assert kept.revision
    return trees.base_of(hub, 1), kept.revision


async def test_every_kind_of_change_is_told(hub: Hub) -> None:
    base, revision = await change(hub)
    told = await changes.diff(hub, wire.AskDiff(base=base, revision=revision))
    shown = {
        file.path: (file.status.value, file.kind.value, file.additions, file.deletions) for file in told.files
    }
    assert shown == {
        "a.txt": ("modified", "file", 2, 1),
        "bin": ("added", "file", 0, 0),
        "empty": ("added", "file", 0, 0),
        "gone.txt": ("deleted", "file", 0, 1),
        "link me": ("type_changed", "symlink", 1, 1),
        "mode.sh": ("modified", "executable", 0, 0),
        "nested": ("added", "repository", 0, 0),
        "new\\x0aname": ("renamed", "file", 0, 0),
        "z": ("modified", "file", 1, 0),
        "\\xff": ("added", "file", 1, 0),
    }
    by_path = {file.path: file for file in told.files}
    assert by_path["new\\x0aname"].old_path == "old name"
    assert by_path["bin"].binary
    assert not by_path["a.txt"].binary
    assert by_path["mode.sh"].old_kind is wire.FileKind.FILE
    assert by_path["gone.txt"].blob == ""
    assert by_path["a.txt"].blob == own_git(hub.tree(1), "hash-object", "a.txt")
    assert (told.count, told.additions, told.deletions) == (10, 5, 3)


async def test_a_long_list_ends_early_and_counts_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    base, revision = await change(hub)
    monkeypatch.setattr(wire, "MOST_FILES", 2)
    told = await changes.diff(hub, wire.AskDiff(base=base, revision=revision))
    assert ([file.path for file in told.files], told.count, told.additions) == (["a.txt", "bin"], 10, 5)


async def test_patches_belong_to_their_files(hub: Hub) -> None:
    base, revision = await change(hub)
    asked = wire.AskPatches(base=base, revision=revision)
    told = (await changes.patches(hub, asked)).patches
    assert "-two\n+three\n+four\n" in told["a.txt"]
    assert told["z"].endswith(" diff --git a/x b/x\n++++ b/y\n")
    assert told["link me"].count("diff --git ") == 2
    assert "rename to" in told["new\\x0aname"]
    assert "+latin \ufffd\n" in told["\\xff"]
    assert "bin" not in told
    assert len(told) == 9
    small = (await changes.patches(hub, asked.model_copy(update={"limit": len(told["a.txt"])}))).patches
    assert list(small) == ["a.txt"]


async def test_one_file_comes_with_both_texts_and_more_context(hub: Hub) -> None:
    base, revision = await change(hub)
    asked = wire.AskFile(base=base, revision=revision, path="a.txt")
    told = await changes.file(hub, asked)
    assert (told.old_text, told.new_text, told.binary) == ("one\ntwo\n", "one\nthree\nfour\n", False)
    assert " one\n-two" in told.patch
    bare = await changes.file(hub, asked.model_copy(update={"context": 0}))
    assert "\n one\n" not in bare.patch
    renamed = await changes.file(
        hub, wire.AskFile(base=base, revision=revision, path="new\\x0aname", old_path="old name")
    )
    assert "rename from old name" in renamed.patch
    link = await changes.file(hub, wire.AskFile(base=base, revision=revision, path="link me"))
    assert link.new_text == "/etc/passwd"
    inner = await changes.file(hub, wire.AskFile(base=base, revision=revision, path="nested"))
    assert (inner.new_text, "+Subproject commit" in inner.patch) == (None, True)
    binary = await changes.file(hub, wire.AskFile(base=base, revision=revision, path="bin"))
    assert (binary.binary, binary.new_text) == (True, None)
    same = await changes.file(hub, wire.AskFile(base=base, revision=base, path="a.txt"))
    assert same.patch == ""
    with pytest.raises(NotFound):
        await changes.file(hub, wire.AskFile(base=base, revision=revision, path="nowhere"))


async def test_a_long_patch_comes_in_parts_that_end_with_lines(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await tree(hub)
    (folder / "long").write_text("".join(f"line {i}\n" for i in range(5000)))
    (folder / "wide").write_text("x" * 5000)
    revision, base = (await checkpoint(hub)).revision or "", trees.base_of(hub, 1)
    for path in ("long", "wide"):
        asked = wire.AskFile(base=base, revision=revision, path=path)
        whole = (await changes.file(hub, asked)).patch
        with monkeypatch.context() as patched:
            patched.setattr(wire, "LARGEST_TEXT", 1000)
            parts: list[str] = []
            offset: int | None = 0
            while offset is not None:
                part = await changes.file(hub, asked.model_copy(update={"offset": offset}))
                parts.append(part.patch)
                offset = part.next_offset
            assert part.new_text is None
        assert "".join(parts) == whole
        assert len(parts) > 4
        assert path == "wide" or all(part.endswith("\n") for part in parts)


async def test_a_file_of_a_commit_as_bytes(hub: Hub) -> None:
    base, revision = await change(hub)
    size, content = await changes.blob(hub, wire.AskBlob(commit=revision, path="bin"))
    assert (size, b"".join([piece async for piece in content])) == (3, b"\0\1\2")
    _, content = await changes.blob(hub, wire.AskBlob(commit=revision, path="link me"))
    assert b"".join([piece async for piece in content]) == b"/etc/passwd"
    _, content = await changes.blob(hub, wire.AskBlob(commit=base, path="gone.txt"))
    assert b"".join([piece async for piece in content]) == b"x\n"
    for path in ("gone.txt", "../hub/HEAD", "*"):
        with pytest.raises(NotFound):
            await changes.blob(hub, wire.AskBlob(commit=revision, path=path))
    with pytest.raises(InvalidRequest):
        await changes.blob(hub, wire.AskBlob(commit=revision, path="nested"))
