"""What may be written in the base's folder while nothing may become a commit there: a real file browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.api.conftest import serving
from tests.waiting import eventually
from tests.workspace_services.git.rooms import BUBBLEWRAP, made, put_on_base
from tests.workspace_services.git.test_base import is_clean, put_upstream
from vibe_app.clients.files import FileWriter
from vibe_app.clients.services import WorkspaceClient
from vibe_app.errors import Conflict, NotFound, VibeError
from vibe_app.wire import files as wire
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspaces.runtimes.base import Endpoint

REFUSED = Conflict("Not here.", "not_here")
FILES = {
    ".gitignore": "*.log\n.env\nbuild/\n.gitattributes\n!keep.log\n",
    "a.txt": "base\n",
    "src/b.txt": "b\n",
    "kept/c.txt": "c\n",
}


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    hub = await made(tmp_path / "workspace", FILES)
    (hub.root / ".opencode").mkdir()
    return hub


@asynccontextmanager
async def careful(hub: Hub) -> AsyncIterator[FileWriter]:
    """The verbs of somebody who may change nothing of what git has."""
    app = create_app(Config(hub.root, Listening("token"), bubblewrap=BUBBLEWRAP))
    async with serving(app) as url, WorkspaceClient() as client:
        yield FileWriter(client, Endpoint(url=url, token="token", files_url=url), refused=REFUSED)


async def once(content: bytes = b"x\n") -> AsyncIterator[bytes]:
    yield content


async def put(files: FileWriter, path: str, **more: bool) -> None:
    await files.write(wire.WriteFile(path=path, parents=True, **more), once())


async def test_ignored_files_are_written_moved_and_deleted_and_none_is_a_commit(hub: Hub) -> None:
    head = await hub.head()
    async with careful(hub) as files:
        await put(files, ".env")
        await put(files, ".env", overwrite=True)
        await put(files, "src/new/deep/.env")
        await put(files, "build/out/[odd] *name\\x0a\\xff")
        await put(files, ":(top)x.log")
        await files.make_folder(wire.NewFolder(path="build/empty"))
        await files.make_folder(wire.NewFolder(path="lib/build", parents=True))
        await files.move(wire.MoveFile(path=".env", to="src/.env"))
        await files.move(wire.MoveFile(path="build/out", to="src/build"))
        await files.delete(wire.OneFile(path="build"))
        assert (hub.base / "src/.env").read_text() == "x\n"
    assert await hub.head() == head
    await is_clean(hub, ":(top)x.log", "src/.env", "src/build/[odd] *name\n\udcff", "src/new/deep/.env")


async def test_what_would_be_a_commit_is_refused_and_nothing_is_written(hub: Hub) -> None:
    (hub.base / "link").symlink_to("a.txt")
    (hub.base / "way").symlink_to("src")
    (hub.base / "mine").write_text("in no commit, and not ignored")
    for name in ("x.log", "build/one"):
        (hub.base / name).parent.mkdir(exist_ok=True)
        (hub.base / name).write_text("ignored")
    async with careful(hub) as files:
        refused = [
            *(put(files, path, overwrite=True) for path in ("a.txt", "new.txt", "new/deep/x", "keep.log")),
            # Through links, to what is tracked, and to what is not ignored there.
            *(put(files, path, overwrite=True) for path in ("link", "way/b.txt", "way/new.txt")),
            # By these git would ignore other files, or read them otherwise.
            *(put(files, path) for path in (".gitattributes", "src/.gitattributes")),
            put(files, "mine", overwrite=True),
            *(files.make_folder(wire.NewFolder(path=path)) for path in ("docs", "x.log.d")),
            files.move(wire.MoveFile(path="a.txt", to="a.log")),
            files.move(wire.MoveFile(path="x.log", to="x.txt")),
            files.move(wire.MoveFile(path="src", to="build/src")),
            files.move(wire.MoveFile(path="build", to="built")),
            *(files.delete(wire.OneFile(path=path)) for path in ("a.txt", "src", "kept/c.txt")),
        ]
        for each in refused:
            with pytest.raises(VibeError) as caught:
                await each
            assert caught.value is REFUSED, caught.value
        with pytest.raises(NotFound):
            await put(files, "src/.git/config")
        # What is in no commit may go, and so a base that is not as its branch is mended.
        for path in ("mine", "link", "way"):
            await files.delete(wire.OneFile(path=path))
    await is_clean(hub, "build/one", "x.log")
    assert not (hub.base / "new").exists()


async def test_a_name_that_is_ignored_no_more_is_refused_and_its_file_can_still_go(hub: Hub) -> None:
    async with careful(hub) as files:
        await put(files, "x.log")
        await put_on_base(hub, {".gitignore": ".env\nbuild/\n"})
        with pytest.raises(Conflict):
            await put(files, "x.log", overwrite=True)
        await files.move(wire.MoveFile(path="x.log", to="build/x.log", parents=True))
    await is_clean(hub, "build/x.log")


async def test_rules_that_come_while_somebody_saves_count(hub: Hub) -> None:
    async with careful(hub) as files:
        async with hub.locked("base"):
            saving = asyncio.ensure_future(put(files, "x.log"))
            # What is to be saved has arrived.
            await eventually(lambda: len(list((hub.root / ".opencode").glob("drafts/*"))) == 1)
            await put_upstream(hub, {".gitignore": "", "y.log": "theirs"})
        with pytest.raises(Conflict):
            await saving
    assert (hub.base / "y.log").read_text() == "theirs"
    await is_clean(hub)


async def test_a_folder_says_how_its_entries_stand_with_git(hub: Hub) -> None:
    for name in ("x.log", "build/one", "src/.env", "mine", "odd \x01", "src/new/two"):
        (hub.base / name).parent.mkdir(parents=True, exist_ok=True)
        (hub.base / name).touch()
    async with careful(hub) as files:
        found = await files.list(wire.ListFolder(git=True))
        assert {entry.name: entry.git for entry in found.entries} == {
            "build": "ignored",
            "kept": "tracked",
            "src": "tracked",
            ".gitignore": "tracked",
            "a.txt": "tracked",
            "mine": "untracked",
            "odd \\x01": "untracked",
            "x.log": "ignored",
        }
        found = await files.list(wire.ListFolder(path="src", git=True))
        assert [(entry.name, entry.git) for entry in found.entries] == [
            ("new", "untracked"),
            (".env", "ignored"),
            ("b.txt", "tracked"),
        ]
        found = await files.list(wire.ListFolder(path="build", git=True))
        assert [entry.git for entry in found.entries] == ["ignored"]
        assert (await files.list(wire.ListFolder())).entries[0].git is None
