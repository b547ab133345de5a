"""The States of the page of files, with the real file browser behind them and no browser before them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import serving
from tests.fakes import FakeRuntime, Script
from tests.seeding import seed_change
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.models import Task
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.web.files import watching
from vibe_app.web.files.paths import address_of, lines_of, path_in, size_words
from vibe_app.wiring import Services
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app

MIB = 1024 * 1024


@pytest.fixture
async def folder(
    tmp_path: Path,
    parts: Services,
    runtime: FakeRuntime,
    project: ProjectView,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Path]:
    """The folder of the project's workspace, with a few files and its file browser running."""
    monkeypatch.setattr(watching, "PULSE", 0.01)
    folder = tmp_path / "workspace"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("def answer():\n    return 42\n")
    (folder / "notes.txt").write_text("first line\nsecond line\n")
    token = parts.workspaces.keys(project.id, 1).token
    async with serving(create_app(Config(folder, Listening(token), largest_upload=2 * MIB))) as url:
        runtime.files_url = url
        yield folder


async def opened(tab: Open, project: ProjectView, below: str = "", role: str = "editor") -> Tab:
    """A tab on the page of files, whose tree has been read."""
    someone: Tab = await tab(role, f"/p/{project.id}/files{below}")
    await someone.call("FilesState.arrive")
    await someone.send("WatchState.watch")
    await eventually(lambda: someone.var("TreeState", "loaded") and someone.var("FilesState", "view"))
    return someone


def names(tab: Tab, state: str = "TreeState", var: str = "rows") -> list[str]:
    """The names that are in the rows that a tab was sent last."""
    return [each["name"] for each in tab.var(state, var) or []]


async def go(tab: Tab, below: str) -> None:
    """Go to an address below the one of the files."""
    tab.path = tab.path.partition("/files")[0] + "/files" + below
    await tab.call("FilesState.arrive")
    await tab.send("WatchState.watch")


def scripts(tab: Tab) -> list[str]:
    """What the browser was told to run, oldest first."""
    return [str(payload.get("javascript_code", "")) for _, payload in tab.events]


