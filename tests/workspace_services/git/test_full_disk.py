"""A disk that is full: what was kept stays, the failure says so, and with room again it goes on."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.disks import fill, needs_mount, small_disk
from tests.workspace_services.git.rooms import PERSON, checkpoint, ignore, made, put_on_base, sound, tree
from vibe_app.errors import DiskFull, Unavailable
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace

pytestmark = needs_mount


async def full(verb: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises((Unavailable, OSError)) as caught:
        await verb()
    if isinstance(caught.value, Unavailable):
        assert isinstance(caught.value, DiskFull), caught.value


async def test_what_was_kept_stays_and_it_goes_on_with_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as disk:
        hub = await made(disk / "workspace", {"a.txt": "one\n"})
        folder = await tree(hub)
        (folder / "a.txt").write_text("two\n")
        kept = await checkpoint(hub)
        assert kept.revision
        (folder / "large").write_bytes(os.urandom(5 << 20))
        (folder / "small").write_text("three\n")
        filling = fill(disk)
        os.truncate(filling, filling.stat().st_size - (3 << 19))
        await full(lambda: checkpoint(hub, 1, kept.revision))
        fill(disk)
        await full(lambda: checkpoint(hub, 1, kept.revision))
        await full(lambda: trees.want(hub, 2, wire.WantTree()))
        planned = wire.PlanMerge(
            number=1, base=trees.base_of(hub, 1), revision=kept.revision, message="m", author=PERSON
        )
        await full(lambda: base.plan(hub, planned))
        assert (await trees.look(hub)).trees == [1]
        assert not list(hub.root.glob(".new-*"))
        filling.unlink()
        again = await checkpoint(hub, 1, kept.revision)
        assert again.number == 2
        assert again.left_out == []
        plan = await base.plan(hub, planned.model_copy(update={"revision": again.revision}))
        assert plan.new
        await base.move(hub, wire.MoveBase(old=plan.old, new=plan.new))
        await put_on_base(hub, {"saved": "x"})
        assert (await trees.want(hub, 2, wire.WantTree())).made
        await sound(hub)


async def test_a_workspace_that_finds_no_room_is_made_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        filling = fill(disk)
        root = disk / "workspace"
        await full(lambda: make_workspace(root, source=None, mark={}, progress=ignore))
        filling.unlink()
        await make_workspace(root, source=None, mark={}, progress=ignore)
        assert (await trees.look(Hub(root))).branch == "main"
