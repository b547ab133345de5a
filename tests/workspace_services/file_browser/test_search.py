"""Searches find names and text, and nothing from outside; they end in time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vibe_app.errors import InvalidRequest, NotFound, Unavailable
from vibe_app.wire.files import ChangedFile, SearchResult
from vibe_app.workspace_services.file_browser import search as module
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.search import LONGEST_QUERY, MOST_RESULTS, changed, search


async def paths(workspace: Workspace, query: str, path: str = "", **how: Any) -> list[str]:
    found = await search(workspace, query, path, **how)
    assert not found.truncated
    return [result.path for result in found.results]


async def test_names_of_files_and_folders(folder: Path, workspace: Workspace) -> None:
    (folder / "src" / "deep" / "Report.md").touch()
    (folder / ".env").touch()
    assert await paths(workspace, "file") == ["file", "src/file", "src/deep/file"]
    assert await paths(workspace, "file", "src") == ["src/file", "src/deep/file"]
    assert await paths(workspace, "deep/fi") == ["src/deep/file"]
    assert await paths(workspace, "DEEP") == []
    found = await search(workspace, "deep")
    assert found.results == [SearchResult(path="src/deep", type="directory")]
    assert await paths(workspace, "report") == await paths(workspace, "Rep") == ["src/deep/Report.md"]
    assert await paths(workspace, ".env") == [".env"]
    assert await paths(workspace, "file", "absolute") == ["src/file", "src/deep/file"]


async def test_text_in_files(folder: Path, workspace: Workspace) -> None:
    (folder / "a.txt").write_text("one\n  Two (words) twice: (words)\n" + "y" * 5000 + "needle" + "z" * 5000)
    (folder / os.fsdecode(b"\xff\n\x1b")).write_bytes(b"\n\ntwo\n")
    found = await search(workspace, "two", text=True)
    assert found.results == [
        SearchResult(path="\\xff\\x0a\\x1b", type="file", line=3, text="two"),
        SearchResult(path="a.txt", type="file", line=2, text="Two (words) twice: (words)"),
    ]
    assert await paths(workspace, "Two", text=True) == ["a.txt"]
    assert await paths(workspace, "(words)", text=True) == ["a.txt"]
    (result,) = (await search(workspace, "needle", text=True)).results
    assert "needle" in result.text
    assert len(result.text) < 400


async def test_nothing_hidden_or_outside_is_found(folder: Path, workspace: Workspace) -> None:
    assert await paths(workspace, "outside", text=True, ignored=True) == []
    assert await paths(workspace, "inside", text=True) == ["file", "src/file", "src/deep/file"]
    for path in ("out", "neighbour", "src/deep/far"):
        with pytest.raises(InvalidRequest):
            await search(workspace, "file", path)
    for path in (".git", "missing", ".opencode"):
        with pytest.raises(NotFound):
            await search(workspace, "file", path)


async def test_what_git_ignores_is_looked_at_only_when_asked(folder: Path, workspace: Workspace) -> None:
    (folder / ".gitignore").write_text("build/\n")
    (folder / "build").mkdir()
    (folder / "build" / "made.js").write_text("generated")
    assert await paths(workspace, "made") == await paths(workspace, "generated", text=True) == []
    assert await paths(workspace, "made", ignored=True) == ["build/made.js"]
    assert await paths(workspace, "generated", text=True, ignored=True) == ["build/made.js"]


async def test_a_hit_that_leads_outside_meanwhile_is_not_read(
    folder: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A ripgrep that was led astray by a folder exchanged for a link names what it found there.
    program = tmp_path / "bin" / "rg"
    program.parent.mkdir()
    hits = r"out/file\0001:\nfile\0001:\n.opencode/file\0001:\n../outside/file\0001:\npipe\0001:\n"
    program.write_text(f"#!/bin/sh\nprintf '{hits}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    found = await search(workspace, "side", text=True)
    assert found.results == [SearchResult(path="file", type="file", line=1, text="inside")]


async def test_results_and_time_are_bounded(
    folder: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "many").mkdir()
    for number in range(MOST_RESULTS + 1):
        (folder / "many" / f"{number}.txt").write_text("found\n" * 2)
    for how in ({}, {"text": True}):
        found = await search(workspace, "found" if how else ".txt", **how)
        assert (len(found.results), found.truncated) == (MOST_RESULTS, True)
    slow = tmp_path / "bin" / "rg"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nprintf 'file\\0'\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "SECONDS", 0.3)
    found = await search(workspace, "file")
    assert ([result.path for result in found.results], found.truncated) == (["file"], True)


@pytest.mark.parametrize("query", ["", "  ", "a\nb", "a\0b", "x" * (LONGEST_QUERY + 1)])
async def test_queries_that_are_refused(workspace: Workspace, query: str) -> None:
    with pytest.raises(InvalidRequest):
        await search(workspace, query)


@pytest.mark.parametrize("query", ["-", "--pre=touch", "-e", "$(touch x)", "*", "!"])
async def test_a_query_is_never_an_option(folder: Path, workspace: Workspace, query: str) -> None:
    (folder / "odd").write_text(f"{query}\n")
    assert "odd" in await paths(workspace, query, text=True)
    assert not (folder / "x").exists()


async def test_without_ripgrep(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="ripgrep"):
        await search(workspace, "file")


async def test_what_was_written_in_a_span_of_time(folder: Path, workspace: Workspace) -> None:
    (folder / ".gitignore").write_text("build\n")
    (folder / "build").touch()
    (folder / os.fsdecode(b"\xff\n")).touch()
    times = {"file": 100.5, "src/file": 200.0, "src/deep/file": 300.0, ".gitignore": 1.0, "build": 200.0}
    for name, moment in {**times, os.fsdecode(b"\xff\n"): 250.0}.items():
        os.utime(folder / name, (moment, moment))

    async def paths_of(since: float, until: float | None = None) -> list[str]:
        found = await changed(workspace, since, until)
        assert not found.truncated
        return [result.path for result in found.results]

    assert await paths_of(100.5) == ["src/deep/file", "\\xff\\x0a", "src/file", "file"]
    assert await paths_of(100.6, 250) == ["\\xff\\x0a", "src/file"]
    assert await paths_of(301) == []
    (newest,) = (await changed(workspace, 300)).results
    assert newest == ChangedFile(
        path="src/deep/file", type="file", size=7, modified="1970-01-01T00:05:00.000Z"
    )


async def test_what_was_written_is_bounded(
    folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CHANGED", 2)
    found = await changed(workspace, 0)
    assert (len(found.results), found.truncated) == (2, True)
