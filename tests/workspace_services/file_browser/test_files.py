"""What the file browser does with files: listing, reading in parts, writing whole or not at all, removing."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from email.utils import format_datetime
from pathlib import Path

import pytest

from vibe_app.errors import Conflict, InvalidRequest, NotFound, TooLarge, Unavailable
from vibe_app.wire import iso
from vibe_app.wire.files import FileEntry, FilePath, FilePut
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.reading import (
    list_folder,
    open_file,
    read_file,
    version_of,
    written,
)
from vibe_app.workspace_services.file_browser.removing import delete, tidy
from vibe_app.workspace_services.file_browser.writing import Draft, make_folder, move

LIMIT = 1000


def write(workspace: Workspace, path: str, content: bytes, **how: object) -> FilePut:
    """Write a file in two pieces."""
    draft = Draft(workspace, LIMIT)
    try:
        for piece in (content[:3], content[3:]):
            draft.write(piece)
        return draft.put(path, **how)  # type: ignore[arg-type]
    finally:
        draft.close()


def drafts(folder: Path) -> list[str]:
    return os.listdir(folder / ".opencode" / "drafts")


def test_a_folder_lists_folders_first_and_page_by_page(folder: Path, workspace: Workspace) -> None:
    listing = list_folder(workspace, "")
    names = [entry.name for entry in listing.entries]
    assert names[0] == "src"
    assert names[1:] == sorted(names[1:])
    assert not {".git", ".opencode"} & set(names)
    kinds = {entry.name: (entry.type, entry.leads_to) for entry in listing.entries}
    assert kinds["pipe"] == kinds["socket"] == ("other", None)
    assert kinds["in"] == ("symlink", "file")
    assert kinds["self"] == ("symlink", "directory")
    for gone in ("out", "root", "above", "loop", "dangling", "hidden", "neighbour"):
        assert kinds[gone] == ("symlink", None)
    pages = [list_folder(workspace, "", page, 4) for page in range(1, 8)]
    assert [entry.name for page in pages for entry in page.entries] == names
    assert {page.total_count for page in pages} == {len(names)}
    inner = list_folder(workspace, "absolute")
    assert (inner.path, inner.entries[0].path) == ("src", "src/deep")
    assert inner.entries[0].modified.endswith("Z")


def test_a_folder_of_many_files(workspace: Workspace, folder: Path) -> None:
    (folder / "many").mkdir()
    for number in range(3000):
        (folder / "many" / f"{number:04}").touch()
    listing = list_folder(workspace, "many", page=3, page_size=1000)
    assert (listing.total_count, listing.entries[-1].name) == (3000, "2999")


@pytest.mark.parametrize(("seconds", "year"), [(10**13, 9999), (-(10**13), 1)])
def test_a_time_that_no_calendar_has(seconds: int, year: int) -> None:
    # Such as `touch -d @9999999999999` leaves behind on a disk that keeps it (tmpfs, XFS, btrfs).
    moment = written(os.stat_result([0] * 8 + [seconds, 0]))
    assert moment.year == year
    assert FileEntry(name="a", path="a", type="file", size=0, modified=iso(moment))
    assert f" {year:04} " in format_datetime(moment, usegmt=True)


def test_names_in_any_encoding_are_listed_read_and_removed(folder: Path, workspace: Workspace) -> None:
    for name in (b"\xff\xfe", b"a\nb", b"back\\slash", "ünï".encode(), b" ", b"-rf", b"x\x1b[31m"):
        (folder / "src" / os.fsdecode(name)).write_bytes(name)
    for entry in list_folder(workspace, "src").entries:
        if entry.type == "file" and entry.name != "file":
            opened = open_file(workspace, entry.path)
            assert os.read(opened.descriptor, 100) == opened.name
            os.close(opened.descriptor)
            delete(workspace, entry.path)
    assert sorted(os.listdir(folder / "src")) == ["deep", "file"]


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_files_up_to_the_limit_are_written_and_read(workspace: Workspace, size: int) -> None:
    content = b"x" * size
    written = write(workspace, "new", content)
    assert written == FilePut(path="new", size=size, version=version_of(content), created=True)
    read = read_file(workspace, "new", LIMIT)
    assert (read.size, read.content, read.version) == (size, "x" * size, written.version)


def test_over_the_limit_nothing_is_written_or_read_whole(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(TooLarge):
        write(workspace, "new", b"x" * (LIMIT + 1))
    assert not (folder / "new").exists()
    assert drafts(folder) == []
    (folder / "large").write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(TooLarge):
        read_file(workspace, "large", LIMIT)
    part = read_file(workspace, "large", LIMIT, 0, 10_000)
    assert (len(part.content), part.size, part.version) == (LIMIT, LIMIT + 1, None)
    assert read_file(workspace, "large", LIMIT, 5000, 10).content == ""


def test_a_text_is_cut_between_characters(folder: Path, workspace: Workspace) -> None:
    text = "aä€😀" * 20
    (folder / "text").write_text(text)
    size = len(text.encode())
    read, at = "", 0
    while at < size:
        part = read_file(workspace, "text", LIMIT, at, 7)
        assert (part.encoding, part.offset) == ("utf-8", at)
        read += part.content
        at += len(part.content.encode())
    assert read == text
    assert read_file(workspace, "text", LIMIT, 2, 7).offset == 3  # the second byte of ä is left out
    (folder / "data").write_bytes(b"\0\xff" * 20)
    assert read_file(workspace, "data", LIMIT, 1, 5).model_dump() | {"content": ""} == {
        "path": "data",
        "size": 40,
        "offset": 1,
        "encoding": "base64",
        "content": "",
        "version": None,
    }


def test_a_version_guards_against_what_others_wrote(folder: Path, workspace: Workspace) -> None:
    first = write(workspace, "a", b"one")
    with pytest.raises(Conflict, match="exists already"):
        write(workspace, "a", b"two")
    second = write(workspace, "a", b"two", version=first.version)
    with pytest.raises(Conflict, match="changed since"):
        write(workspace, "a", b"three", version=first.version)
    assert (folder / "a").read_text() == "two"
    (folder / "a").write_text("one")
    # The same content is the same version, whoever wrote it.
    write(workspace, "a", b"four", version=first.version)
    (folder / "a").unlink()
    with pytest.raises(Conflict, match="deleted since"):
        write(workspace, "a", b"five", version=second.version)
    assert not (folder / "a").exists()
    assert drafts(folder) == []


def test_what_is_written_keeps_the_mode_and_goes_through_links(folder: Path, workspace: Workspace) -> None:
    (folder / "src" / "file").chmod(0o750)
    write(workspace, "in", b"new", overwrite=True)
    assert (folder / "in").is_symlink()
    assert (folder / "src" / "file").read_text() == "new"
    assert stat.S_IMODE((folder / "src" / "file").stat().st_mode) == 0o750


def test_missing_folders_are_made_only_when_asked(folder: Path, workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        write(workspace, "a/b/c", b"x")
    assert not (folder / "a").exists()
    write(workspace, "a/b/c", b"x", parents=True)
    assert make_folder(workspace, "d/e", parents=True) == FilePath(path="d/e")
    with pytest.raises(Conflict):
        make_folder(workspace, "d/e")


def test_a_disk_that_is_full(folder: Path, workspace: Workspace) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from vibe_app.errors import Unavailable
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.writing import Draft
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
draft = Draft(Workspace(Path(sys.argv[1])), 1000)
try:
    draft.write(b"x" * 101)
except Unavailable as error:
    print(error.code)
finally:
    draft.close()
"""
    python = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(python, capture_output=True, text=True, check=True)
    assert done.stdout == "disk_full\n"
    assert drafts(folder) == []


