"""The file browser's verbs in a workspace with a hub: the base's files, or a card's, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.api.conftest import serving
from tests.workspace_services.git.rooms import BUBBLEWRAP, checkpoint, made, tree
from vibe_app.clients.files import FileWriter
from vibe_app.clients.services import WorkspaceClient
from vibe_app.errors import InvalidRequest, NotFound
from vibe_app.wire import files as wire
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspaces.runtimes.base import Endpoint


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    hub = await made(
        tmp_path / "workspace", {"a.txt": "base\n", "src/b.txt": "needle\n", ".gitignore": "*.log\n"}
    )
    (await tree(hub, 7) / "a.txt").write_text("seven\n")
    (hub.tree(7) / "x.log").write_text("needle")
    (hub.root / ".opencode").mkdir()
    return hub


@asynccontextmanager
async def browsing(hub: Hub) -> AsyncIterator[FileWriter]:
    app = create_app(Config(hub.root, Listening("token"), bubblewrap=BUBBLEWRAP))
    async with serving(app) as url, WorkspaceClient() as client:
        yield FileWriter(client, Endpoint(url=url, token="token", files_url=url))


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def names(files: FileWriter, task: int | None) -> list[str]:
    return [entry.name for entry in (await files.list(wire.ListFolder(task=task))).entries]


async def test_each_verb_has_the_base_or_a_card(hub: Hub) -> None:
    async with browsing(hub) as files:
        assert await names(files, None) == ["src", ".gitignore", "a.txt"]
        assert await names(files, 7) == ["src", ".gitignore", "a.txt", "x.log"]
        assert (await files.read(wire.ReadFile(path="a.txt"))).content == "base\n"
        assert (await files.read(wire.ReadFile(path="a.txt", task=7))).content == "seven\n"
        await files.write(wire.WriteFile(path="new.txt", task=7), once(b"new"))
        await files.make_folder(wire.NewFolder(path="made", task=7))
        await files.move(wire.MoveFile(path="new.txt", to="made/moved.txt", task=7))
        assert (hub.tree(7) / "made/moved.txt").read_text() == "new"
        found = await files.search(wire.SearchFiles(query="needle", text=True, task=7))
        assert [result.path for result in found.results] == ["src/b.txt"]
        found = await files.search(wire.SearchFiles(query="moved", task=7))
        assert [result.path for result in found.results] == ["made/moved.txt"]
        answer = await files.download(wire.OneFile(path="made/moved.txt", task=7), {})
        assert await answer.content(100) == b"new"
        await (await files.archive(wire.OneFolder(task=7))).close()
        assert "made/moved.txt" in [
            file.path for file in (await files.changed(wire.WrittenBetween(task=7))).results
        ]
        await files.delete(wire.OneFile(path="src", task=7))
        assert not (hub.tree(7) / "src").exists()
        assert (hub.base / "src/b.txt").exists()
        assert await names(files, None) == ["src", ".gitignore", "a.txt"]
    kept = await checkpoint(hub, 7)
    assert kept.written


async def test_nothing_else_of_the_workspace_is_seen(hub: Hub, tmp_path: Path) -> None:
    (hub.tree(7) / "out").symlink_to(hub.base)
    (hub.tree(7) / "up").symlink_to("../..")
    (hub.base / "hub").symlink_to(hub.path)
    async with browsing(hub) as files:
        for task, path in ((7, "out/a.txt"), (7, "up/hub/HEAD"), (None, "hub/HEAD"), (None, "../hub/HEAD")):
            with pytest.raises(InvalidRequest):
                await files.read(wire.ReadFile(path=path, task=task))
        for path in (".git/config", "src/.git/x"):
            with pytest.raises(NotFound):
                await files.read(wire.ReadFile(path=path, task=7))
        with pytest.raises(NotFound) as caught:
            await files.list(wire.ListFolder(task=8))
        assert caught.value.code == "no_tree"
        # One that an agent put there itself, and one that it destroyed.
        (hub.tasks / "8").mkdir()
        shutil.rmtree(hub.tree(7))
        hub.tree(7).symlink_to(tmp_path)
        for task in (7, 8):
            with pytest.raises(NotFound):
                await files.list(wire.ListFolder(task=task))