async def test_a_folder_s_entries_are_read_when_it_is_opened(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    someone = await opened(tab, project)
    assert names(someone) == ["src", "notes.txt"]
    assert names(someone, "FolderState", "items") == ["src", "notes.txt"]
    await someone.call("TreeState.toggle", key="src")
    await eventually(lambda: names(someone) == ["src", "deep", "app.py", "notes.txt"])
    await someone.call("TreeState.toggle", key="src/deep")
    await eventually(lambda: "Empty" in names(someone))
    await someone.call("TreeState.toggle", key="src")
    assert names(someone) == ["src", "notes.txt"]


async def test_the_folders_on_the_way_to_an_address_are_read_too(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    (folder / "src" / "deep" / "inner.txt").write_text("deep inside\n")
    someone = await opened(tab, project, "/src/deep/inner.txt")
    await eventually(lambda: names(someone) == ["src", "deep", "inner.txt", "app.py", "notes.txt"], seconds=5)


async def test_of_thousands_of_entries_those_in_sight_are_sent(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    (folder / "many").mkdir()
    for number in range(5001):
        (folder / "many" / f"{number:05}.txt").touch()
    someone = await opened(tab, project, "/many")
    await eventually(lambda: someone.var("FolderState", "known") == 5000)
    assert (someone.var("FolderState", "total"), someone.var("FolderState", "left")) == (5001, 1)
    assert names(someone, "FolderState", "items")[0] == "00000.txt"
    await someone.call("FolderState.look", first=4000, last=4020)
    shown = names(someone, "FolderState", "items")
    assert "04010.txt" in shown
    assert len(shown) < 300
    await someone.call("FolderState.look", first=0, last=10**9)
    assert len(names(someone, "FolderState", "items")) < 600
    await someone.call("FolderState.more")
    await eventually(lambda: someone.var("FolderState", "left") == 0)
    # The tree: a name that is typed is found far below what is in sight.
    await someone.call("TreeState.toggle", key="many")
    await eventually(lambda: someone.var("TreeState", "total") == 5004)
    for begin, pause, found in ((0, 1000, False), (10_000, 100, True)):
        await someone.call("TreeState.press", key="Home")
        for number, letter in enumerate("04999", 1):
            await someone.call("TreeState.press", key=letter, at_ms=begin + pause * number)
        assert ("04999.txt" in names(someone)) is found
    assert len(names(someone)) < 300
    assert max(len(json.dumps(sent)) for _, sent in someone.deltas) < 80_000


async def test_the_keys_go_through_the_tree(project: ProjectView, folder: Path, tab: Open) -> None:
    someone = await opened(tab, project)

    async def press(*keys: str) -> str:
        for key in keys:
            await someone.call("TreeState.press", key=key)
        rows = {each["index"]: each["name"] for each in someone.var("TreeState", "rows")}
        return rows[someone.var("TreeState", "at") or 0]

    assert await press("End") == "notes.txt"
    assert await press("Home", "ArrowRight") == "src"
    await eventually(lambda: "app.py" in names(someone))
    assert await press("ArrowRight") == "deep"
    assert await press("ArrowDown") == "app.py"
    assert await press("ArrowLeft") == "src"
    assert await press("ArrowLeft") == "src"
    assert names(someone) == ["src", "notes.txt"]
    assert await press("n") == "notes.txt"
    await press("Enter")
    assert f"/p/{project.id}/files/notes.txt" in someone.told


async def test_a_file_is_shown_as_what_it_is(project: ProjectView, folder: Path, tab: Open) -> None:
    (folder / "latin.txt").write_bytes("café\n".encode("latin-1"))
    (folder / "image.bin").write_bytes(b"\x00\x01\x02")
    (folder / "large.log").write_text("x" * (MIB + 10))
    (folder / "out").symlink_to("/etc")
    someone = await opened(tab, project, "/src/app.py")
    await eventually(lambda: someone.var("FileState", "text") == "def answer():\n    return 42\n")
    assert someone.var("FileState", "editable")
    assert [each["name"] for each in someone.var("FilesState", "crumbs")] == ["Files", "src", "app.py"]
    for name, kind in (("latin.txt", "legacy"), ("image.bin", "binary"), ("large.log", "text")):
        await go(someone, f"/{name}")
        await eventually(
            lambda name=name, kind=kind: (
                (someone.var("FileState", "name"), someone.var("FileState", "kind")) == (name, kind)
            )
        )
        assert not someone.var("FileState", "editable")
    assert someone.var("FileState", "part") == "The first 1.0 MiB of 1.0 MiB."
    await someone.send("FileState.more")
    await eventually(lambda: someone.var("FileState", "whole"))
    await eventually(lambda: any('append("xxxxxxxxxx")' in each for each in scripts(someone)))
    await go(someone, "/out")
    await eventually(lambda: someone.var("FilesState", "notice") == "A link that leads nowhere here")
    await go(someone, "/not/there")
    await eventually(lambda: someone.var("FilesState", "notice") == "Not here")


async def test_what_is_written_shows_while_the_tab_is_seen(
    parts: Services, project: ProjectView, folder: Path, tab: Open
) -> None:
    async def written() -> None:
        async with parts.database.transaction() as db:
            db.announce(f"activity:{project.id}")

    someone = await opened(tab, project, "/notes.txt")
    await eventually(lambda: someone.var("FileState", "text") == "first line\nsecond line\n")
    (folder / "notes.txt").write_text("of the agent\n")
    (folder / "fresh.txt").touch()
    await written()
    await eventually(lambda: someone.var("FileState", "text") == "of the agent\n")
    await eventually(lambda: "fresh.txt" in names(someone))
    await someone.call("WatchState.seen", hidden=True)
    (folder / "later.txt").touch()
    await written()
    await someone.call("TreeState.press", key="Home")
    assert "later.txt" not in names(someone)
    await someone.call("WatchState.seen", hidden=False)
    await eventually(lambda: "later.txt" in names(someone))


async def test_a_run_that_begins_or_ends_has_the_files_looked_at(
    parts: Services,
    runtime: FakeRuntime,
    project: ProjectView,
    folder: Path,
    tokens: dict[str, str],
    tab: Open,
) -> None:
    runtime._given = Script.endless()
    owner = await parts.accounts.who(tokens["owner"])
    task = await parts.tasks.create(owner, project.id, NewTask(title="Add a README file", description=""))
    someone = await opened(tab, project)
    made = await parts.starts.execute(owner, project.id, task.id)
    await eventually(lambda: someone.var("FilesState", "live"))
    (folder / "last.txt").touch()
    await parts.sessions.stop(owner, project.id, task.id)
    await parts.sessions.wait_until_over(made.id, 20)
    await eventually(lambda: "last.txt" in names(someone))
    await eventually(lambda: not someone.var("FilesState", "live"))


async def test_the_files_of_a_card_s_change_are_marked_in_its_tree_and_nowhere_else(
    parts: Services,
    runtime: FakeRuntime,
    project: ProjectView,
    folder: Path,
    tokens: dict[str, str],
    tab: Open,
) -> None:
    owner = await parts.accounts.who(tokens["owner"])
    task = await parts.tasks.create(owner, project.id, NewTask(title="Add a README file", description=""))
    await seed_change(parts.database, task.id, {"src/app.py": ("old\n", "new\n")})
    async with parts.database.transaction() as db:
        (await db.get_one(Task, task.id)).number = 7
    someone: Tab = await tab("viewer", f"/p/{project.id}/trees/7/files")
    await someone.call("FilesState.arrive")
    assert someone.var("FilesState", "change_words") == "1 changed file"
    assert someone.var("FilesState", "change_href") == f"/p/{project.id}/t/{task.id}/changes"
    other = await opened(tab, project)
    assert {each["mark"] for each in other.var("TreeState", "rows")} == {False}
    assert not other.var("FilesState", "change_href")


async def test_a_save_is_asked_for_with_the_version_and_told_as_it_went(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    someone = await opened(tab, project, "/notes.txt")
    await eventually(lambda: someone.var("FileState", "editable"))
    await someone.call("EditorState.save")
    assert not any("method: 'PUT'" in each for each in scripts(someone)), "nobody edits"
    await someone.call("EditorState.edit")
    await someone.call("EditorState.differs", dirty=True, clash=False)
    await someone.call("EditorState.save")
    await someone.call("EditorState.save")
    sent = [each for each in scripts(someone) if "method: 'PUT'" in each]
    assert len(sent) == 1, "a second press while the first goes on"
    assert f"/api/projects/{project.id}/files/content?path=notes.txt" in sent[0]
    assert "code.base" in sent[0]
    refused = {"status": 409, "error": "It was deleted.", "body": {"code": "deleted_meanwhile"}}
    await someone.call("EditorState.saved", answer=refused)
    assert someone.var("FileState", "clash") == "deleted"
    await someone.call("EditorState.saved", answer={"status": 507, "error": "The disk is full."})
    assert "The disk is full. Your changes are still here." in someone.told
    await someone.call("EditorState.saved", answer={"status": 0, "error": "away"})
    assert "The server does not answer." in someone.told
    (folder / "notes.txt").write_text("mine\n")
    await someone.call("EditorState.saved", answer={"status": 200, "body": {"version": "a" * 32}})
    await eventually(lambda: someone.var("FileState", "text") == "mine\n")
    assert someone.var("FileState", "clash") == ""


async def test_what_was_saved_over_can_be_brought_back(project: ProjectView, folder: Path, tab: Open) -> None:
    someone = await opened(tab, project, "/notes.txt")
    await eventually(lambda: someone.var("FileState", "editable"))
    await someone.call("EditorState.edit")
    await someone.call("EditorState.differs", dirty=True, clash=True)
    assert someone.var("FileState", "clash") == "changed"
    await someone.call("EditorState.keep_mine")
    version = someone.var("FileState", "stamp")
    assert any("method: 'PUT'" in each and version in each for each in scripts(someone))
    await someone.call("EditorState.saved", answer={"status": 200, "body": {"version": "b" * 32}})
    assert someone.var("FileState", "replaced")
    await someone.call("EditorState.bring_back")
    assert any('put("first line\\nsecond line\\n", true)' in each for each in scripts(someone))


async def test_new_names_are_made_and_what_does_not_go_is_told(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    someone = await opened(tab, project)
    await someone.call("NamingState.make", what="file")
    for name, words in (
        ("notes.txt", "exists already"),
        ("../x", "inside the workspace"),
        (" ", "needs a name"),
    ):
        await someone.call("NamingState.name", form={"name": name})
        assert words in someone.var("NamingState", "error")
    await someone.call("NamingState.name", form={"name": "docs/ä b.md"})
    assert (folder / "docs" / "ä b.md").is_file()
    assert f"/p/{project.id}/files/docs/%C3%A4%20b.md" in someone.told
    assert not someone.var("NamingState", "naming")
    await go(someone, "/docs/%C3%A4%20b.md")
    await eventually(lambda: someone.var("FileState", "editing"))
    await someone.call("NamingState.change", what="rename")
    await someone.call("NamingState.name", form={"name": "c.md"})
    assert (folder / "docs" / "c.md").is_file()
    await go(someone, "/docs")
    await eventually(lambda: someone.var("FilesState", "view") == "folder")
    await someone.call("NamingState.change", what="delete")
    assert "everything in it" in someone.var("NamingState", "hint")
    await someone.call("NamingState.delete")
    await someone.call("NamingState.delete")
    assert not (folder / "docs").exists()


async def test_uploads_go_one_after_the_other(project: ProjectView, folder: Path, tab: Open) -> None:
    someone = await opened(tab, project, "/src")
    await eventually(lambda: someone.var("FilesState", "folder") == "src")
    too_large = 513 * MIB
    files = [
        {"id": 0, "path": ["a\\b", "c.txt"], "size": 5},
        {"id": 1, "path": ["app.py"], "size": 7},
        {"id": 2, "path": ["huge"], "size": too_large},
        {"id": "no", "path": "none"},
    ]
    await someone.call("UploadsState.chosen", files=files)
    states = [each["state"] for each in someone.var("UploadsState", "rows")]
    assert states == ["sending", "waiting", "failed"]
    assert "path=src%2Fa%5C%5Cb%2Fc.txt" in scripts(someone)[-1]
    await someone.call("UploadsState.progress", id=0, sent=3)
    assert someone.var("UploadsState", "sent_words") == "3 B of 5 B"
    await someone.call("UploadsState.through", id=0, status=201, error="", code="")
    await someone.call("UploadsState.through", id=1, status=409, error="It is there.", code="exists")
    assert [each["state"] for each in someone.var("UploadsState", "rows")] == ["done", "exists", "failed"]
    assert someone.var("UploadsState", "title") == "1 of 3 uploaded"
    await someone.call("UploadsState.replace", id=1)
    assert any("overwrite=true" in each and "send(1" in each for each in scripts(someone))
    await someone.call("UploadsState.stop", id=1)
    assert any("stop(1)" in each for each in scripts(someone))
    assert someone.var("UploadsState", "rows")[1]["words"] == "Stopped; nothing was written."


async def test_a_search_finds_names_and_lines(project: ProjectView, folder: Path, tab: Open) -> None:
    someone: Tab = await tab("viewer", f"/p/{project.id}/files?q=return&in=text")
    await someone.call("FilesState.arrive")
    await someone.send("SearchState.run")
    await eventually(lambda: someone.var("SearchState", "done"))
    (item,) = someone.var("SearchState", "items")
    assert (item["name"], item["words"].strip()) == ("src/app.py:2", "return 42")
    assert item["href"] == f"/p/{project.id}/files/src/app.py#L2"
    await someone.call("SearchState.ask", text="a b")
    assert f"/p/{project.id}/files?q=a+b&in=text" in someone.told


async def test_a_viewer_changes_nothing_whatever_the_browser_sends(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    someone = await opened(tab, project, "/notes.txt", role="viewer")
    await eventually(lambda: someone.var("FileState", "editable"))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("EditorState.edit", {}),
        ("EditorState.differs", {"dirty": True, "clash": False}),
        ("EditorState.save", {}),
        ("NamingState.make", {"what": "file"}),
        ("NamingState.name", {"form": {"name": "x"}}),
        ("NamingState.change", {"what": "delete"}),
        ("NamingState.delete", {}),
        ("UploadsState.chosen", {"files": [{"id": 0, "path": ["x"], "size": 1}]}),
    ]
    for name, arguments in calls:
        await someone.call(name, **arguments)
    assert not any("send(" in each or "put(" in each for each in scripts(someone))
    assert sorted(os.listdir(folder)) == ["notes.txt", "src"]


async def test_who_may_not_see_a_project_learns_nothing_of_what_others_have_read(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    await opened(tab, project, "/notes.txt")
    stranger: Tab = await tab("stranger", f"/p/{project.id}/files")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("FilesState.arrive", {}),
        ("WatchState.watch", {}),
        ("WatchState.look", {}),
        ("WatchState.follow", {}),
        ("TreeState.look", {"first": 0, "last": 10}),
        ("TreeState.press", {"key": "End"}),
        ("TreeState.toggle", {"key": "src"}),
        ("TreeState.unread", {}),
        ("TreeState.more", {"path": ""}),
        ("FolderState.look", {"first": 0, "last": 10}),
        ("FolderState.more", {}),
        ("FileState.again", {}),
        ("SearchState.run", {}),
    ]
    for name, arguments in calls:
        await stranger.call(name, **arguments)
    await eventually(lambda: stranger.var("FilesState", "missing"))
    assert "notes.txt" not in json.dumps(stranger.deltas)


async def test_names_that_an_agent_wrote_are_shown_as_names(
    project: ProjectView, folder: Path, tab: Open
) -> None:
    odd = ["a\u202egpj.exe", "<img src=x onerror=alert(1)>", "line\nend", "ü" * 120, os.fsdecode(b"odd\xff")]
    odd.append(" ")
    for name in odd:
        (folder / name).write_text("odd indeed\n")
    someone = await opened(tab, project)
    await eventually(lambda: len(names(someone)) == 8)
    for item in someone.var("FolderState", "items")[1:]:
        await go(someone, item["href"].partition("/files")[2])
        await eventually(lambda item=item: someone.var("FileState", "name") == item["name"])
        await eventually(lambda: someone.var("FileState", "kind") == "text")
    assert any("\\x0a" in name for name in names(someone))
    assert "␣" in names(someone)


@pytest.mark.parametrize("path", ["a b/ü.md", r"odd\xff/#?%2e.txt", "x" * 5000, "‮/<b>", "a;b/c=d&e"])
def test_an_address_names_the_path_that_it_was_made_of(path: str) -> None:
    base = "/p/one/files"
    assert path_in(base, address_of(base, path)) == path


def test_words_of_sizes_and_lines() -> None:
    assert [size_words(size) for size in (0, 1023, 1024, 1536, 20 * 1024, 5 * MIB, 2**40)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.5 KiB", "20 KiB", "5.0 MiB", "1.0 TiB")
    ]
    assert [lines_of(each) for each in ("L3", "L3-L8", "L3-8", "L0", "x", "L3-")] == [
        [3],
        [3, 8],
        [3, 8],
        [],
        [],
        [],
    ]
