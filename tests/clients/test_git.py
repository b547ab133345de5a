"""The contract of a workspace's repository from both sides: the verbs over HTTP, as the app asks them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import serving
from tests.workspace_services.git.rooms import BUBBLEWRAP, PERSON, made
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspaces.runtimes.base import Endpoint

NOWHERE = "1" * 40


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[tuple[GitClient, Endpoint]]:
    async with serving(app) as url, WorkspaceClient() as client:
        yield GitClient(client), Endpoint(url=url, token="token", files_url=url)


@pytest.fixture
async def app(tmp_path: Path) -> Any:
    hub = await made(tmp_path / "workspace", {"a.txt": "one\n"})
    return create_app(Config(hub.root, Listening("token"), bubblewrap=BUBBLEWRAP))


async def test_from_a_tree_to_the_base(app: Any, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    async with asking(app) as (git, at):
        repository = await git.repository(at)
        assert (repository.branch, repository.trees, repository.found) == ("main", [], False)
        made = await git.tree(at, 12, wire.WantTree())
        assert (made.made, made.base) == (True, repository.head)
        (root / "tasks/12/a.txt").write_text("two\n")
        (root / "tasks/12/odd\nname").write_text("x")
        kept = await git.checkpoint(at, 12, wire.TakeCheckpoint(base=made.base, message="Round 1"))
        assert kept.written
        assert kept.revision
        between = {"base": made.base, "revision": kept.revision}
        assert [file.path for file in (await git.diff(at, wire.AskDiff(**between))).files] == [
            "a.txt",
            "odd\\x0aname",
        ]
        assert set((await git.patches(at, wire.AskPatches(**between))).patches) == {"a.txt", "odd\\x0aname"}
        one = await git.file(at, wire.AskFile(**between, path="odd\\x0aname"))
        assert one.new_text == "x"
        blob = await git.blob(at, wire.AskBlob(commit=kept.revision, path="a.txt"))
        assert await blob.content(100) == b"two\n"
        with pytest.raises(Conflict) as caught:
            await git.drop_tree(at, 12, wire.DropTree(base=made.base))
        assert caught.value.code == "would_be_lost"
        plan = await git.plan_merge(at, wire.PlanMerge(number=12, **between, message="Done", author=PERSON))
        assert plan.new
        moved = await git.move_base(at, wire.MoveBase(old=plan.old, new=plan.new))
        assert moved == wire.Moved(outcome="moved", head=plan.new)
        assert (root / "base/a.txt").read_text() == "two\n"
        await git.drop_tree(at, 12, wire.DropTree(revision=kept.revision))
        (root / "base/a.txt").write_text("three\n")
        saved = await git.save_on_base(at, wire.SaveOnBase(paths=["a.txt"], author=PERSON, message="By hand"))
        assert (await git.repository(at)).head == saved.commit


async def test_what_is_wrong_is_said(app: Any) -> None:
    async with asking(app) as (git, at):
        with pytest.raises(NotFound) as caught:
            await git.diff(at, wire.AskDiff(base=NOWHERE, revision=NOWHERE))
        assert caught.value.code == "no_such_commit"
        head = (await git.repository(at)).head
        with pytest.raises(NotFound, match="gone from the workspace") as caught:
            await git.checkpoint(at, 3, wire.TakeCheckpoint(base=head, message=""))
        assert caught.value.code == "tree_gone"
        with pytest.raises(InvalidRequest, match="whole number"):
            await git.tree(at, 0, wire.WantTree())


async def test_a_workspace_of_an_earlier_layout_has_no_such_verbs(tmp_path: Path) -> None:
    async with asking(create_app(Config(tmp_path, Listening("token")))) as (git, at):
        with pytest.raises(NotFound) as caught:
            await git.repository(at)
    assert caught.value.code == "no_hub"


async def test_what_is_no_message_of_ours_is_no_answer(tmp_path: Path) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"branch": "main", "head": "HEAD", "trees": []}'})

    async with serving(other) as url, WorkspaceClient() as client:
        with pytest.raises(Unavailable):
            await GitClient(client).repository(Endpoint(url=url, token="token", files_url=url))
