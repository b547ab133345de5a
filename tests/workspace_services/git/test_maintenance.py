"""That the hub is kept small, and that no tree loses what it borrows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workspace_services.git.rooms import checkpoint, made, own_git, sound, tree
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import maintenance, trees
from vibe_app.workspace_services.git.hub import Hub


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(maintenance, "LOOSE", 5)
    return await made(tmp_path / "workspace", {"a.txt": "one\n"})


async def unreachable(hub: Hub, *, age: int) -> str:
    """Store something that nothing leads to, so many hours ago."""
    blob = (await hub.git("hash-object", "-w", "--stdin", given=os.urandom(9))).word
    path = hub.path / "objects" / blob[:2] / blob[2:]
    then = path.stat().st_mtime - age * 3600
    os.utime(path, (then, then))
    return blob


async def holds(hub: Hub, blob: str) -> bool:
    return b"missing" not in (await hub.git("cat-file", "--batch-check", given=blob.encode())).out


async def test_what_nothing_leads_to_is_kept_while_there_is_a_tree(hub: Hub) -> None:
    folder = await tree(hub)
    (folder / "new").write_text("1")
    kept = await checkpoint(hub)
    old = await unreachable(hub, age=5)
    own_git(folder, "commit", "--quiet", "--allow-empty", "--message=Mine")
    assert await maintenance.tidy(hub)
    assert await holds(hub, old)
    own_git(folder, "fsck", "--full")
    assert not await maintenance.tidy(hub)
    await trees.drop(hub, 1, wire.DropTree(revision=kept.revision))
    for _ in range(9):
        recent = await unreachable(hub, age=0)
    assert await maintenance.tidy(hub)
    assert not await holds(hub, old)
    assert await holds(hub, recent)
    assert await holds(hub, kept.revision or "")
    await sound(hub)
