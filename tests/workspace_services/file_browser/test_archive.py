"""An archive is whole, whatever happens to its folder meanwhile, and holds nothing from outside."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from vibe_app.errors import InvalidRequest, NotFound, TooLarge
from vibe_app.workspace_services.file_browser.archive import archive_of
from vibe_app.workspace_services.file_browser.places import Workspace

LIMIT = 1024 * 1024


def unpacked(pieces: list[bytes]) -> dict[str, str]:
    """Names of what an archive holds, with what a link leads to and what a file contains."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        found = {}
        for member in archive:
            if member.issym():
                found[member.name] = f"-> {member.linkname}"
            else:
                file = archive.extractfile(member)
                found[member.name] = file.read().decode() if file else "/"
        return found


def test_links_that_lead_elsewhere_and_special_files_are_left_out(workspace: Workspace) -> None:
    found = unpacked(list(archive_of(workspace, "", LIMIT).pieces()))
    assert found == {
        "workspace/file": "inside\n",
        "workspace/src": "/",
        "workspace/src/file": "inside\n",
        "workspace/src/deep": "/",
        "workspace/src/deep/file": "inside\n",
        "workspace/src/deep/up": "-> ../..",
        "workspace/in": "-> src/deep/../file",
        "workspace/self": "-> .",
        "workspace/loop": "-> loop",
        "workspace/dangling": "-> nowhere",
        "workspace/chain": "-> src/deep/up/in",
        # Its text stays inside; there is nothing at its end, as `.opencode` is left out.
        "workspace/hidden": "-> .opencode/file",
    }
    assert unpacked(list(archive_of(workspace, "src/deep", LIMIT).pieces())) == {"deep/file": "inside\n"}


def test_a_link_that_leads_out_by_another_one_is_left_out(folder: Path, workspace: Workspace) -> None:
    (folder / "p" / "q").mkdir(parents=True)
    (folder / "p" / "q" / "d").symlink_to("../..")
    (folder / "p" / "q" / "x").symlink_to("d/../../outside")
    found = unpacked(list(archive_of(workspace, "", LIMIT).pieces()))
    assert found["workspace/p/q/d"] == "-> ../.."
    assert "workspace/p/q/x" not in found


def test_the_system_s_own_tar_unpacks_names_modes_and_long_paths(
    folder: Path, workspace: Workspace, tmp_path: Path
) -> None:
    deep = folder / "src" / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / os.fsdecode(b"\xff\n")).write_bytes(os.urandom(300_000))
    (folder / "src" / "run").write_text("#!/bin/sh\n")
    (folder / "src" / "run").chmod(0o755)
    (folder / "src" / "empty").touch()
    packed = tmp_path / "packed.tar.gz"
    packed.write_bytes(b"".join(archive_of(workspace, "src", LIMIT).pieces()))
    target = tmp_path / "target"
    target.mkdir()
    subprocess.run(["tar", "xzf", packed], cwd=target, check=True, capture_output=True)
    inner = target / "src" / deep.relative_to(folder / "src") / os.fsdecode(b"\xff\n")
    assert inner.read_bytes() == (deep / os.fsdecode(b"\xff\n")).read_bytes()
    assert (target / "src" / "run").stat().st_mode & 0o777 == 0o755
    assert (target / "src" / "empty").read_bytes() == b""


def test_files_that_change_while_they_are_packed(folder: Path, workspace: Workspace) -> None:
    (folder / "top").mkdir()
    for name in ("a", "b-shrinks", "c-grows", "d-goes", "e-becomes-a-link", "f"):
        (folder / "top" / name).write_bytes(b"x" * 600_000)
    pieces = archive_of(workspace, "top", 8 * LIMIT).pieces()
    first = next(pieces)
    os.truncate(folder / "top" / "b-shrinks", 10)
    os.truncate(folder / "top" / "c-grows", 700_000)
    (folder / "top" / "d-goes").unlink()
    (folder / "top" / "e-becomes-a-link").unlink()
    (folder / "top" / "e-becomes-a-link").symlink_to(folder.parent / "outside" / "file")
    found = unpacked([first, *pieces])
    assert set(found) == {"top/a", "top/b-shrinks", "top/c-grows", "top/f"}
    assert {name: len(text) for name, text in found.items()} == {
        "top/a": 600_000,
        "top/b-shrinks": 10,
        "top/c-grows": 700_000,
        "top/f": 600_000,
    }


def test_a_file_that_shrinks_while_it_is_read_is_filled_up(folder: Path, workspace: Workspace) -> None:
    (folder / "top").mkdir()
    content = os.urandom(2_000_000)
    (folder / "top" / "a").write_bytes(content)
    (folder / "top" / "b").write_text("after it")
    pieces = archive_of(workspace, "top", 8 * LIMIT).pieces()
    begun = [next(pieces), next(pieces)]
    os.truncate(folder / "top" / "a", 1_000_000)
    with tarfile.open(fileobj=io.BytesIO(b"".join([*begun, *pieces]))) as archive:
        first, second = (archive.extractfile(name) for name in ("top/a", "top/b"))
        assert first is not None
        assert second is not None
        data = first.read()
        assert (len(data), data[:1_000_000]) == (2_000_000, content[:1_000_000])
        assert second.read() == b"after it"


def test_what_is_too_large_or_no_folder_is_refused_beforehand(folder: Path, workspace: Workspace) -> None:
    (folder / "src" / "sparse").touch()
    os.truncate(folder / "src" / "sparse", 2 * LIMIT)
    with pytest.raises(TooLarge, match="more than 1 MiB"):
        archive_of(workspace, "src", LIMIT)
    with pytest.raises(InvalidRequest):
        archive_of(workspace, "file", LIMIT)
    with pytest.raises(InvalidRequest):
        archive_of(workspace, "out", LIMIT)
    with pytest.raises(NotFound):
        archive_of(workspace, ".git", LIMIT)