def test_something_else_where_drafts_are_kept(folder: Path, workspace: Workspace) -> None:
    (folder / ".opencode" / "drafts").symlink_to(folder.parent / "outside")
    with pytest.raises(Unavailable, match="restart the workspace"):
        write(workspace, "a", b"x")
    with pytest.raises(Unavailable):
        delete(workspace, "src")
    assert (folder / "src").is_dir()
    assert (folder.parent / "outside" / "file").exists()


def test_moving_overwrites_nothing(folder: Path, workspace: Workspace) -> None:
    (folder / "a").write_text("a")
    for path, to in (("a", "file"), ("src", "file"), ("a", "src"), ("src", "self"), ("in", "file")):
        with pytest.raises(Conflict):
            move(workspace, path, to)
    for path, to in (("src", "src/deep/x"), ("", "x"), ("src", ".git/x"), ("src/../a", "b")):
        with pytest.raises((InvalidRequest, NotFound)):
            move(workspace, path, to)
    with pytest.raises(NotFound):
        move(workspace, "missing", "b")
    assert move(workspace, "a", "src/b") == FilePath(path="src/b")
    assert move(workspace, "src", "lib/src", parents=True) == FilePath(path="lib/src")
    assert (folder / "lib" / "src" / "b").read_text() == "a"
    assert move(workspace, "out", "elsewhere") == FilePath(path="elsewhere")
    assert (folder / "elsewhere").is_symlink()


def test_deleting_removes_links_and_not_what_they_lead_to(folder: Path, workspace: Workspace) -> None:
    (folder / "src" / "out").symlink_to(folder.parent / "outside")
    for path in ("in", "out", "self", "pipe", "src"):
        delete(workspace, path)
        assert not os.path.lexists(folder / path)
    assert (folder.parent / "outside" / "deep" / "file").exists()
    assert drafts(folder) == []
    for path in ("", ".", ".git", ".opencode"):
        with pytest.raises((InvalidRequest, NotFound)):
            delete(workspace, path)
    with pytest.raises(NotFound):
        delete(workspace, "src")


def test_a_folder_deeper_than_any_path_is_deleted(folder: Path, workspace: Workspace) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    delete(workspace, "deep")
    assert not (folder / "deep").exists()
    assert drafts(folder) == []


def test_what_an_earlier_file_browser_left_is_tidied(folder: Path, workspace: Workspace) -> None:
    tidy(workspace)
    left = folder / ".opencode" / "drafts"
    (left / "half").write_text("x")
    (left / "folder" / "inner").mkdir(parents=True)
    (left / "link").symlink_to(folder.parent / "outside")
    (left / "folder" / "inner").chmod(0o500)
    tidy(workspace)
    assert drafts(folder) == []
    assert (folder.parent / "outside" / "file").exists()
    assert (folder / ".opencode" / "file").exists()


def test_a_disk_without_hard_links(
    folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    write(workspace, "a", b"x")
    with pytest.raises(Conflict):
        write(workspace, "a", b"y")
    assert move(workspace, "a", "b") == FilePath(path="b")
    with pytest.raises(Conflict):
        move(workspace, "b", "file")
    assert (folder / "b").read_text() == "x"
    assert drafts(folder) == []
